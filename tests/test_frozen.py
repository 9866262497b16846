"""A program that PyInstaller froze, from an environment into which mien was installed as its users do."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.timeout(900)  # the first test waits for the installation and the build

PROGRAM = "from mien.cli import main\n\nmain()\n"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of a one-folder build."""
    folder = tmp_path_factory.mktemp("frozen")
    subprocess.run([sys.executable, "-m", "venv", folder / "environment"], check=True)
    commands = folder / "environment" / ("Scripts" if os.name == "nt" else "bin")
    install: list[str | Path] = [commands / "pip", "install", "--quiet"]
    if subprocess.run([*install, "pyinstaller", "hatchling", "hatch-fancy-pypi-readme"]).returncode:
        pytest.skip("PyInstaller cannot be had")
    subprocess.run([*install, "--no-build-isolation", f"{ROOT}[annotate]"], check=True)
    (folder / "program.py").write_text(PROGRAM)
    build: list[str | Path] = [commands / "pyinstaller", "--noconfirm", "--log-level", "ERROR", "program.py"]
    subprocess.run(build, cwd=folder, check=True)
    return folder / "dist" / "program" / "program"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    return number


@pytest.fixture
def served(program: Path, port: int, tmp_path: Path) -> Iterator[str]:
    with subprocess.Popen([program, "serve", "--port", str(port)], cwd=tmp_path) as server:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/readyz").close()
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.1)
        yield address
        server.terminate()


def test_a_frozen_program_predicts(program: Path, astronaut: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [program, "predict", "--json", astronaut]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["faces"]) == 1


def test_a_frozen_program_knows_its_version(program: Path, tmp_path: Path) -> None:
    done = subprocess.run([program, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("mien ")


def test_a_frozen_program_annotates_with_several_processes(
    program: Path, astronaut: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("one.jpg", "other.jpg"):
        shutil.copy(astronaut, tmp_path / "photos" / name)
    command: list[str | Path] = [program, "annotate", "photos", "--output", "found", "--workers", "2"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    assert len(list((tmp_path / "found" / "photos").glob("part-*.parquet"))) > 0


def test_a_frozen_program_serves_its_page_and_answers(served: str, astronaut: Path) -> None:
    for path in ("", "/docs", "/static/mien.svg"):
        assert urllib.request.urlopen(served + path).status == 200
    ask = urllib.request.Request(
        f"{served}/api/v1/predict", astronaut.read_bytes(), {"Content-Type": "image/jpeg"}
    )
    with urllib.request.urlopen(ask) as answer:
        assert len(json.load(answer)["faces"]) == 1
