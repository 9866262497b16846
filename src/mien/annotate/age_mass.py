"""Age distributions of faces, from a table that may hold their ages and intervals alone."""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]

AGES = 121
"""Ages 0, 1, … 120; what lies beyond counts as the last one."""

LEAST_SPREAD = 1e-3
"""Years; so that an interval without a width is no division by zero."""

_GRID = np.linspace(-8, 8, 3201)
_NORMAL = np.array([NormalDist().cdf(z) for z in _GRID])


def age_masses(faces: pa.Table) -> Floats:
    """(n, 121) probability of each age: what the column ``distribution`` says, or else a fit.

    Args:
        faces: With the columns of an annotation's ``faces``.
    """
    if "distribution" in faces.column_names and not faces["distribution"].null_count:
        values = faces["distribution"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return _to_ages(values.astype(np.float64).reshape(len(faces), -1))
    columns = (faces[name].to_numpy().astype(np.float64) for name in ("age", "low", "high", "coverage"))
    return fitted_masses(*columns)


def fitted_masses(age: Floats, low: Floats, high: Floats, coverage: Floats) -> Floats:
    """(n, 121) probability of each age, by a two-piece normal distribution.

    Half of the mass lies on either side of the estimate, which is its median, and as much of each half within
    the interval as the coverage says: the halves of two normal distributions, each as wide as its side of the
    interval asks for. They are joined so that both have the mass of one half, unlike the joint density of
    Wallis, "The two-piece normal, binormal, or double Gaussian distribution" (Statistical Science, 2014),
    whose median is another.

    Args:
        age: (n,) estimates in years.
        low: (n,) lower ends of the intervals.
        high: (n,) upper ends.
        coverage: (n,) of the intervals, between 0 and 1.
    """
    scores = {c: NormalDist().inv_cdf((1 + c) / 2) for c in np.unique(coverage)}
    z = np.array([scores[c] for c in coverage])
    sides = np.stack([age - low, high - age], 1) / z[:, None]
    away = np.arange(AGES - 1) + 0.5 - age[:, None]
    spread = np.maximum(np.where(away < 0, sides[:, :1], sides[:, 1:]), LEAST_SPREAD)
    below = np.interp(away / spread, _GRID, _NORMAL)
    masses: Floats = np.diff(below, axis=1, prepend=0, append=1)
    return masses


def _to_ages(masses: Floats) -> Floats:
    """Distributions of any length, over the ages here; halves of float16 are made to sum to 1."""
    ages = np.zeros((len(masses), AGES))
    ages[:, : min(masses.shape[1], AGES)] = masses[:, :AGES]
    ages[:, -1] += masses[:, AGES:].sum(axis=1)
    total = ages.sum(axis=1, keepdims=True)
    return ages / np.where(total > 0, total, 1)
