"""Age distributions of faces, from a table with distributions or only with ages and intervals."""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]

AGES = 121
"""Number of ages: 0, 1, … 120; higher ages count as 120."""

LEAST_SPREAD = 1e-3
"""Minimum standard deviation in years, which avoids division by zero for intervals of width 0."""

_GRID = np.linspace(-8, 8, 3201)
_NORMAL = np.array([NormalDist().cdf(z) for z in _GRID])


def age_masses(faces: pa.Table) -> Floats:
    """(n, 121) probability of each age, from the column ``distribution`` or else from a fit to the interval.

    Args:
        faces: Rows of ``faces`` of an annotated collection.
    """
    if "distribution" in faces.column_names and not faces["distribution"].null_count:
        values = faces["distribution"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return _to_ages(values.astype(np.float64).reshape(len(faces), -1))
    columns = (faces[name].to_numpy().astype(np.float64) for name in ("age", "low", "high", "coverage"))
    return fitted_masses(*columns)


def fitted_masses(age: Floats, low: Floats, high: Floats, coverage: Floats) -> Floats:
    """(n, 121) probability of each age, from a two-piece normal distribution.

    The estimate is the median. Below and above it are halves of two normal distributions, each with mass 0.5.
    The standard deviation of each is chosen so that its side of the interval holds half of the coverage.
    This differs from the two-piece normal of Wallis, "The two-piece normal, binormal, or double Gaussian
    distribution" (Statistical Science, 2014), which has a continuous density and another median.

    Args:
        age: (n,) estimates in years.
        low: (n,) lower ends of the intervals in years.
        high: (n,) upper ends of the intervals in years.
        coverage: (n,) coverage of the intervals, between 0 and 1.
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
    """Convert distributions of any length to (n, 121), and normalise them, as float16 sums are inexact."""
    ages = np.zeros((len(masses), AGES))
    ages[:, : min(masses.shape[1], AGES)] = masses[:, :AGES]
    ages[:, -1] += masses[:, AGES:].sum(axis=1)
    total = ages.sum(axis=1, keepdims=True)
    return ages / np.where(total > 0, total, 1)
