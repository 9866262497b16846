"""What is built and installed: its metadata, its files, and how the command line is reached."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest
from conftest import ROOT
from typer.testing import CliRunner

import mien
from mien.cli import app


@pytest.fixture(scope="module")
def distribution(commands: Path) -> Path:
    (folder,) = commands.parent.rglob("mien-*.dist-info")
    return folder


@pytest.fixture(scope="module")
def metadata(distribution: Path) -> Message:
    return HeaderParser().parsestr((distribution / "METADATA").read_text(encoding="utf-8"))


def test_the_licence_names_every_part(metadata: Message) -> None:
    parts = set(metadata["License-Expression"].split(" AND "))
    assert parts == {"Apache-2.0", "LicenseRef-mien-weights", "CC-BY-4.0", "OFL-1.1", "MIT", "BSD-3-Clause"}


def test_every_licence_file_is_in_the_wheel(distribution: Path, metadata: Message) -> None:
    ours = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "src" / "mien").rglob("*")
        if re.search("LICENSE|NOTICE|OFL", path.name)
    ]
    assert len(ours) == 6
    assert sorted(metadata.get_all("License-File", [])) == sorted(["LICENSE", *ours])
    assert all((distribution / "licenses" / name).is_file() for name in ours)


def test_an_index_page_can_tell_what_this_is(metadata: Message) -> None:
    assert metadata["Author"] and metadata["Keywords"]
    assert "Programming Language :: Python :: 3.11" in metadata.get_all("Classifier", [])


def test_the_description_leads_to_no_file_that_an_index_page_lacks(metadata: Message) -> None:
    text = metadata.get_payload()
    assert isinstance(text, str) and "# mien" in text and "model card" in text
    assert re.findall(r"\]\((?!https?:)[^)]*\)", text) == []


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build a ``wheel`` or an ``sdist`` as pip does, without fetching what builds it."""
    code = f"import sys; from hatchling import build; print(build.build_{kind}(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    return folder / done.stdout.split()[-1]


def names_in(archive: Path) -> set[str]:
    """Names in a source distribution, without its own folder's."""
    with tarfile.open(archive) as files:
        return {name.partition("/")[2] for name in files.getnames()}


def files_of(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in paths}


def test_the_source_distribution_can_run_its_tests(tmp_path: Path) -> None:
    names = names_in(build("sdist", ROOT, tmp_path))
    wanted = {
        f"{folder}/{name}" for folder in ("tests", "docs", "examples") for name in files_of(ROOT / folder)
    }
    assert wanted - names == set()
    assert {"constraints.txt", "pyproject.toml", "src/mien/weights/small.onnx"} <= names


def test_the_wheel_holds_what_the_package_holds_now_and_nothing_of_earlier_builds(tmp_path: Path) -> None:
    source, package = tmp_path / "source", tmp_path / "source" / "src" / "mien"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, source)
    (package / "renamed.py").touch()
    build("wheel", source, tmp_path)
    (package / "renamed.py").unlink()
    left = source / "build" / "lib" / "mien" / "renamed.py"  # where setuptools kept what it had built
    left.parent.mkdir(parents=True)
    left.touch()
    with zipfile.ZipFile(build("wheel", source, tmp_path)) as wheel:
        names = {name.removeprefix("mien/") for name in wheel.namelist() if name.startswith("mien/")}
    assert names == files_of(ROOT / "src" / "mien")


def test_it_runs_as_a_module(commands: Path) -> None:
    command = [str(commands / "python"), "-m", "mien", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    version: str = mien.__version__  # the type checker fails here if it is no str
    assert done.stdout == f"mien {version}\n"


@pytest.mark.parametrize("group", [[], ["data"]])
def test_a_bare_command_prints_its_help(group: list[str]) -> None:
    bare, asked = CliRunner().invoke(app, group), CliRunner().invoke(app, [*group, "-h"])
    assert bare.exit_code == asked.exit_code == 0
    assert "Usage:" in bare.stdout and bare.stdout.split() == asked.stdout.split()


@pytest.mark.parametrize("command", ["predict", "serve", "train", "data show", "card"])
def test_every_command_has_a_short_flag_for_help(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "-h"])
    assert result.exit_code == 0 and "Usage:" in result.stdout


def test_shells_can_complete_commands() -> None:
    environment = {"_MIEN_COMPLETE": "complete_bash", "COMP_WORDS": "mien s", "COMP_CWORD": "1"}
    result = CliRunner().invoke(app, prog_name="mien", env=environment)
    assert result.stdout.split() == ["serve", "summarize"]


def test_other_commands_do_not_load_the_settings_of_the_server() -> None:
    code = (
        "import sys, mien.cli; print({'pydantic', 'mien.web.settings', 'torch', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
