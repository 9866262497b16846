import math

import numpy as np
import pandas as pd
import pytest
from evaluation_fakes import labels, predictions
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mien.evaluation import METRICS, Measurement, score
from mien.evaluation.metrics import cluster_numbers, differences, face_values

Pairs = list[tuple[float, float]]
PAIRS = st.lists(st.tuples(st.integers(0, 116), st.floats(0, 116)), min_size=2, max_size=20)


def measured(label: pd.DataFrame, predicted: pd.DataFrame) -> dict[str, Measurement]:
    return dict(score(label, predicted, replicates=20).overall)


def ages(pairs: Pairs) -> dict[str, Measurement]:
    true, predicted = ([float(v) for v in column] for column in zip(*pairs, strict=True))
    return measured(labels(age_low=true, age_high=true), predictions(age=predicted))


@settings(deadline=None, max_examples=40)
@given(PAIRS)
def test_errors_agree_with_scikit_learn(pairs: Pairs) -> None:
    found = ages(pairs)
    true, predicted = zip(*pairs, strict=True)
    assert found["mae"].value == pytest.approx(sk.mean_absolute_error(true, predicted))
    assert found["mse"].value == pytest.approx(sk.mean_squared_error(true, predicted))
    assert found["rmse"].value == pytest.approx(sk.root_mean_squared_error(true, predicted))


@settings(deadline=None, max_examples=40)
@given(PAIRS)
def test_rmse_is_no_less_than_mae_and_mae_no_less_than_bias(pairs: Pairs) -> None:
    found = ages(pairs)
    assert found["rmse"].value >= found["mae"].value - 1e-9
    assert found["mae"].value >= abs(found["bias"].value) - 1e-9


@settings(deadline=None, max_examples=40)
@given(PAIRS)
def test_shares_and_their_intervals_lie_between_0_and_1(pairs: Pairs) -> None:
    found = ages(pairs)
    for metric in METRICS:
        if metric.unit == "share" and metric.name in found:
            one = found[metric.name]
            assert 0 <= one.low <= one.high <= 1 and 0 <= one.value <= 1


def test_cs5_counts_five_years_as_within() -> None:
    assert ages([(30, 35), (30, 25), (30, 35.1), (30, 20)])["cs5"].value == 0.5


def test_bias_is_positive_where_judged_too_old() -> None:
    assert ages([(30, 33), (30, 31)])["bias"].value == 2


def test_gender_accuracy_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    p_female, female = random.random(100), random.random(100) < 0.5
    found = measured(
        labels(gender=["female" if f else "male" for f in female]), predictions(p_female=list(p_female))
    )
    assert found["gender_accuracy"].value == pytest.approx(sk.accuracy_score(female, p_female >= 0.5))


def test_faces_without_a_gender_label_do_not_count_in_its_accuracy() -> None:
    found = measured(labels(gender=["female", "", "male"]), predictions(p_female=[0.9, 0.9, 0.9]))
    assert (found["gender_accuracy"].value, found["gender_accuracy"].n) == (0.5, 2)


def test_coverage_counts_the_ends_of_the_interval() -> None:
    true = [20.0, 40.0, 19.9, 41.0]
    found = measured(labels(age_low=true, age_high=true), predictions(age=[30.0] * 4))
    assert found["coverage"].value == 0.5


def test_width_is_the_mean_of_high_minus_low() -> None:
    found = measured(labels(age_low=[30.0] * 2), predictions(age_low=[20.0, 25.0], age_high=[30.0, 31.0]))
    assert found["width"].value == 8


@pytest.mark.parametrize(("years", "inside"), [(2.49, 0), (2.5, 1), (9.49, 1), (9.5, 0)])
def test_bin_accuracy_rounds_to_the_nearest_year(years: float, inside: float) -> None:
    found = measured(labels(age_low=[3.0], age_high=[9.0]), predictions(age=[years]))
    assert found["bin_accuracy"].value == inside


def test_errors_are_not_defined_for_bins_nor_bins_for_ages() -> None:
    binned = measured(labels(age_low=[3.0], age_high=[9.0]), predictions())
    exact = measured(labels(), predictions())
    assert not {"mae", "rmse", "mse", "cs5", "bias", "coverage"} & set(binned)
    assert "bin_accuracy" in binned and "bin_accuracy" not in exact


NOT_FOUND = {
    "age": [33.0, np.nan],
    "age_low": [23.0, np.nan],
    "age_high": [43.0, np.nan],
    "p_female": [0.9, np.nan],
}


def test_faces_not_found_count_in_the_detection_rate_only() -> None:
    found = measured(labels(gender=["female"] * 2), predictions(**NOT_FOUND, detected=[True, False]))
    assert (found["detection_rate"].value, found["detection_rate"].n) == (0.5, 2)
    assert {found[name].n for name in ("mae", "gender_accuracy", "coverage", "width")} == {1}


def test_unreadable_pictures_count_nowhere() -> None:
    predicted = predictions(**NOT_FOUND, detected=[True, False], unreadable=[False, True])
    found = measured(labels(gender=["female"] * 2), predicted)
    assert {one.n for one in found.values()} == {1}


def test_a_group_is_resampled_together() -> None:
    predicted = predictions(age=[30.0, 40.0, 30.0, 40.0])
    pairs = score(labels(group=["a", "a", "b", "b"]), predicted).overall["mae"]
    alone = score(labels(group=["", "", "", ""]), predicted).overall["mae"]
    assert (pairs.low, pairs.high) == (5, 5)
    assert alone.low < 5 < alone.high


def test_a_single_face_or_group_has_no_interval() -> None:
    alone = measured(labels(), predictions(age=[33.0]))["mae"]
    pair = measured(labels(group=["a", "a"]), predictions(age=[33.0, 31.0]))["mae"]
    assert (alone.value, pair.value) == (3, 2)
    assert all(math.isnan(end) for one in (alone, pair) for end in (one.low, one.high))


def paired(first: list[float], second: list[float], **columns: list[str]) -> Measurement:
    """Difference of the mean absolute errors of two models."""
    label = labels(path=[f"{i}.jpg" for i in range(len(first))], **columns)
    own, other = (face_values(label, predictions(age=years)) for years in (first, second))
    return differences(own, other, cluster_numbers(label["group"]))["mae"]


def test_a_difference_is_the_seconds_less_the_firsts() -> None:
    assert paired([31.0, 33.0], [32.0, 36.0]).value == 2


def test_what_makes_a_face_hard_for_both_does_not_widen_the_difference() -> None:
    errors = np.random.default_rng(0).exponential(5, 200)
    narrow = paired(list(30 + errors), list(30 + errors + 0.1))
    assert (narrow.low, narrow.high) == pytest.approx((0.1, 0.1))
    own, other = (ages([(30, 30 + e) for e in errors + more])["mae"] for more in (0, 0.1))
    assert own.high > other.low  # side by side the two cannot be told apart


def test_a_difference_by_chance_has_0_in_its_interval() -> None:
    one, other = np.random.default_rng(0).normal(30, 5, (2, 300))
    found = paired(list(one), list(other))
    assert found.low < 0 < found.high


def test_groups_are_resampled_together_in_differences_too() -> None:
    first, second = [30.0] * 40, [31.0, 33.0] * 20
    pairs = paired(first, second, group=[f"{i // 2}" for i in range(40)])
    assert (pairs.low, pairs.high) == (2, 2)
    assert paired(first, second).low < 2


def test_only_faces_that_both_found_are_compared() -> None:
    found = paired([31.0, 35.0, math.nan], [32.0, math.nan, 90.0])
    assert (found.value, found.n) == (1, 1)


def test_a_root_is_taken_before_the_difference() -> None:
    label = labels(path=["a", "b"])
    own, other = (face_values(label, predictions(age=years)) for years in ([33.0, 34.0], [36.0, 38.0]))
    found = differences(own, other, cluster_numbers(label["group"]))
    assert found["rmse"].value == pytest.approx(50**0.5 - 12.5**0.5)


def test_a_coin_toss_counts_as_female() -> None:
    found = measured(labels(gender=["female", "male"]), predictions(p_female=[0.5, 0.5]))
    assert found["gender_accuracy"].value == 0.5
    assert measured(labels(gender=["female"]), predictions(p_female=[0.5]))["gender_accuracy"].value == 1
