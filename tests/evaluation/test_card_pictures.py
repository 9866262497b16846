"""The pictures of a model card: what they show, and that those beside the shipped card are up to date."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.evaluation.card_pictures import PICTURES, draw_pictures
from mien.evaluation.model_card import read_pictures

ROOT = Path(__file__).parents[2]
FIGURES, WEIGHTS = ROOT / "docs" / "figures", ROOT / "src" / "mien" / "weights"


def evaluation(**groups: Any) -> dict[str, Any]:
    return {"groups": groups, "interval_coverage_aimed_at": 0.9}


def measured(value: float, n: int = 30) -> dict[str, Any]:
    return {"mae": {"value": value, "low": value - 1, "high": value + 1, "n": n}}


def test_the_pictures_beside_the_card_show_what_was_measured() -> None:
    assert {path.stem: path.read_text(encoding="utf-8") for path in WEIGHTS.glob("*.svg")} == read_pictures(
        FIGURES
    )


def test_a_picture_has_no_styles_and_no_colours_that_a_page_cannot_change() -> None:
    for picture in read_pictures(FIGURES).values():
        assert not re.search(r"<style|\sstyle=|<script|href=", picture)
        colours = re.findall(r'(?:fill|stroke)="([^"]*)"', picture)
        assert colours and [c for c in colours if not c.startswith("var(--")] == []


def test_a_picture_is_said_in_words() -> None:
    figures = evaluation(age={"0-4": measured(1.0), "20-29": measured(2.34)})
    (picture,) = draw_pictures({"utkface": figures}, {"utkface": "UTKFace"}).values()
    assert 'aria-label="Error by age: mean absolute error, years. UTKFace: 0–4 1.0, 20–29 2.3."' in picture


def test_every_interval_lies_in_its_plot() -> None:
    for picture in read_pictures(FIGURES).values():
        ends = re.findall(r"M([\d.]+) [\d.]+H([\d.]+)", picture)
        assert ends
        assert all(66 <= float(x) <= 364 for pair in ends for x in pair)


def test_small_groups_and_sets_with_other_bands_are_left_out() -> None:
    first = evaluation(age={"0-4": measured(1.0), "90-99": measured(9.0, n=9)})
    other = evaluation(age={"0-2": measured(5.0)})
    (picture,) = draw_pictures({"a": first, "b": other}, {}).values()
    assert "90–99" not in picture and ">b<" not in picture


def test_figures_that_nothing_measured_have_no_picture() -> None:
    assert draw_pictures({"a": evaluation()}, {}) == {}
    assert PICTURES.keys() == read_pictures(FIGURES).keys()


@pytest.mark.parametrize("asked", [True, False])
def test_the_command_draws_pictures_beside_the_documents_that_ask_for_them(
    tmp_path: Path, asked: bool
) -> None:
    card = tmp_path / "card.md"
    name = "pictures" if asked else "overall"
    card.write_text(f"[//]: # (figures: {name})\n[//]: # (end of figures)\n")
    assert CliRunner().invoke(app, ["card", str(card), "--figures", str(FIGURES)]).exit_code == 0
    assert {path.stem for path in tmp_path.glob("*.svg")} == (set(PICTURES) if asked else set())
    assert ("![Error by age](error-by-age.svg)" in card.read_text(encoding="utf-8")) == asked
