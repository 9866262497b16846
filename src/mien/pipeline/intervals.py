"""Ages and age intervals from predicted distributions, by distributional conformal prediction.

The score is that of Chernozhukov, Wüthrich and Zhu, "Distributional conformal prediction" (PNAS 2021). The
cumulative distribution function F of the age is assumed to be piecewise linear: the mass of age k is spread
evenly over [k - 0.5, k + 0.5]. Quantiles of the score are taken within bands of the labelled age
(label-conditional conformal prediction: Vovk, Gammerman and Shafer, "Algorithmic learning in a random world",
2005, section 4.5), since a single quantile would cover some ages too often and others too rarely.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mien.pipeline.metadata import IntervalCalibration

Floats = npt.NDArray[np.float64]


def median_age(age_probabilities: npt.ArrayLike, *, age_min: int = 0) -> Floats:
    """Median of each face's age distribution, which minimises the expected absolute error.

    Args:
        age_probabilities: (n, k) mass of the ages ``age_min``, ``age_min + 1`` …; rows sum to 1.
        age_min: Age in years of the first bin.

    Returns:
        (n,) years, from 0 to the last bin's age.
    """
    return age_at(age_probabilities, 0.5, age_min=age_min)


def age_at(age_probabilities: npt.ArrayLike, mass: float, *, age_min: int = 0) -> Floats:
    """Quantile of each face's age distribution.

    Args:
        age_probabilities: (n, k) mass of the ages ``age_min``, ``age_min + 1`` …; rows sum to 1.
        mass: Probability mass below the quantile, in [0, 1].
        age_min: Age in years of the first bin.

    Returns:
        (n,) years, from 0 to the last bin's age.
    """
    cdf = _cdf(age_probabilities)
    return _to_years(_quantile(cdf, mass), cdf, age_min)


def mass_below(age_probabilities: npt.ArrayLike, years: npt.ArrayLike, *, age_min: int = 0) -> Floats:
    """Probability mass of each face's distribution below an age: the inverse of :func:`age_at`.

    Args:
        age_probabilities: (n, k) mass of the ages ``age_min``, ``age_min + 1`` …; rows sum to 1.
        years: (n,) ages, from ``age_min`` to the last bin's.
        age_min: Age in years of the first bin.

    Returns:
        (n,) in [0, 1].
    """
    cdf = _cdf(age_probabilities)
    position = np.clip(np.asarray(years, np.float64) - age_min, 0, cdf.shape[1] - 2) + 0.5
    return _reached(cdf, position)


def age_interval(
    age_probabilities: npt.ArrayLike, calibration: "IntervalCalibration", coverage: float, *, age_min: int = 0
) -> tuple[Floats, Floats]:
    """The interval of each face, which contains the labelled age with a probability of at least ``coverage``.

    It ranges from the lowest to the highest age y for which ``|F(y) - 1/2|`` is at most the calibrated half
    mass of y's band, clipped to the ages from 0 to the last bin. It always contains the median.

    Args:
        age_probabilities: (n, k) mass of the ages ``age_min``, ``age_min + 1`` …; rows sum to 1.
        calibration: Half masses by coverage and band. They are interpolated linearly between two coverages,
            where only the lower coverage is guaranteed.
        coverage: Desired probability, within the calibrated range.
        age_min: Age in years of the first bin.

    Returns:
        (n,) lower and (n,) upper ends in years.

    Raises:
        ValueError: If ``coverage`` lies outside the calibrated range.
    """
    check_coverage(coverage, calibration)
    table = np.asarray(calibration.half_mass)
    half_mass = [float(np.interp(coverage, calibration.coverage, column)) for column in table.T]
    cdf = _cdf(age_probabilities)
    low, high = _hull(cdf, np.asarray(calibration.ages) - age_min, half_mass)
    return _to_years(low, cdf, age_min), _to_years(high, cdf, age_min)


def check_coverage(coverage: float, calibration: "IntervalCalibration") -> None:
    """Refuse a coverage outside the calibrated range.

    Raises:
        ValueError: If it lies outside the calibrated range.
    """
    least, most = calibration.coverage[0], calibration.coverage[-1]
    if not least <= coverage <= most:
        raise ValueError(
            f"coverage must lie between {least} and {most}, for which the model is calibrated; got {coverage}"
        )


def _hull(cdf: Floats, starts: npt.NDArray[np.int64], half_mass: list[float]) -> tuple[Floats, Floats]:
    """Ends of the intervals, as positions in bins from the first bin's lower edge."""
    low = high = _quantile(cdf, 0.5)
    last = float(cdf.shape[1] - 1)
    edges = [0.0, *map(float, starts[1:]), last]  # the bin of age k begins at the position k
    for (first, end), half in zip(pairwise(edges), half_mass, strict=True):
        least = np.maximum(first, _quantile(cdf, 0.5 - half))
        most = np.minimum(end, last - _quantile(1 - cdf[:, ::-1], 0.5 - half))
        allowed = least <= most
        low, high = (
            np.where(allowed, np.minimum(low, least), low),
            np.where(allowed, np.maximum(high, most), high),
        )
    return low, high


def _to_years(position: Floats, cdf: Floats, age_min: int) -> Floats:
    return np.clip(age_min - 0.5 + position, 0, age_min + cdf.shape[1] - 2)


def _cdf(age_probabilities: npt.ArrayLike) -> Floats:
    """(n, k + 1) values of F at the bins' edges, from exactly 0 to exactly 1."""
    mass = np.asarray(age_probabilities, np.float64)
    if mass.ndim != 2 or mass.shape[1] < 1:
        raise ValueError(f"age_probabilities must have the shape (n, k), got {mass.shape}")
    total = np.cumsum(mass, axis=1)
    return np.column_stack([np.zeros(len(mass)), total / total[:, -1:]])


def _reached(cdf: Floats, position: Floats) -> Floats:
    """F at the positions (n,), in bins from the first edge."""
    below = np.floor(position).astype(int)
    rows = np.arange(len(cdf))
    return np.asarray(
        cdf[rows, below] + (position - below) * (cdf[rows, below + 1] - cdf[rows, below]), np.float64
    )


def _quantile(cdf: Floats, mass: float) -> Floats:
    """The least position x, in bins from the first edge, with F(x) >= mass; -inf if mass <= 0."""
    if mass <= 0:
        return np.full(len(cdf), -np.inf)
    above = np.argmax(cdf >= mass, axis=1)
    rows = np.arange(len(cdf))
    low, high = cdf[rows, above - 1], cdf[rows, above]
    return np.asarray(above - 1 + (mass - low) / (high - low), np.float64)
