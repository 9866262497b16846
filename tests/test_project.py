"""What the project says of itself is so."""

import os
import re
from pathlib import Path

import mien

ROOT = Path(__file__).parents[1]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {mien.__version__}\n" in read("CITATION.cff")


def test_every_script_that_the_guide_names_can_be_run_and_none_is_left_out() -> None:
    named = set(re.findall(r"scripts/\w+", read("CONTRIBUTING.md")))
    assert named == {f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir()}
    assert all(os.access(ROOT / name, os.X_OK) for name in named)


def test_ci_and_the_checks_before_a_commit_call_the_same_scripts() -> None:
    ci = read(".ci/run")
    assert "\nscripts/check\n" in ci and "\nscripts/coverage " in ci and "\nscripts/docs\n" in ci
    assert " scripts/check\n" in read(".pre-commit-config.yaml")
    assert "run: .ci/run\n" in read(".github/workflows/ci.yml")


def test_every_example_is_in_the_cookbook() -> None:
    cookbook = read("examples/README.md")
    names = {path.name for path in (ROOT / "examples").glob("*.*")} - {"README.md"}
    assert names and all(name in cookbook for name in names)


def test_other_systems_are_in_the_hosted_workflow() -> None:
    assert "system: [windows-latest, macos-latest]" in read(".github/workflows/ci.yml")


def test_every_file_that_counts_as_slow_exists() -> None:
    slow = re.findall(r'^    "(test_\w+\.py)",$', read("tests/conftest.py"), re.MULTILINE)
    assert slow and set(slow) <= {path.name for path in (ROOT / "tests").rglob("test_*.py")}
