"""Sampling uncertainty of means over faces, by the percentile bootstrap."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

REPLICATES = 1000
"""Number of resamples; another seed then moves an interval's ends by a few hundredths of its width."""

CHUNK = 4_000_000
"""Number of random numbers drawn at once; limits the memory to some tens of megabytes."""


def bootstrap_means(
    values: Floats, clusters: npt.NDArray[np.int64], *, replicates: int = REPLICATES, seed: int = 0
) -> Floats:
    """Compute the mean of each column in resamples of the rows (Efron and Tibshirani 1993, chapter 13).

    Each resample draws whole clusters with replacement, as many as there are, because pictures of one person
    are not independent (Davison and Hinkley 1997, section 3.8). If every row is its own cluster, this is the
    ordinary bootstrap.

    Args:
        values: (n, m), NaN where a column is not defined for a row; the row still counts in other columns.
        clusters: (n,) number of each row's cluster, from 0 without gaps.
        replicates: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        (replicates, m); NaN where a resample holds no defined value of a column.
    """
    defined = np.isfinite(values)
    count = int(clusters.max()) + 1 if len(clusters) else 0
    sums, sizes = (np.zeros((count, values.shape[1])) for _ in range(2))
    np.add.at(sums, clusters, np.where(defined, values, 0.0))
    np.add.at(sizes, clusters, defined)
    random = np.random.default_rng(seed)
    step = max(1, CHUNK // max(1, count))
    chunks = [
        _resampled_means(sums, sizes, min(step, replicates - start), random)
        for start in range(0, replicates, step)
    ]
    return np.concatenate(chunks)


def _resampled_means(sums: Floats, sizes: Floats, rows: int, random: np.random.Generator) -> Floats:
    count = len(sums)
    drawn = random.integers(count, size=(rows, count)) if count else np.empty((rows, 0), np.int64)
    places = (drawn + count * np.arange(rows)[:, None]).ravel()
    times = np.bincount(places, minlength=rows * count).reshape(rows, count).astype(np.float64)
    total, size = times @ sums, times @ sizes
    return np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0)


def percentile_interval(replicates: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of the middle share ``confidence`` of a statistic's replicates; NaN are left out.

    Raises:
        ValueError: If no replicate is a number.
    """
    numbers = replicates[np.isfinite(replicates)]
    if not len(numbers):
        raise ValueError("no replicate is a number")
    low, high = np.quantile(numbers, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
