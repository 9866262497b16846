"""Intervals of ages from predicted distributions, by distributional conformal prediction.

The method is that of Chernozhukov, Wüthrich and Zhu, "Distributional conformal prediction" (PNAS 2021). An
age distribution's function F is taken to be piecewise linear: the mass of age k is spread evenly over
[k - 0.5, k + 0.5].
"""

import math

import numpy as np
import numpy.typing as npt

from mien.metadata import IntervalCalibration

Floats = npt.NDArray[np.float64]

COVERAGES = tuple(round(0.5 + 0.01 * i, 2) for i in range(50))
"""The coverages that :func:`calibrate` tabulates: 0.50, 0.51 … 0.99."""


def age_interval(
    age_probabilities: npt.ArrayLike, calibration: IntervalCalibration, coverage: float, *, age_min: int = 0
) -> tuple[Floats, Floats]:
    """The interval of each face that holds its labelled age with probability ``coverage``.

    It is the set of ages y with ``|F(y) - 1/2|`` no larger than the calibrated half mass, cut to the ages
    from 0 to the last bin.

    Args:
        age_probabilities: (n, k) mass of the ages ``age_min``, ``age_min + 1`` …; rows sum to 1.
        calibration: Half masses by coverage; linear in between.
        coverage: Wished probability, within the calibrated range.
        age_min: Age in years of the first bin.

    Returns:
        (n,) lower and (n,) upper ends in years.

    Raises:
        ValueError: If ``coverage`` lies outside the calibrated range.
    """
    check_coverage(coverage, calibration)
    half_mass = float(np.interp(coverage, calibration.coverage, calibration.half_mass))
    cdf = _cdf(age_probabilities)
    low, high = _left_quantile(cdf, 0.5 - half_mass), _right_quantile(cdf, 0.5 + half_mass)
    first, last = age_min - 0.5, age_min + cdf.shape[1] - 2
    low, high = np.clip(first + low, 0, last), np.clip(first + high, 0, last)
    return low, np.maximum(low, high)  # half mass 0: both are the median, but for rounding


def check_coverage(coverage: float, calibration: IntervalCalibration) -> None:
    """Refuse a coverage that the calibration does not reach.

    Raises:
        ValueError: If it lies outside the calibrated range.
    """
    least, most = calibration.coverage[0], calibration.coverage[-1]
    if not least <= coverage <= most:
        raise ValueError(
            f"coverage must lie between {least} and {most}, for which the model is calibrated; got {coverage}"
        )


def calibrate(
    age_probabilities: npt.ArrayLike, ages: npt.ArrayLike, *, age_min: int = 0
) -> IntervalCalibration:
    """Measure the half masses on faces that were not trained on (split conformal prediction).

    The half mass of coverage c is the ceil((n + 1) c)-th smallest of the n scores ``|F(y) - 1/2|``, which
    makes the coverage hold in expectation for new faces drawn like these.

    Args:
        age_probabilities: (n, k) mass of the ages ``age_min``, ``age_min + 1`` …; rows sum to 1.
        ages: (n,) labelled ages in years; those beyond the bins count as the first or last bin's.
        age_min: Age in years of the first bin.

    Raises:
        ValueError: If there is no face, or the lengths differ.
    """
    cdf, years = _cdf(age_probabilities), np.asarray(ages, np.float64)
    if len(years) == 0 or years.shape != (len(cdf),):
        raise ValueError(
            f"expected as many ages as distributions and at least one, got {len(years)} and {len(cdf)}"
        )
    position = np.clip(years - age_min, 0, cdf.shape[1] - 2) + 0.5
    below = np.floor(position).astype(int)
    rows = np.arange(len(cdf))
    reached = cdf[rows, below] + (position - below) * (cdf[rows, below + 1] - cdf[rows, below])
    scores = np.sort(np.abs(reached - 0.5))
    return IntervalCalibration(
        coverage=COVERAGES, half_mass=tuple(_conformal_quantile(scores, c) for c in COVERAGES), n=len(scores)
    )


def _conformal_quantile(ordered: Floats, coverage: float) -> float:
    rank = math.ceil((len(ordered) + 1) * coverage - 1e-9)  # a whole number must not be rounded up a step
    return float(ordered[rank - 1]) if rank <= len(ordered) else 0.5


def _cdf(age_probabilities: npt.ArrayLike) -> Floats:
    """(n, k + 1) values of F at the bins' edges, from exactly 0 to exactly 1."""
    mass = np.asarray(age_probabilities, np.float64)
    if mass.ndim != 2 or mass.shape[1] < 1:
        raise ValueError(f"age_probabilities must have the shape (n, k), got {mass.shape}")
    total = np.cumsum(mass, axis=1)
    return np.column_stack([np.zeros(len(mass)), total / total[:, -1:]])


def _left_quantile(cdf: Floats, mass: float) -> Floats:
    """The least position x, in bins from the first edge, with F(x) >= mass; -inf for no mass."""
    if mass <= 0:
        return np.full(len(cdf), -np.inf)
    above = np.argmax(cdf >= mass, axis=1)
    rows = np.arange(len(cdf))
    low, high = cdf[rows, above - 1], cdf[rows, above]
    return np.asarray(above - 1 + (mass - low) / (high - low), np.float64)


def _right_quantile(cdf: Floats, mass: float) -> Floats:
    """The greatest position x with F(x) <= mass; inf for all mass."""
    return np.asarray(cdf.shape[1] - 1 - _left_quantile(1 - cdf[:, ::-1], 1 - mass))
