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
    draw_ages,
    must_judge_by_bins,
    observe,
    predict_crosswise,
    unsure_below,
)
from mien.evaluation.metrics import expected_calibration_error, gender_figures
from mien.pipeline.estimation import calibrated_p_female
from mien.pipeline.intervals import age_interval
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


def grown_up(faces: Booleans) -> Floats:
    return np.full(len(faces), 40.0)


def test_scaling_takes_back_overconfidence() -> None:
    p_female, female = overconfident(20_000)
    calibration = calibrate_gender(p_female, female, grown_up(female))
    assert calibration.slope == pytest.approx(0.5, abs=0.03)
    assert calibration.intercept == pytest.approx(0, abs=0.05)
    scaled = calibrated_p_female(p_female, calibration)
    assert expected_calibration_error(scaled, female) < 0.02 < expected_calibration_error(p_female, female)


def test_the_error_of_calibration_is_the_distance_of_confidence_and_accuracy() -> None:
    p_female, female = np.full(10, 0.9), np.arange(10) < 6
    assert expected_calibration_error(p_female, female) == pytest.approx(0.3)


def test_labels_are_withheld_until_they_are_wrong_half_as_often() -> None:
    p_female, female = overconfident(20_000)
    calibration = calibrate_gender(p_female, female, grown_up(female))
    likely, threshold = calibrated_p_female(p_female, calibration), calibration.unsure_below
    wrong, sure = (likely >= 0.5) != female, np.maximum(likely, 1 - likely)
    assert wrong[sure >= threshold].mean() <= wrong.mean() / 2 < wrong[sure >= threshold - 0.01].mean()


def test_too_few_faces_leave_the_probabilities_as_they_are() -> None:
    female = np.array([False, True, True])
    assert calibrate_gender(np.array([0.1, 0.9, 0.8]), female, grown_up(female)) == GenderCalibration()


def test_reversed_genders_are_refused() -> None:
    p_female, female = overconfident(1000)
    with pytest.raises(DataError, match="codes of the genders reversed"):
        calibrate_gender(p_female, ~female, grown_up(female))


def children_and_adults(child_noise: float) -> tuple[Floats, Booleans, Floats]:
    """p(female), genders and ages of 500 children and 2,000 adults; children's log odds have more noise."""
    rng = np.random.default_rng(0)
    female, years = rng.random(2500) < 0.5, np.repeat([2.0, 40.0], [500, 2000])
    odds = np.where(female, 3.0, -3.0) + np.where(years < 5, child_noise, 1.8) * rng.normal(size=2500)
    return 1 / (1 + np.exp(-odds)), female, years


def test_labels_of_children_are_no_more_often_wrong_than_those_of_all() -> None:
    p_female, female, years = children_and_adults(2.5)
    calibration = calibrate_gender(p_female, female, years)
    likely = calibrated_p_female(p_female, calibration)
    wrong, sure = (likely >= 0.5) != female, np.maximum(likely, 1 - likely)
    child, own = years < 5, calibration.child_unsure_below
    assert own is not None and calibration.unsure_below < own < 1
    assert wrong[child & (sure >= own)].mean() <= wrong.mean() / 2
    assert wrong[child & (sure >= calibration.unsure_below)].mean() > wrong.mean() / 2


def test_children_whose_gender_is_a_guess_get_no_label() -> None:
    assert calibrate_gender(*children_and_adults(50)).child_unsure_below == 1


def test_too_few_children_have_no_threshold_of_their_own() -> None:
    p_female, female, years = children_and_adults(50)
    assert calibrate_gender(p_female[460:], female[460:], years[460:]).child_unsure_below is None


def test_a_calibration_set_of_three_faces_is_refused(tiny_model: Path) -> None:
    answers = Answers(np.full((3, 101), 1 / 101), np.full(3, 0.5))
    with pytest.raises(DataError, match=r"at least 10 faces with exact ages; there are 3\."):
        calibrated(Model(tiny_model).metadata, labels(path=["a", "b", "c"]), answers)


BINS = ((0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, 116))
"""FairFace's."""


def faces_in_bins(n: int, spread: float = 8.0, said: float = 8.0) -> tuple[Floats, Floats, pd.DataFrame]:
    """Distributions that claim a spread, true ages of another, and rows that know these as bins."""
    rng = np.random.default_rng(3)
    centre = rng.uniform(15, 75, n)
    support = np.arange(117)
    mass = np.exp(-((support - centre[:, None]) ** 2) / (2 * said**2))
    ages = np.clip(np.round(rng.normal(centre, spread)), 0, 116)
    starts = np.array([low for low, _ in BINS])
    bins = np.searchsorted(starts, ages, side="right") - 1
    low, high = (np.array(BINS, float)[bins, i] for i in (0, 1))
    rows = labels(path=[f"{i}.jpg" for i in range(n)], age_low=low.tolist(), age_high=high.tolist())
    return mass / mass.sum(1, keepdims=True), ages, rows


def test_ages_are_drawn_within_their_bins() -> None:
    mass, _, rows = faces_in_bins(500)
    drawn = draw_ages(mass, rows)
    assert ((rows["age_low"] <= drawn) & (drawn <= rows["age_high"])).all()
    assert (drawn == draw_ages(mass, rows)).all()
    assert (drawn != draw_ages(mass, rows, seed=1)).any()


def test_drawn_ages_are_spread_as_the_model_says_they_are() -> None:
    mass, ages, rows = faces_in_bins(4000)
    cdf = np.cumsum(mass, axis=1)
    for years in (draw_ages(mass, rows), ages):  # the drawn ones are as honest as the true ones
        at = np.arange(len(years)), years.astype(int)
        transform = cdf[at] - mass[at] / 2
        assert np.quantile(transform, [0.1, 0.25, 0.5, 0.75, 0.9]) == pytest.approx(
            [0.1, 0.25, 0.5, 0.75, 0.9], abs=0.03
        )


def test_exact_ages_stay_as_they_are_and_impossible_bins_are_filled_evenly() -> None:
    mass = np.zeros((3000, 117))
    mass[:, 20] = 1
    rows = labels(path=["x"] * 3000, age_low=[30.5] + [40.0] * 2999, age_high=[30.5] + [44.0] * 2999)
    drawn = draw_ages(mass, rows)
    assert drawn[0] == 30.5
    assert set(drawn[1:]) == {40, 41, 42, 43, 44}
    assert (np.unique(drawn[1:], return_counts=True)[1] > 500).all()


def test_a_bin_beyond_the_ages_of_the_model_is_its_last_age() -> None:
    rows = labels(path=["a"], age_low=[120.0], age_high=[130.0])
    assert draw_ages(np.full((1, 117), 1 / 117), rows).tolist() == [116]


@pytest.mark.parametrize(("spread", "said", "least", "most"), [(8, 8, 0.89, 0.95), (16, 8, 0.83, 0.9)])
def test_intervals_from_bins_hold_the_true_ages(
    tiny_model: Path, spread: float, said: float, least: float, most: float
) -> None:
    """A model that claims half of its errors held 0.59 as it was: that shows in the bins, but not within."""
    mass, ages, rows = faces_in_bins(6000, spread, said)
    answers = Answers(mass, np.full(len(rows), 0.5))
    metadata = Model(tiny_model).metadata.model_copy(update={"age_min": 0, "age_max": 116})
    first = np.arange(len(rows)) < 3000
    found = calibrated(metadata, rows[first], answers[first], by_bins=True)
    assert found.interval.from_bins
    assert "known as bins" in found.age_note
    low, high = age_interval(mass[~first], found.interval, 0.9)
    held = ((low <= ages[~first]) & (ages[~first] <= high)).mean()
    assert least < held < most


def test_bins_count_where_exact_ages_are_too_few() -> None:
    exact = labels(path=["a"] * 9)
    bins = labels(path=["b"] * 20, age_high=[39.0] * 20)
    assert must_judge_by_bins(pd.concat([exact, bins]))
    assert not must_judge_by_bins(pd.concat([exact, exact, bins]))
    assert not must_judge_by_bins(exact)


def test_figures_tell_how_many_faces_have_a_label_and_how_many_labels_are_right() -> None:
    rows = labels(path=["a", "b", "c", "d"], gender=["female", "female", "male", ""])
    given = ["female", "uncertain", "female", "female"]
    predictions = pd.DataFrame({"p_female": [0.9, 0.55, 0.95, 0.9], "gender": given})
    figures = gender_figures(rows, predictions, {"unsure_below": 0.6})
    assert figures["n"] == 3
    assert figures["labelled"] == pytest.approx(2 / 3)
    assert figures["labelled_accuracy"] == pytest.approx(1 / 2)


def test_faces_without_labels_of_gender_have_no_figures() -> None:
    assert gender_figures(labels(path=["a"]), pd.DataFrame({"p_female": [0.9]}), {}) == {}


def intervals(table: pd.DataFrame, predictor: Predictor) -> list[tuple[float, float]]:
    return [(p.age_low, p.age_high) for p in predict_crosswise(table, predictor)]


@pytest.mark.parametrize("row", [0, 4, 20, 30])
def test_no_face_is_judged_by_a_calibration_that_it_or_its_group_was_part_of(
    noise: Path, tiny_model: Path, row: int
) -> None:
    predictor, table = Predictor(tiny_model), read_manifest(noise)
    for column in ("age_low", "age_high"):  # far from what the model says, or its own intervals would do
        table[column] = 90.0 + np.arange(len(table)) % 10
    before = intervals(table, predictor)
    table.loc[row, ["age_low", "age_high"]] = 0.0
    after = intervals(table, predictor)
    assert after[row : row + 2] == before[row : row + 2]  # itself and the other row of its group
    assert after != before


def test_every_face_is_judged_once_and_by_a_calibration_of_about_four_fifths(
    noise: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, counts = read_manifest(noise), []

    def count(
        metadata: ModelMetadata, rows: pd.DataFrame, answers: Answers, *, by_bins: bool
    ) -> ModelMetadata:
        counts.append(len(rows))
        return calibrated(metadata, rows, answers, by_bins=by_bins)

    monkeypatch.setattr(calibration, "calibrated", count)
    judged = [p.path for p in predict_crosswise(table, Predictor(tiny_model))]
    assert judged == table["path"].tolist()
    assert counts == [32] * 5


def test_labels_are_judged_by_the_threshold_of_the_other_faces(
    noise: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = GenderCalibration(unsure_below=0.99)
    monkeypatch.setattr(calibration, "calibrate_gender", lambda p_female, female, years: strict)
    table, predictor = read_manifest(noise), Predictor(tiny_model)
    assert {p.gender for p in predict_crosswise(table, predictor)} == {"uncertain"}
    predictor.gender_threshold = 0.5
    assert {p.gender for p in predict_crosswise(table, predictor)} <= {"female", "male"}


@pytest.mark.slow
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
    assert unsure_below(np.array([0.9] * 9 + [0.75]), np.array([True] * 9 + [False]), 0.05) == 0.76
