import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_fakes import FakePredictor, estimate

from mien.errors import DataError
from mien.evaluation import METRICS, Evaluation, Measurement, evaluate
from mien.evaluation.report import (
    bins_of,
    format_interval,
    format_value,
    make_plots,
    render_page,
    shown_metrics,
    write_report,
)

METRIC = {metric.name: metric for metric in METRICS}
ROWS = """path,age_low,age_high,gender,race,split
a.jpg,20,20,female,White,test
b.jpg,45,45,male,Black,test
c.jpg,30,39,male,White,test
d.jpg,60,60,female,Black,test
e.jpg,20,20,,,other
"""


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Evaluation:
    """Two exact ages and a bin predicted, one face not found."""
    manifest = tmp_path_factory.mktemp("evaluation") / "faces.csv"
    manifest.write_text(ROWS)
    answers = {"a.jpg": (estimate(22, 0.9),), "b.jpg": (estimate(40, 0.8),), "c.jpg": (estimate(33, 0.1),)}
    fake = FakePredictor(answers | {"d.jpg": ()}, tiny_model)
    return evaluate(manifest, fake, faces="detect", split="test")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, evaluation: Evaluation) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(evaluation, folder)
    return folder


@pytest.fixture
def nothing_found(tmp_path: Path, tiny_model: Path) -> Evaluation:
    (tmp_path / "faces.csv").write_text("path,age\na.jpg,20\n")
    return evaluate(tmp_path / "faces.csv", FakePredictor({"a.jpg": ()}, tiny_model), faces="detect")


def test_a_set_without_ages_has_a_report_of_its_genders(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "faces.csv").write_text("path,gender\na.jpg,female\nb.jpg,male\n")
    answers = {"a.jpg": (estimate(22, 0.9),), "b.jpg": (estimate(40, 0.8),)}
    stored = tmp_path / "predictions.csv"
    fake = FakePredictor(answers, tiny_model)
    found = evaluate(tmp_path / "faces.csv", fake, predictions=stored, report=tmp_path / "r")
    assert [plot.name for plot in make_plots(found)] == ["gender_confusion"]
    assert "Perceived gender" in (tmp_path / "r" / "index.html").read_text()
    assert "nan" not in stored.read_text()
    assert found.notes == []


def test_a_set_of_one_gender_is_said_to_be(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "faces.csv").write_text("path,age,gender\na.jpg,20,male\nb.jpg,30,male\n")
    answers = {"a.jpg": (estimate(22, 0.1),), "b.jpg": (estimate(40, 0.1),)}
    found = evaluate(tmp_path / "faces.csv", FakePredictor(answers, tiny_model), report=tmp_path / "r")
    assert found.to_json()["notes"] == found.notes
    assert found.notes[0].startswith("All labelled genders are male")
    assert found.notes[0] in (tmp_path / "r" / "index.html").read_text()


def test_the_folder_holds_page_figures_and_plots(report: Path) -> None:
    plots = {"age_scatter.png", "error_by_age.png", "age_bins.png", "gender_confusion.png"}
    assert {path.name for path in report.iterdir()} == plots | {"index.html", "metrics.json"}
    assert all((report / name).read_bytes().startswith(b"\x89PNG") for name in plots)


def test_metrics_json_holds_the_figures(report: Path) -> None:
    found = json.loads((report / "metrics.json").read_text())
    assert (found["rows"], found["detected"], found["unreadable"]) == (4, 3, 0)
    assert found["overall"]["mae"]["value"] == 3.5
    assert found["overall"]["detection_rate"]["value"] == 0.75


def test_the_page_needs_no_other_file(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|srcset|href)="([^"]{0,30})', page)
    assert len(sources) == 8
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "<script" not in page


def test_the_page_says_what_it_leaves_out(evaluation: Evaluation) -> None:
    page = " ".join(render_page(evaluation, []).split())
    assert "A face was found in 3 of 4 readable pictures" in page
    assert "1 picture without a detected face counts in the detection rate only" in page


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Evaluation:
    """Forty children judged as adults, forty adults judged right."""
    manifest = tmp_path_factory.mktemp("crowd") / "faces.csv"
    rows = [f"{i}.jpg,{(4, 40)[i % 2]},{('female', 'male')[i % 2]},White" for i in range(80)]
    manifest.write_text("\n".join(["path,age,gender,race", *rows]))
    answers = {f"{i}.jpg": (estimate((20, 40)[i % 2], 0.4),) for i in range(80)}
    return evaluate(manifest, FakePredictor(answers, tiny_model))


def test_large_groups_have_heat_maps(crowd: Evaluation) -> None:
    assert {"heat_age", "heat_gender"} <= {plot.name for plot in make_plots(crowd)}


def test_a_dollar_in_a_groups_name_is_no_formula(tmp_path: Path, tiny_model: Path) -> None:
    rows = [f"{i}.jpg,{(4, 40)[i % 2]},male,{('a$b$', '{x}$ $')[i % 2]}" for i in range(80)]
    (tmp_path / "faces.csv").write_text("\n".join(["path,age,gender,race", *rows]))
    answers = {f"{i}.jpg": (estimate(20 + i, 0.4),) for i in range(80)}
    found = evaluate(tmp_path / "faces.csv", FakePredictor(answers, tiny_model))
    assert "heat_age" in {plot.name for plot in make_plots(found)}


def test_the_page_names_worst_and_best_group_and_their_gap(crowd: Evaluation) -> None:
    page = " ".join(render_page(crowd, []).split())
    assert "<td>0–4, White, female <b>16.00</b></td> <td>40–49, White, male <b>0.00</b></td>" in page
    assert "<td>16.00 years</td>" in page


def test_the_page_tells_who_would_pass_a_check_of_age(crowd: Evaluation) -> None:
    page = " ".join(render_page(crowd, []).split())
    assert '<th scope="row">20</th> <td><b>100.0 %</b>' in page
    assert "Of 40 minors and 40 adults." in page


def test_the_page_speaks_of_apparent_age_and_perceived_gender(evaluation: Evaluation) -> None:
    assert "Apparent age and perceived gender on faces.csv" in render_page(evaluation, [])


def test_names_from_the_manifest_are_escaped(evaluation: Evaluation) -> None:
    assert "<b>x</b>" not in render_page(replace(evaluation, manifest="<b>x</b>"), [])


def test_aligned_pictures_have_no_detection_rate(evaluation: Evaluation) -> None:
    assert "detection_rate" in [metric.name for metric in shown_metrics(evaluation)]
    aligned = replace(evaluation, faces="aligned")
    assert "detection_rate" not in [metric.name for metric in shown_metrics(aligned)]


def test_nothing_found_still_makes_a_page(nothing_found: Evaluation) -> None:
    assert make_plots(nothing_found) == []
    assert "0.0\N{NO-BREAK SPACE}%" in render_page(nothing_found, [])


def test_a_report_that_cannot_be_written_is_named(nothing_found: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        write_report(nothing_found, tmp_path)


def test_ages_between_bins_are_in_none() -> None:
    assert bins_of(np.array([5.0, 9.0]), ["0-2", "8-13"]) == ["none", "8-13"]


@pytest.mark.parametrize(
    ("name", "value", "interval"),
    [
        ("mae", "0.50", "0.25 to 0.75"),
        ("cs5", "50.0\N{NO-BREAK SPACE}%", "25.0 to 75.0"),
        ("bias", "+0.50", "+0.25 to +0.75"),
    ],
)
def test_figures_are_written_in_their_unit(name: str, value: str, interval: str) -> None:
    measurement = Measurement(0.5, 0.25, 0.75, 10)
    assert format_value(measurement, METRIC[name]) == value
    assert format_interval(measurement, METRIC[name]) == interval
