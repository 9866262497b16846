import math

import numpy as np
import pandas as pd
import pytest
from evaluation_fakes import labels, predictions
from hypothesis import given
from hypothesis import strategies as st

from mien.evaluation import score
from mien.evaluation.thresholds import CHALLENGE_AGES, threshold_values


def ages(*years: float) -> pd.DataFrame:
    return labels(age_low=list(years), age_high=list(years))


def test_a_minor_passes_from_the_challenge_age_on() -> None:
    values = threshold_values(ages(17, 17), predictions(age=[24.9, 25.0]))
    assert values["false_adult_25"].tolist() == [0, 1]


def test_an_adult_below_the_challenge_age_is_asked_for_more() -> None:
    values = threshold_values(ages(18, 70), predictions(age=[24.9, 25.0]))
    assert values["false_minor_25"].tolist() == [1, 0]


def test_each_face_is_of_one_kind() -> None:
    values = threshold_values(ages(17, 18), predictions(age=[20.0, 20.0]))
    assert values["false_adult_21"].isna().tolist() == [False, True]
    assert values["false_minor_21"].isna().tolist() == [True, False]


def test_a_bin_across_the_legal_age_is_of_neither_kind() -> None:
    bins = labels(age_low=[3.0, 10.0, 20.0], age_high=[9.0, 19.0, 29.0])
    values = threshold_values(bins, predictions(age=[20.0, 20.0, 20.0]))
    assert values["false_adult_18"].tolist()[0] == 1
    assert values.iloc[1].isna().all()
    assert values["false_minor_18"].tolist()[2] == 0


def test_a_face_that_was_not_found_does_not_count() -> None:
    assert threshold_values(ages(30), predictions(age=[math.nan])).isna().all(axis=None)


@given(st.lists(st.tuples(st.integers(0, 116), st.floats(0, 116)), min_size=1, max_size=20))
def test_a_higher_challenge_age_lets_fewer_pass_of_both(faces: list[tuple[int, float]]) -> None:
    true, estimated = zip(*faces, strict=True)
    values = threshold_values(ages(*map(float, true)), predictions(age=list(estimated))).fillna(0)
    for kind, sign in (("false_adult", -1), ("false_minor", 1)):
        rates = [values[f"{kind}_{age}"].sum() for age in CHALLENGE_AGES]
        assert (sign * np.diff(rates) >= 0).all()


def test_scores_hold_rates_by_gender() -> None:
    label = ages(10, 40, 40)
    label["gender"] = ["female", "female", "male"]
    found = score(label, predictions(age=[22.0, 22.0, 40.0]), replicates=10).to_json()["thresholds"]
    assert found["legal_age"] == 18
    assert found["overall"]["false_adult_21"]["value"] == 1
    assert found["overall"]["false_minor_25"]["value"] == 0.5
    assert found["groups"]["gender"]["male"]["false_minor_25"]["value"] == 0


@pytest.mark.parametrize("age", [10.0, 40.0])
def test_without_minors_or_without_adults_there_are_no_rates(age: float) -> None:
    assert score(ages(age, age), predictions(age=[22.0, 22.0]), replicates=10).thresholds is None
