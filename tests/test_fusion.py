"""One estimate from several looks at one person."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import AgeEstimate, Box, Estimate, GenderEstimate, Predictor, fuse
from mien.fusion import Fusion, weight_of
from mien.pipeline.intervals import age_at

AGES = 20


@st.composite
def looks(draw: st.DrawFn) -> Estimate:
    """A look with any distribution, size and flags; its interval leaves out a twentieth at each end."""
    mass = np.array(draw(st.lists(st.floats(0.001, 1), min_size=AGES, max_size=AGES)))
    ages = mass / mass.sum()
    years, low, high = (float(age_at(ages[None], share)[0]) for share in (0.5, 0.05, 0.95))
    side = draw(st.floats(1, 500))
    return Estimate(
        Box(0, 0, side, side),
        draw(st.floats(0, 1)),
        AgeEstimate(years, low, high, 0.9, ((10, float(ages[10:].sum())),), tuple(ages.tolist())),
        GenderEstimate(draw(st.floats(0, 1))),
        tuple(draw(st.sets(st.sampled_from(["blurred", "dark", "small_face"])))),
        sharpness=draw(st.none() | st.floats(0, 2)),
    )


@given(looks(), st.integers(1, 8))
def test_looks_that_are_alike_say_no_more_than_one(look: Estimate, count: int) -> None:
    fused = fuse([look] * count).age
    for end in ("years", "low", "high"):
        assert getattr(fused, end) == pytest.approx(getattr(look.age, end), abs=1e-6)


@given(st.lists(looks(), min_size=1, max_size=6))
def test_the_fused_age_lies_between_those_of_the_looks(several: list[Estimate]) -> None:
    fused = fuse(several)
    years, p_female = [look.age.years for look in several], [look.gender.p_female for look in several]
    assert min(years) - 1e-6 <= fused.age.years <= max(years) + 1e-6
    assert fused.age.low <= fused.age.years <= fused.age.high
    assert min(p_female) - 1e-9 <= fused.gender.p_female <= max(p_female) + 1e-9
    assert sum(fused.age.distribution or ()) == pytest.approx(1)
    assert dict(fused.age.at_least)[10] == pytest.approx(sum((fused.age.distribution or ())[10:]))


@given(st.lists(looks(), min_size=1, max_size=6), st.randoms())
def test_the_order_of_the_looks_does_not_matter(several: list[Estimate], chance: object) -> None:
    shuffled = list(several)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' own Random
    assert fuse(shuffled).age.years == pytest.approx(fuse(several).age.years)


@given(looks())
def test_a_look_counts_the_less_the_worse_it_can_be_seen(look: Estimate) -> None:
    clear = replace(look, box=Box(0, 0, 200, 200), flags=(), sharpness=1.0)
    small, dark = replace(clear, box=Box(0, 0, 40, 40)), replace(clear, flags=("dark",))
    for worse in (small, dark, replace(clear, sharpness=0.05)):
        assert 0 < weight_of(worse) < weight_of(clear)


def test_place_and_flags_are_those_of_the_best_look(astronaut: Path) -> None:
    [face] = Predictor().predict(astronaut, distribution=True)
    blurred = replace(face, flags=("blurred",), box=Box(0, 0, 50, 50))
    fused = fuse([blurred, face, blurred])
    assert (fused.box, fused.flags, fused.landmarks) == (face.box, (), face.landmarks)


def test_a_missing_distribution_is_named_in_a_sentence(astronaut: Path) -> None:
    with pytest.raises(ValueError, match="no age distribution to fuse; predict with distribution=True"):
        fuse(Predictor().predict(astronaut))


def test_nothing_cannot_be_fused() -> None:
    with pytest.raises(ValueError, match="at least one estimate"):
        fuse([])


@given(looks())
def test_looks_that_were_asked_for_otherwise_are_refused(look: Estimate) -> None:
    other = replace(look, age=replace(look.age, coverage=0.8))
    with pytest.raises(ValueError, match="differ in coverage"):
        fuse([look, other])


@given(looks())
def test_any_number_of_looks_keeps_the_same_memory(look: Estimate) -> None:
    fusion = Fusion()
    for _ in range(50):
        fusion.add(look)
    assert len(fusion) == 50
    assert fusion.estimate().age.years == pytest.approx(look.age.years, abs=1e-6)
