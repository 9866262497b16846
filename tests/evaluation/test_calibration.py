"""Calibrating a model on faces, and what is said of how well that holds."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from evaluation_fakes import labels
from PIL import Image

from mien.data.manifest import read_manifest
from mien.errors import DataError
from mien.evaluation import calibration, evaluate
from mien.evaluation.calibration import (
    Answers,
    calibrate_gender,
    calibrated,
    expected_calibration_error,
    gender_figures,
    observe,
    predict_crosswise,
    unsure_below,
)
from mien.pipeline.estimation import calibrated_p_female
from mien.pipeline.metadata import GenderCalibration, ModelMetadata
from mien.pipeline.model import Model
from mien.predictor import Predictor

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


def overconfident(n: int) -> tuple[Floats, Booleans]:
    """Answers whose log odds are twice what they should be."""
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, n)
    return 1 / (1 + np.exp(-2 * odds)), rng.random(n) < 1 / (1 + np.exp(-odds))


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 40 pictures of noise; pairs of rows are of one group."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (60, 60, 3), np.uint8)).save(folder / f"{i}.png")
    rows = {
        "path": [f"{i}.png" for i in range(40)],
        "age": rng.integers(10, 80, 40),
        "gender": ["male", "female"] * 20,
        "group": [f"g{i // 2}" for i in range(40)],
    }
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


def test_scaling_takes_back_overconfidence() -> None:
    p_female, female = overconfident(20_000)
    calibration = calibrate_gender(p_female, female)
    assert calibration.slope == pytest.approx(0.5, abs=0.03)
    assert calibration.intercept == pytest.approx(0, abs=0.05)
    scaled = calibrated_p_female(p_female, calibration)
    assert expected_calibration_error(scaled, female) < 0.02 < expected_calibration_error(p_female, female)


def test_the_error_of_calibration_is_the_distance_of_confidence_and_accuracy() -> None:
    p_female, female = np.full(10, 0.9), np.arange(10) < 6
    assert expected_calibration_error(p_female, female) == pytest.approx(0.3)


def test_labels_are_withheld_until_they_are_wrong_half_as_often() -> None:
    p_female, female = overconfident(20_000)
    threshold = unsure_below(p_female, female)
    wrong, sure = (p_female >= 0.5) != female, np.maximum(p_female, 1 - p_female)
    assert wrong[sure >= threshold].mean() <= wrong.mean() / 2 < wrong[sure >= threshold - 0.01].mean()


def test_too_few_faces_leave_the_probabilities_as_they_are() -> None:
    assert calibrate_gender(np.array([0.1, 0.9, 0.8]), np.array([False, True, True])) == GenderCalibration()


def test_reversed_genders_are_refused() -> None:
    p_female, female = overconfident(1000)
    with pytest.raises(DataError, match="codes of the genders reversed"):
        calibrate_gender(p_female, ~female)


def test_a_calibration_set_of_three_faces_is_refused(tiny_model: Path) -> None:
    answers = Answers(np.full((3, 101), 1 / 101), np.full(3, 0.5))
    with pytest.raises(DataError, match=r"at least 10 faces with exact ages; there are 3\."):
        calibrated(Model(tiny_model).metadata, labels(path=["a", "b", "c"]), answers)


def test_figures_tell_how_many_faces_have_a_label_and_how_many_labels_are_right() -> None:
    rows = labels(path=["a", "b", "c", "d"], gender=["female", "female", "male", ""])
    given = ["female", "uncertain", "female", "female"]
    predictions = pd.DataFrame({"p_female": [0.9, 0.55, 0.95, 0.9], "gender": given})
    figures = gender_figures(rows, predictions, 0.6)
    assert figures["n"] == 3
    assert figures["labelled"] == pytest.approx(2 / 3)
    assert figures["labelled_accuracy"] == pytest.approx(1 / 2)


def test_faces_without_labels_of_gender_have_no_figures() -> None:
    assert gender_figures(labels(path=["a"]), pd.DataFrame({"p_female": [0.9]}), 0.6) == {}


def intervals(table: pd.DataFrame, predictor: Predictor) -> list[tuple[float, float]]:
    return [(p.age_low, p.age_high) for p in predict_crosswise(table, predictor)]


@pytest.mark.parametrize("row", [0, 4, 20, 30])
def test_no_face_is_judged_by_a_calibration_that_it_or_its_group_was_part_of(
    noise: Path, tiny_model: Path, row: int
) -> None:
    predictor, table = Predictor(tiny_model), read_manifest(noise)
    before = intervals(table, predictor)
    table.loc[row, ["age_low", "age_high"]] = 100.0
    after = intervals(table, predictor)
    assert after[row : row + 2] == before[row : row + 2]  # itself and the other row of its group
    assert after != before


def test_every_face_is_judged_once_and_by_a_calibration_of_about_four_fifths(
    noise: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, counts = read_manifest(noise), []

    def count(metadata: ModelMetadata, rows: pd.DataFrame, answers: Answers) -> ModelMetadata:
        counts.append(len(rows))
        return calibrated(metadata, rows, answers)

    monkeypatch.setattr(calibration, "calibrated", count)
    judged = [p.path for p in predict_crosswise(table, Predictor(tiny_model))]
    assert judged == table["path"].tolist()
    assert counts == [32] * 5


def test_labels_are_judged_by_the_threshold_of_the_other_faces(
    noise: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = GenderCalibration(unsure_below=0.99)
    monkeypatch.setattr(calibration, "calibrate_gender", lambda p_female, female: strict)
    table, predictor = read_manifest(noise), Predictor(tiny_model)
    assert {p.gender for p in predict_crosswise(table, predictor)} == {"uncertain"}
    predictor.gender_threshold = 0.5
    assert {p.gender for p in predict_crosswise(table, predictor)} <= {"female", "male"}


@pytest.mark.parametrize("recalibrate", [False, True])
def test_the_threshold_of_the_predictor_is_the_one_that_is_judged(
    noise: Path, tiny_model: Path, recalibrate: bool
) -> None:
    def figures(threshold: float) -> Mapping[str, float]:
        predictor = Predictor(tiny_model, gender_threshold=threshold)
        return evaluate(noise, predictor, recalibrate=recalibrate).gender_probabilities

    assert (figures(0.5)["unsure_below"], figures(0.5)["labelled"]) == (0.5, 1.0)
    assert (figures(0.999)["unsure_below"], figures(0.999)["labelled"]) == (0.999, 0.0)


def test_observed_answers_are_the_models(noise: Path, tiny_model: Path) -> None:
    model, table = Model(tiny_model), read_manifest(noise)
    [face] = Predictor(model).predict(table["path"].iloc[3], faces="aligned")
    assert observe(model, table).p_female[3] == pytest.approx(face.gender.p_female)


def test_recalibration_is_said_in_the_figures(noise: Path, tiny_model: Path) -> None:
    document = evaluate(noise, Predictor(tiny_model), recalibrate=True).to_json()
    assert document["recalibrated"] is True
    assert document["gender_probabilities"]["n"] == 40


def test_recalibration_needs_crops(noise: Path, tiny_model: Path) -> None:
    with pytest.raises(DataError, match="leave out --recalibrate"):
        evaluate(noise, Predictor(tiny_model), faces="detect", recalibrate=True)


def error_by_hand(p_female: Floats, female: Booleans, bins: int) -> float:
    sure, right = np.maximum(p_female, 1 - p_female), (p_female >= 0.5) == female
    total = 0.0
    for i in range(bins):
        inside = (sure >= i / bins) & ((sure < (i + 1) / bins) | (i == bins - 1))
        if inside.any():
            total += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    return total


def test_the_error_of_calibration_has_15_bins_of_the_confidence() -> None:
    rng = np.random.default_rng(0)
    p_female, female = rng.random(300), rng.random(300) < 0.5
    found = expected_calibration_error(p_female, female)
    assert found == pytest.approx(error_by_hand(p_female, female, 15))
    assert min(abs(found - error_by_hand(p_female, female, bins)) for bins in (10, 12, 14, 16, 20)) > 1e-4


def test_full_confidence_is_in_the_last_bin() -> None:
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([True, True])) == pytest.approx(0.5)


def test_a_label_as_sure_as_the_threshold_counts_as_given() -> None:
    assert unsure_below(np.array([0.9] * 9 + [0.75]), np.array([True] * 9 + [False])) == 0.76
