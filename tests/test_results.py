"""Numbers as people and programs read them: rounded once."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mien.results import AgeEstimate, Box, Estimate, GenderEstimate, whole_percent, whole_years

years = st.floats(0, 116)
probabilities = st.floats(0, 1)


def face(age: float = 30.0, p_female: float = 0.5, at_least: float = 0.5) -> dict[str, Any]:
    interval = AgeEstimate(age, age, age, 0.9, ((18, at_least),))
    return Estimate(Box(0, 0, 9, 9), 1.0, interval, GenderEstimate(p_female)).to_json()


@given(years)
@example(30.46)
@example(30.45)
@example(29.99999)
def test_the_nearest_whole_year_is_the_same_before_and_after_rounding_to_tenths(age: float) -> None:
    written = face(age=age)["age"]["years"]
    assert whole_years(written) == whole_years(age)
    assert abs(whole_years(age) - age) <= 0.5
    assert abs(written - age) <= 0.1 and written == round(written, 1)


def test_both_ends_of_the_interval_are_rounded_likewise() -> None:
    assert (face(age=30.46)["age"]["low"], face(age=30.46)["age"]["high"]) == (30.4, 30.4)


@given(probabilities)
@example(0.7146)
@example(0.2854)
def test_the_nearest_whole_percent_of_the_likelier_gender_is_the_same_too(p_female: float) -> None:
    written, gender = face(p_female=p_female)["gender"], GenderEstimate(p_female)
    assert whole_percent(written["probability"]) == whole_percent(gender.probability)
    assert abs(written["p_female"] - p_female) <= 0.00101


@given(probabilities)
@example(0.4996)
def test_the_likelier_gender_can_be_read_from_the_rounded_probability(p_female: float) -> None:
    written = GenderEstimate(face(p_female=p_female)["gender"]["p_female"])
    assert written.likelier == GenderEstimate(p_female).likelier
    assert whole_percent(written.probability) == whole_percent(GenderEstimate(p_female).probability)


@given(probabilities)
@example(0.97460001)
def test_the_nearest_whole_percent_of_being_so_old_is_the_same_too(probability: float) -> None:
    written = face(at_least=probability)["age"]["at_least"]["18"]
    assert whole_percent(written) == whole_percent(probability)


@pytest.mark.parametrize(("p_female", "label"), [(0.75, "female"), (0.25, "male"), (0.7499, "uncertain")])
def test_a_label_is_given_from_its_threshold_on(p_female: float, label: str) -> None:
    assert GenderEstimate(p_female, unsure_below=0.75).label == label


def test_a_coin_toss_is_called_female() -> None:
    assert (GenderEstimate(0.5).likelier, GenderEstimate(0.5).label) == ("female", "female")
