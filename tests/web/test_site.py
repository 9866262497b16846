"""The documentation site builds without a warning, knows every command, and fetches nothing from others."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from page_driving import CHROMIUM, chromium
from typer.main import get_command

from mien.cli import app

ROOT = Path(__file__).parents[2]
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}

pytestmark = pytest.mark.slow


class Loads(HTMLParser):
    """Collects what a page loads: not the links that a reader may follow."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        loaded = named.get("href") if tag == "link" else named.get(LOADED.get(tag, ""))
        self.addresses += [loaded] if loaded else []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Leave the log out of the tests' output."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_no_page_names_another_host_for_what_it_loads(site: Path) -> None:
    for page in site.rglob("*.html"):
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert loads.addresses
        assert [address for address in loads.addresses if urlsplit(address).netloc] == [], page
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert "url(http" not in text and "url(//" not in text and "@import" not in text, sheet


def test_every_command_and_option_is_in_the_reference(site: Path) -> None:
    reference = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group, which Typer does not say
    assert commands
    for name, command in commands.items():
        assert f'id="mien-{name}"' in reference
        for option in command.params:
            assert option.hidden or all(flag in reference for flag in option.opts if flag.startswith("--"))


def test_examples_and_roles_of_docstrings_are_code_and_links(site: Path) -> None:
    for page in (site / "reference").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<blockquote>" not in text and ":class:" not in text and "doctest" not in text, page
    prediction = (site / "reference" / "prediction.html").read_text(encoding="utf-8")
    assert 'href="detectors.html#mien.pipeline.detect.make_detector"' in prediction


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_a_browser_asks_no_other_host_while_someone_reads_and_searches(address: str) -> None:
    asked = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index.html", "architecture.html", "reference/prediction.html", "age-pyramid.html"):
            page.goto(address + name)
        page.locator("[data-md-component=search-query]").click()
        page.keyboard.type("detector")
        page.locator(".md-search-result__item").first.wait_for()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone(address: str, scheme: str) -> None:
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        for name in ("index.html", "architecture.html", "reference/cli.html", "model-card.html"):
            page.goto(address + name)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "site", "tests", "runs", "shared"))
    with (copy / "docs" / "page.md").open("a") as page:
        page.write("\n[nowhere](no-such-page.md)\n")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert built.returncode == 1 and "no-such-page.md" in built.stderr
