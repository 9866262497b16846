"""Intervals: properties for any distribution, and the promised coverage."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mien.evaluation.calibration import COVERAGES, calibrate_ages
from mien.pipeline.intervals import age_interval, median_age
from mien.pipeline.metadata import IntervalCalibration

Mass = npt.NDArray[np.float64]

CALIBRATION = IntervalCalibration(coverage=(0.5, 0.8, 0.99), half_mass=((0.2,), (0.4,), (0.5,)), n=10)
BINS = 30

weights = arrays(np.float64, (3, BINS), elements=st.floats(0, 1)).filter(
    lambda w: bool((w.sum(1) > 1e-6).all())
)
masses = weights.map(lambda w: w / w.sum(1, keepdims=True))
coverages = st.floats(0.5, 0.99)


def normal_mass(centres: Mass, spread: Mass, bins: int = 100) -> Mass:
    mass = np.exp(-(((np.arange(bins) - centres[:, None]) / spread[:, None]) ** 2) / 2)
    return np.asarray(mass / mass.sum(1, keepdims=True))


def faces(n: int, seed: int) -> tuple[Mass, npt.NDArray[np.int64]]:
    """Predictions and labels of a model that is too sure of itself by a factor of about two."""
    rng = np.random.default_rng(seed)
    centres, spread = rng.uniform(10, 80, n), rng.uniform(1, 4, n)
    ages = np.rint(rng.normal(centres, 2 * spread)).clip(0, 99).astype(int)
    return normal_mass(centres, spread), ages


def two_kinds(n: int, seed: int) -> tuple[Mass, npt.NDArray[np.int64]]:
    """A model that is surer of children than it may be, and less sure of adults; as many of each."""
    rng = np.random.default_rng(seed)
    ages = np.where(np.arange(n) % 2, rng.integers(12, 20, n), rng.integers(20, 28, n))
    centres = rng.normal(ages, np.where(ages < 20, 4.0, 1.5))
    return normal_mass(centres, np.full(n, 2.5), bins=40), ages


@given(masses, coverages, st.sampled_from([0, 10]))
def test_interval_is_ordered_and_within_the_ages(mass: Mass, coverage: float, age_min: int) -> None:
    low, high = age_interval(mass, CALIBRATION, coverage, age_min=age_min)
    assert (low >= 0).all()
    assert (low <= high).all()
    assert (high <= age_min + BINS - 1).all()


@given(masses, coverages, coverages)
def test_more_coverage_never_gives_less_interval(mass: Mass, one: float, other: float) -> None:
    low_a, high_a = age_interval(mass, CALIBRATION, min(one, other))
    low_b, high_b = age_interval(mass, CALIBRATION, max(one, other))
    assert (low_b <= low_a + 1e-9).all()
    assert (high_b >= high_a - 1e-9).all()


@given(masses)
def test_full_half_mass_gives_all_ages(mass: Mass) -> None:
    low, high = age_interval(mass, CALIBRATION, 0.99)
    assert (low == 0).all()
    assert (high == BINS - 1).all()


def test_quantiles_lie_within_bins() -> None:
    mass = np.zeros((1, BINS))
    mass[0, [10, 20]] = 0.5
    table = IntervalCalibration(coverage=(0.5, 0.9), half_mass=((0.25,), (0.45,)), n=1)
    low, high = age_interval(mass, table, 0.5)
    assert low[0] == pytest.approx(10.0)  # half of age 10's mass, spread over 9.5 to 10.5
    assert high[0] == pytest.approx(20.0)


def test_half_mass_is_interpolated_between_coverages() -> None:
    mass = np.full((1, 100), 0.01)
    table = IntervalCalibration(coverage=(0.5, 0.9), half_mass=((0.2,), (0.4,)), n=1)
    low, high = age_interval(mass, table, 0.7)
    assert (low[0], high[0]) == pytest.approx((19.5, 79.5))


def test_no_faces_give_no_intervals() -> None:
    low, high = age_interval(np.empty((0, BINS)), CALIBRATION, 0.9)
    assert low.shape == high.shape == (0,)


@pytest.mark.parametrize("coverage", [0.4, 0.995, float("nan")])
def test_coverage_outside_the_calibrated_range_is_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match=r"between 0\.5 and 0\.99"):
        age_interval(np.full((1, BINS), 1 / BINS), CALIBRATION, coverage)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_intervals_reach_their_coverage_on_new_faces(coverage: float) -> None:
    calibration = calibrate_ages(*faces(4000, seed=1))
    mass, ages = faces(8000, seed=2)
    low, high = age_interval(mass, calibration, coverage)
    assert np.mean((low <= ages) & (ages <= high)) == pytest.approx(coverage, abs=0.02)


@given(st.integers(10, 60), st.integers(0, 1000))
def test_calibration_covers_at_least_its_share_of_its_own_faces(n: int, seed: int) -> None:
    mass, ages = faces(n, seed)
    calibration = calibrate_ages(mass, ages)
    for coverage in (0.5, 0.77, 0.9, 0.99):
        low, high = age_interval(mass, calibration, coverage)
        assert np.sum((low <= ages + 1e-6) & (ages - 1e-6 <= high)) >= np.floor(n * coverage)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_the_promise_is_kept_on_average_over_many_small_calibrations_in_every_band(coverage: float) -> None:
    held = np.zeros(2)
    for seed in range(150):
        mass, ages = two_kinds(300, seed)
        low, high = age_interval(mass[:100], calibrate_ages(mass[100:], ages[100:]), coverage)
        inside = (low <= ages[:100]) & (ages[:100] <= high)
        held += [inside[ages[:100] < 20].sum() / 50, inside[ages[:100] >= 20].sum() / 50]
    assert (held / 150 >= coverage - 0.01).all(), held / 150


def test_few_faces_cannot_promise_much_and_give_all_mass() -> None:
    assert calibrate_ages(*faces(10, seed=0)).half_mass[COVERAGES.index(0.99)] == (0.5,)


def test_rank_is_that_of_the_finite_sample_correction() -> None:
    mass = np.full((19, 100), 0.01)
    ages = np.arange(80, 99)  # scores 0.305, 0.315 … 0.485
    calibration = calibrate_ages(mass, ages)
    assert calibration.half_mass[COVERAGES.index(0.5)] == pytest.approx((0.395,))  # the 10th of 19
    assert calibration.half_mass[COVERAGES.index(0.9)] == pytest.approx((0.475,))  # the 18th


def test_a_cautious_model_keeps_its_own_central_intervals() -> None:
    ages = np.repeat(np.arange(50, 60), 20)
    calibration = calibrate_ages(np.full((200, 100), 0.01), ages)
    assert calibration.half_mass == tuple((coverage / 2,) for coverage in COVERAGES)


def test_labels_beyond_the_bins_count_as_the_last() -> None:
    mass = np.full((10, 10), 0.1)
    assert calibrate_ages(mass, [50, *range(9)]).half_mass == calibrate_ages(mass, [9, *range(9)]).half_mass


def test_first_bin_may_be_any_age() -> None:
    mass, ages = faces(50, seed=3)
    shifted, plain = calibrate_ages(mass, ages + 18, age_min=18), calibrate_ages(mass, ages)
    assert shifted.half_mass == plain.half_mass
    assert shifted.ages == tuple(age + 18 for age in plain.ages)


def test_decades_with_too_few_faces_share_a_band() -> None:
    ages = np.repeat([5, 15, 25, 35], [40, 40, 10, 40])
    assert calibrate_ages(np.full((130, 60), 1 / 60), ages).ages == (0, 10, 20)


def test_babies_have_a_band_of_their_own() -> None:
    ages = np.repeat([2, 7, 15], 40)
    assert calibrate_ages(np.full((120, 60), 1 / 60), ages).ages == (0, 5, 10)


def test_every_band_reaches_its_coverage_although_the_model_is_surer_of_some() -> None:
    rng = np.random.default_rng(0)
    ages = rng.integers(0, 80, 8000)
    spread = np.where(ages < 20, 1.0, 6.0)
    mass = normal_mass(rng.normal(ages, spread), np.full(8000, 3.0))
    calibration = calibrate_ages(mass[:4000], ages[:4000])
    low, high = age_interval(mass[4000:], calibration, 0.9)
    held = (low <= ages[4000:]) & (ages[4000:] <= high)
    for decade in range(8):
        assert held[ages[4000:] // 10 == decade].mean() > 0.88


def test_fewer_than_ten_faces_cannot_be_calibrated_on() -> None:
    with pytest.raises(ValueError, match="at least 10 faces, got 3"):
        calibrate_ages(np.full((3, 5), 0.2), [1, 2, 3])


@given(masses)
def test_the_median_lies_in_every_interval(mass: Mass) -> None:
    bands = IntervalCalibration(
        coverage=(0.5, 0.99), ages=(0, 10, 20), half_mass=((0.1, 0.0, 0.2), (0.3, 0.1, 0.5)), n=10
    )
    for coverage in (0.5, 0.8, 0.99):
        low, high = age_interval(mass, bands, coverage)
        assert (low <= median_age(mass)).all() and (median_age(mass) <= high).all()


def test_the_median_halves_the_mass() -> None:
    mass = np.zeros((1, 40))
    mass[0, [10, 20, 30]] = 0.3, 0.4, 0.3
    assert median_age(mass) == pytest.approx([20.0])
    assert median_age(mass, age_min=5) == pytest.approx([25.0])


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match=r"got \(3,\) and 2"):
        calibrate_ages(np.full((2, 5), 0.2), [1, 2, 3])
