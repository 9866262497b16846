"""Figures in documents: filled from evaluations, and the documents of mien are filled."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.errors import DataError
from mien.evaluation.model_card import adopt, fill, read_tables, young_table

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "src/mien/weights/DETECTOR.md",
    "README.md",
    "src/mien/weights/README.md",
    "src/mien/weights/OPEN.md",
    "docs/data.md",
    "docs/prediction.md",
    "docs/training.md",
    "docs/server.md",
    "benchmarks/README.md",
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_documents_say_what_was_measured(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert fill(text, read_tables(ROOT / "docs" / "figures"), document) == text


def test_the_card_belongs_to_the_shipped_model() -> None:
    from mien.pipeline.model import Model

    measured = json.loads((ROOT / "docs" / "figures" / "utkface.json").read_text())["overall"]
    said = Model().metadata.metrics
    card = (ROOT / "src" / "mien" / "weights" / "README.md").read_text(encoding="utf-8")
    assert f"Model small, version {Model().metadata.version};" in card
    assert measured["mae"]["value"] == pytest.approx(said["validation_mae"], abs=0.01)
    # Cross-calibration moves the line between the genders by a few faces.
    assert measured["gender_accuracy"]["value"] == pytest.approx(said["validation_gender_accuracy"], abs=5e-3)


def test_the_sizes_are_those_of_the_shipped_files() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "size.py"], capture_output=True, text=True
    )
    assert printed.stdout == (ROOT / "docs" / "figures" / "size.md").read_text(encoding="utf-8")


def test_a_marked_place_is_filled_however_often() -> None:
    text = "before\n\n[//]: # (figures: n)\n\nold\n\n[//]: # (end of figures)\n\nafter"
    once = fill(text, {"n": "| 5 |\n"})
    assert once == "before\n\n[//]: # (figures: n)\n\n| 5 |\n\n[//]: # (end of figures)\n\nafter"
    assert fill(once, {"n": "| 5 |\n"}) == once


def test_unknown_figures_are_named() -> None:
    with pytest.raises(DataError, match=r"card\.md asks for the figures 'speed'; there are mae"):
        fill("[//]: # (figures: speed)\n[//]: # (end of figures)", {"mae": ""}, "card.md")


def test_what_is_no_evaluation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "utkface.json").write_text("[1, 2]")
    with pytest.raises(DataError, match=r"utkface\.json is not the metrics\.json of an evaluation"):
        read_tables(tmp_path)


def test_figures_of_several_models_are_not_mixed(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "figures" / "utkface.json").read_text(encoding="utf-8")
    other = json.loads(text)
    other["model"]["version"] = "another"
    (tmp_path / "fairface.json").write_text(text)
    (tmp_path / "utkface.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match=r"utkface\.json is of another model than the others"):
        read_tables(tmp_path)


def test_the_command_fills_documents_and_leaves_them_whole_on_error(tmp_path: Path) -> None:
    figures, good, bad = tmp_path / "figures", tmp_path / "good.md", tmp_path / "bad.md"
    figures.mkdir()
    (figures / "speed.md").write_text("4 ms\n")
    good.write_text("[//]: # (figures: speed)\n[//]: # (end of figures)\n")
    bad.write_text("[//]: # (figures: size)\n[//]: # (end of figures)\n")
    refused = CliRunner().invoke(app, ["card", str(good), str(bad), "--figures", str(figures)])
    assert isinstance(refused.exception, DataError) and "4 ms" not in good.read_text()
    assert CliRunner().invoke(app, ["card", str(good), "--figures", str(figures)]).exit_code == 0
    assert "4 ms" in good.read_text()


def write_report(folder: Path, *manifests: str) -> Path:
    for number, manifest in enumerate(manifests):
        (folder / "report" / str(number)).mkdir(parents=True)
        text = json.dumps({"manifest": manifest, "number": number})
        (folder / "report" / str(number) / "metrics.json").write_text(text)
    return folder / "report"


def test_evaluations_of_a_report_are_taken_over_under_their_manifests_names(tmp_path: Path) -> None:
    (tmp_path / "utkface.json").write_text("old")
    adopt(write_report(tmp_path, "data/utkface.csv", "fairface.csv"), tmp_path)
    found = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("utkface", "fairface")}
    assert {name: evaluation["number"] for name, evaluation in found.items()} == {"utkface": 0, "fairface": 1}


def test_a_report_on_several_models_is_not_taken_over(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has several evaluations of utkface; name the report of one model"):
        adopt(write_report(tmp_path, "utkface.csv", "utkface.csv"), tmp_path)


def test_a_folder_without_a_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no metrics\.json"):
        adopt(tmp_path, tmp_path)


def test_the_command_takes_over_a_report_first(tmp_path: Path) -> None:
    figures, document = tmp_path / "figures", tmp_path / "card.md"
    figures.mkdir()
    (tmp_path / "report").mkdir()
    measured = (ROOT / "docs" / "figures" / "utkface.json").read_text(encoding="utf-8")
    (tmp_path / "report" / "metrics.json").write_text(measured)
    document.write_text("[//]: # (figures: overall)\n[//]: # (end of figures)\n")
    asked = ["card", str(document), "--figures", str(figures), "--report", str(tmp_path / "report")]
    assert CliRunner().invoke(app, asked).exit_code == 0
    assert "| UTKFace | 1,809 |" in document.read_text()


def test_young_ages_have_a_table_by_fives() -> None:
    bias = {"value": -0.04, "low": -1.2, "high": 1.25, "n": 7}
    bands = {"15-19": {"mae": {"value": 4.0, "low": None, "high": None, "n": 7}, "bias": bias}}
    assert young_table(bands).splitlines()[-1] == "| 15–19 | 7 | 4.0 | +0.0 (−1.2 to +1.2) | – | – |"
