"""What the site takes from elsewhere in the repository while it is built, so that nothing is written twice.

Documents that lie outside ``docs/``, the command line's reference, the notebook and the web page's typefaces
become pages and files of the site. Links that are right in the repository are made right in the site.
"""

import re
import subprocess
import sys
from pathlib import Path
from posixpath import join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
FONTS = "src/mien/web/static/fonts"
COOKBOOK = "cookbook.md"
DOCUMENTS = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": COOKBOOK,
    "src/mien/weights/README.md": "model-card.md",
    "src/mien/weights/OPEN.md": "open-card.md",
    "src/mien/weights/DETECTOR.md": "detector-card.md",
}
ASSETS = {
    "src/mien/web/static/mien.svg": "images/mien.svg",
    f"{FONTS}/figtree-latin-wght-normal.woff2": "fonts/figtree.woff2",
    f"{FONTS}/bricolage-grotesque-latin-wght-normal.woff2": "fonts/bricolage-grotesque.woff2",
    f"{FONTS}/figtree-OFL.txt": "fonts/figtree-OFL.txt",
    f"{FONTS}/bricolage-grotesque-OFL.txt": "fonts/bricolage-grotesque-OFL.txt",
}
NOTEBOOK, NOTEBOOK_PAGE = "examples/age_pyramid.ipynb", "age-pyramid.md"
PAGES = DOCUMENTS | {NOTEBOOK: NOTEBOOK_PAGE}
COMMENT = re.compile(r"^\[//\]: # \(.*\)\n", re.MULTILINE)
PICTURES = re.compile(r"(?:^!\[.*\]\([\w-]+\.svg\)\n)+", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside ``docs/`` or is generated."""
    for source, page in DOCUMENTS.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text + (_programs() if page == COOKBOOK else "")))
    for source, uri in ASSETS.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / source)))
    files.append(File.generated(config, "reference/cli.md", content=_command_line()))
    body, resources = MarkdownExporter().from_filename(str(ROOT / NOTEBOOK))
    files.append(File.generated(config, NOTEBOOK_PAGE, content=body))
    for name, data in resources["outputs"].items():
        files.append(File.generated(config, name, content=data))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the site's pages; take out the marks that figures are filled in between."""
    uri = page.file.src_uri
    source = next((source for source, name in PAGES.items() if name == uri), f"docs/{uri}")
    folder = str(Path(source).parent)
    markdown = PICTURES.sub(lambda lines: _pictures(lines[0], folder), markdown)
    return LINK.sub(lambda link: _target(link[1], folder, uri), COMMENT.sub("", markdown))


def _target(link: str, folder: str, uri: str) -> str:
    """A link of a document in the repository as the page ``uri`` has to say it."""
    path = normpath(join(folder, link))
    name = PAGES.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
    return link if name is None else relpath(name, str(Path(uri).parent))


def _pictures(lines: str, folder: str) -> str:
    """Pictures in the page itself, so that they take its colours."""
    pictures = [(ROOT / folder / name).read_text(encoding="utf-8") for name in LINK.findall(lines)]
    return f'<div class="pictures">\n{"".join(pictures)}\n</div>\n'


def _programs() -> str:
    """The programs of the cookbook, in full."""
    programs = sorted((ROOT / "examples").glob("*.py"))
    return "".join(
        f"\n## {path.name}\n\n```python\n{path.read_text(encoding='utf-8')}```\n" for path in programs
    )


def _command_line() -> str:
    """The reference of all commands, by Typer's own generator."""
    command = [sys.executable, "-m", "typer", "mien.cli", "utils", "docs", "--name", "mien"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    text = re.sub(r"^(#+) `(mien.*)`$", r"\1 \2", text, flags=re.MULTILINE)
    text = re.sub(r"^\* `--help`: .*\n|^\*\*Commands\*\*:\n\n(\* .*\n)+", "", text, flags=re.MULTILINE)
    text = text.replace("**Options**:\n\n\n", "")
    first = text.index("## ")
    commands = re.findall(r"^(##+) (mien .*)\n\n(.*)", text, flags=re.MULTILINE)
    contents = [f"| [`{name}`](#{name.replace(' ', '-')}) | {says} |" for _, name, says in commands]
    table = "\n".join(["| command | what it does |", "|---|---|", *contents])
    return f"# Command line\n\n{table}\n\n{text[first:]}"
