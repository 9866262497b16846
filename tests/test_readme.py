"""What the README shows is what a reader gets."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mien.cli import app

ROOT = Path(__file__).parents[1]


def test_the_first_command_prints_what_the_readme_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    printed = CliRunner().invoke(app, ["predict", "examples/astronaut.jpg"]).stdout
    assert f"mien predict examples/astronaut.jpg\n{printed}```" in shown
