import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import typer
from evaluation_fakes import FakePredictor, estimate
from PIL import Image
from typer.testing import CliRunner, Result

from mien.cli.evaluate import evaluate as command
from mien.data.manifest import read_manifest
from mien.errors import DataError, MienError
from mien.evaluation import Prediction, evaluate, read_predictions, score
from mien.evaluation.worst import worst_faces
from mien.pipeline.images import read_photo

ROWS = """path,age,gender,race,group,split,framing
faces/red.png,30,female,White,1,validation,utkface
faces/green.png,40,male,Black,2,validation,padded
faces/broken.png,50,male,Black,3,train,utkface
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two plain pictures, which the tiny model takes for faces, and one that is no picture."""
    (tmp_path / "faces").mkdir()
    for colour in ("red", "green"):
        Image.new("RGB", (60, 60), colour).save(tmp_path / "faces" / f"{colour}.png")
    (tmp_path / "faces" / "broken.png").write_text("not a picture")
    (tmp_path / "faces.csv").write_text(ROWS)
    return tmp_path / "faces.csv"


@pytest.fixture
def fake(tiny_model: Path) -> FakePredictor:
    return FakePredictor({"red.png": (estimate(33),), "green.png": (estimate(41),)}, tiny_model)


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_command_writes_predictions_and_report(manifest: Path, tiny_model: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "new" / "out.csv", tmp_path / "report"
    arguments = ("--manifest", manifest, "--model", tiny_model, "--split", "validation")
    result = run(*arguments, "--predictions", out, "--report", report)
    assert result.exit_code == 0, result.output
    assert pd.read_csv(out)["path"].tolist() == ["faces/red.png", "faces/green.png"]
    assert pd.read_csv(out)["detected"].tolist() == [True, True]
    assert (report / "index.html").exists() and (report / "metrics.json").exists()
    assert "Gender accuracy" in result.stdout and str(out) in result.stdout.replace("\n", "")


def test_brackets_in_a_manifests_name_are_printed(manifest: Path, tiny_model: Path) -> None:
    renamed = manifest.rename(manifest.with_name("faces [bold].csv"))
    try:
        result = run("--manifest", renamed, "--model", tiny_model, "--split", "validation")
    finally:
        renamed.rename(manifest)
    assert "faces [bold].csv" in " ".join(result.stdout.split())


def test_command_names_unreadable_pictures_and_does_the_others(
    manifest: Path, tiny_model: Path, tmp_path: Path
) -> None:
    result = run("--manifest", manifest, "--model", tiny_model, "--predictions", tmp_path / "out.csv")
    assert result.exit_code == 1
    assert "broken.png" in result.stderr and "broken.png" not in result.stdout
    table = read_predictions(tmp_path / "out.csv")
    assert table["detected"].tolist() == [True, True, False]


def test_command_detects_when_asked(tmp_path: Path, tiny_model: Path, astronaut: Path) -> None:
    (tmp_path / "faces.csv").write_text(f"path,age,gender\n{astronaut},45,female\n")
    result = run("--manifest", tmp_path / "faces.csv", "--model", tiny_model, "--faces", "detect")
    assert result.exit_code == 0, result.output
    assert "Detection rate" in result.stdout and "100.0" in result.stdout


@pytest.fixture
def photos(tmp_path: Path, astronaut: Path) -> Path:
    """A manifest of whole photos without a word on their framing."""
    rows = ["path,age"]
    for i in range(10):
        Image.fromarray(read_photo(astronaut).pixels).save(tmp_path / f"{i}.jpg", quality=90 - i)
        rows.append(f"{i}.jpg,41")
    (tmp_path / "photos.csv").write_text("\n".join(rows))
    return tmp_path / "photos.csv"


def test_command_says_that_photos_are_no_crops(photos: Path, tiny_model: Path) -> None:
    result = run("--manifest", photos, "--model", tiny_model)
    assert "do not look like crops of faces, but were evaluated as such; give --faces detect" in result.stderr
    assert "crops" not in run("--manifest", photos, "--model", tiny_model, "--faces", "detect").stderr


def test_faces_are_looked_for_in_rows_framed_as_photos(
    photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    read_manifest(photos).assign(framing="photo").to_csv(photos, index=False)
    framed, detected = tmp_path / "framed.csv", tmp_path / "detected.csv"
    run("--manifest", photos, "--model", tiny_model, "--predictions", framed)
    run("--manifest", photos, "--model", tiny_model, "--faces", "detect", "--predictions", detected)
    assert framed.read_text() == detected.read_text()


def test_only_the_split_is_evaluated(manifest: Path, fake: FakePredictor) -> None:
    evaluation = evaluate(manifest, fake, split="validation")
    assert len(evaluation.labels) == 2
    assert evaluation.scores.overall["mae"].value == 2


def test_unreadable_pictures_leave_the_figures_alone(manifest: Path, fake: FakePredictor) -> None:
    evaluation = evaluate(manifest, fake)
    assert evaluation.unreadable == ["broken.png is not a picture."]
    assert evaluation.scores.overall == evaluate(manifest, fake, split="validation").scores.overall


def test_a_table_of_predictions_scores_the_same_again(
    manifest: Path, fake: FakePredictor, tmp_path: Path
) -> None:
    evaluation = evaluate(manifest, fake, split="validation", predictions=tmp_path / "out.csv")
    labels = read_manifest(manifest).query("split == 'validation'")
    assert score(labels, read_predictions(tmp_path / "out.csv")) == evaluation.scores


def test_watch_sees_every_prediction(manifest: Path, fake: FakePredictor) -> None:
    seen = []

    def watch(predictions: Iterator[Prediction], total: int) -> Iterator[Prediction]:
        for prediction in predictions:
            seen.append((prediction.path, total))
            yield prediction

    evaluate(manifest, fake, watch=watch)
    assert seen == [("faces/red.png", 3), ("faces/green.png", 3), ("faces/broken.png", 3)]


def test_an_unknown_split_is_refused_with_those_there_are(manifest: Path, fake: FakePredictor) -> None:
    with pytest.raises(DataError, match=r"no row of the split 'test'; its splits are train, validation\."):
        evaluate(manifest, fake, split="test")


def test_a_manifest_without_rows_is_refused(tmp_path: Path, fake: FakePredictor) -> None:
    (tmp_path / "faces.csv").write_text("path,age\n")
    with pytest.raises(DataError, match="has no rows"):
        evaluate(tmp_path / "faces.csv", fake)


def test_a_missing_manifest_is_one_sentence(tmp_path: Path, tiny_model: Path) -> None:
    result = run("--manifest", tmp_path / "none.csv", "--model", tiny_model)
    assert isinstance(result.exception, MienError)
    assert "does not exist" in str(result.exception)


def test_outputs_are_tried_before_the_work(manifest: Path, fake: FakePredictor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="report cannot be created"):
        evaluate(manifest, fake, report=tmp_path / "file" / "report")
    with pytest.raises(DataError, match=r"out\.csv cannot be written"):
        evaluate(manifest, fake, predictions=tmp_path / "file" / "out.csv")
    assert fake.calls == []


@pytest.mark.slow
def test_several_models_on_several_manifests_share_a_page(
    manifest: Path, tiny_model: Path, tmp_path: Path
) -> None:
    again = manifest.with_name("again.csv")
    again.write_text(ROWS)
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_model.read_bytes())
    files = ("--manifest", manifest, "--manifest", again, "--model", tiny_model, "--model", other)
    result = run(*files, "--split", "validation", "--report", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "faces.csv" in result.stdout and "again.csv" in result.stdout
    page = (tmp_path / "report" / "index.html").read_text()
    for name in (tiny_model.stem, "other"):
        assert f'href="{name}/faces/index.html"' in page
        assert (tmp_path / "report" / name / "again" / "metrics.json").exists()


def test_predictions_of_several_models_do_not_fit_one_file(
    manifest: Path, tiny_model: Path, tmp_path: Path
) -> None:
    files = ("--manifest", manifest, "--model", tiny_model, "--model", tiny_model)
    result = run(*files, "--predictions", tmp_path / "out.csv")
    assert result.exit_code == 2
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(("bins", "drawn"), [(("8-34", "35-50"), True), (("8-36", "35-50"), False)])
def test_bins_that_overlap_are_judged_but_not_drawn(
    manifest: Path, fake: FakePredictor, tmp_path: Path, bins: tuple[str, str], drawn: bool
) -> None:
    manifest.write_text(f"path,age\nfaces/red.png,{bins[0]}\nfaces/green.png,{bins[1]}\n")
    evaluation = evaluate(manifest, fake, report=tmp_path / "report")
    assert evaluation.scores.overall["bin_accuracy"].value == 1
    assert (tmp_path / "report" / "age_bins.png").exists() == drawn


def test_a_part_is_asked_for_by_its_common_name(manifest: Path, fake: FakePredictor) -> None:
    assert len(evaluate(manifest, fake, split="val").labels) == 2


def test_genders_the_other_way_round_are_refused(manifest: Path, fake: FakePredictor) -> None:
    reversed_codes = "faces/red.png,30,male\nfaces/green.png,40,female\n" * 50
    manifest.write_text(f"path,age,gender\n{reversed_codes}")
    fake.answers = {"red.png": (estimate(33, 0.9),), "green.png": (estimate(41, 0.1),)}
    with pytest.raises(DataError, match=r"faces\.csv calls most faces female that look male .* reversed\?"):
        evaluate(manifest, fake)


@pytest.mark.slow
def test_stored_predictions_are_scored_from_the_command_line(
    manifest: Path, tiny_model: Path, tmp_path: Path
) -> None:
    arguments = ("--manifest", manifest, "--split", "validation")
    run(
        *arguments, "--model", tiny_model, "--predictions", tmp_path / "out.csv", "--report", tmp_path / "one"
    )
    result = run(*arguments, "--model", tmp_path / "out.csv", "--report", tmp_path / "two")
    assert result.exit_code == 0, result.output
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert {k: one[k] for k in ("overall", "groups", "detected")} == {
        k: two[k] for k in ("overall", "groups", "detected")
    }
    assert two["model"]["name"] == "out" and two["interval_coverage_aimed_at"] is None
    assert two["gender_probabilities"]["labelled"] == one["gender_probabilities"]["labelled"]


def test_stored_predictions_name_unreadable_pictures_too(
    manifest: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    first = run("--manifest", manifest, "--model", tiny_model, "--predictions", out)
    again = run("--manifest", manifest, "--model", out)
    assert again.exit_code == first.exit_code == 1
    assert again.stderr == first.stderr


def test_stored_predictions_of_other_pictures_are_refused(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text(
        "path,age,age_low,age_high,p_female,detected\na.png,30,20,40,0.5,true\n"
    )
    result = run("--manifest", manifest, "--model", tmp_path / "out.csv")
    assert isinstance(result.exception, DataError) and "3 labels but 1 predictions" in str(result.exception)


def test_stored_predictions_are_no_manifest(manifest: Path, fake: FakePredictor, tmp_path: Path) -> None:
    evaluate(manifest, fake, split="validation", predictions=tmp_path / "out.csv")
    with pytest.raises(DataError, match="is a table of predictions, without labels; give the manifest"):
        evaluate(tmp_path / "out.csv", fake)


@pytest.mark.slow
def test_a_comparison_says_how_far_a_model_differs_beyond_chance(
    manifest: Path, tiny_model: Path, tmp_path: Path
) -> None:
    arguments = ("--manifest", manifest, "--split", "validation", "--model", tiny_model)
    run(*arguments, "--predictions", tmp_path / "out.csv")
    older = pd.read_csv(tmp_path / "out.csv")
    older["age"] += 1.5
    older.to_csv(tmp_path / "older.csv", index=False)
    result = run(*arguments, "--compare", tmp_path / "older.csv", "--report", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "+1.50" in result.stdout and "paired bootstrap" in result.stdout
    [figures] = json.loads((tmp_path / "report" / "comparison.json").read_text()).values()
    assert figures["older"]["differences"]["bias"] == pytest.approx(
        {"value": 1.5, "low": 1.5, "high": 1.5, "n": 2}
    )
    assert figures[tiny_model.stem]["differences"] == {}
    page = (tmp_path / "report" / "index.html").read_text()
    assert f"older − {tiny_model.stem}" in page and "+1.50 (+1.50 to +1.50)" in page


def test_stored_predictions_cannot_be_recalibrated(manifest: Path, tmp_path: Path) -> None:
    result = run("--manifest", manifest, "--model", tmp_path / "out.csv", "--recalibrate")
    assert result.exit_code == 2 and "--recalibrate needs a model" in result.output


@pytest.mark.slow
def test_the_worst_faces_are_shown_only_if_asked(manifest: Path, tiny_model: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", manifest, "--split", "validation", "--model", tiny_model, "--report")
    run(*arguments, tmp_path / "without")
    run(*arguments, tmp_path / "with", "--worst", 1)
    without, with_ = ((tmp_path / name / "index.html").read_text() for name in ("without", "with"))
    assert "Worst faces" not in without and "data:image/jpeg" not in without
    assert "These are people" in with_ and "Largest age errors" in with_
    assert 1 <= with_.count("data:image/jpeg") <= 2


def test_worst_faces_need_a_report(manifest: Path, tiny_model: Path) -> None:
    result = run("--manifest", manifest, "--model", tiny_model, "--worst", 3)
    assert result.exit_code == 2 and "give --report too" in result.output


def test_the_worst_come_first_and_right_ones_not_at_all(manifest: Path, fake: FakePredictor) -> None:
    manifest.write_text(
        "path,age_low,age_high,gender\nfaces/red.png,30,39,male\nfaces/green.png,40,40,female\n"
    )
    fake.answers = {"red.png": (estimate(42, 0.9),), "green.png": (estimate(31, 0.8),)}
    (_, ages), (_, genders) = worst_faces(evaluate(manifest, fake), 5)
    assert [(face.name, face.labelled, face.estimated) for face in ages] == [
        ("faces/green.png", "labelled 40", "estimated 31"),
        ("faces/red.png", "labelled 30 to 39", "estimated 42"),
    ]
    assert [(face.name, face.estimated) for face in genders] == [("faces/red.png", "estimated female (90 %)")]
    assert len(worst_faces(evaluate(manifest, fake), 1)[0][1]) == 1
    assert worst_faces(evaluate(manifest, fake), 0) == []
