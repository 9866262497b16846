"""Metrics: each is the mean over faces of one number per face, or the square root of such a mean."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mien.evaluation.bootstrap import REPLICATES, bootstrap_means, percentile_interval

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

CONFIDENCE = 0.95

BINS = 15
"""Number of bins of the expected calibration error, as in Guo et al. (ICML 2017)."""

Unit = Literal["years", "years²", "share"]
Better = Literal["lower", "higher", "nearer to 0", "neither"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and how it is computed from the numbers of single faces.

    Attributes:
        name: Name in ``metrics.json``.
        label: Name in tables.
        column: The column of :func:`face_values` that is averaged.
        unit: Unit of the value; a ``share`` is in [0, 1].
        better: Which of two values is better.
        root: Whether the square root of the mean is taken.
    """

    name: str
    label: str
    column: str
    unit: Unit
    better: Better
    root: bool = False

    def badness(self, value: float) -> float:
        """Return a number that is larger for worse values."""
        return {"lower": value, "higher": -value, "nearer to 0": abs(value), "neither": 0.0}[self.better]


METRICS = (
    Metric("mae", "MAE", "absolute_error", "years", "lower"),
    Metric("rmse", "RMSE", "squared_error", "years", "lower", root=True),
    Metric("mse", "MSE", "squared_error", "years²", "lower"),
    Metric("cs5", "CS@5", "within_5", "share", "higher"),
    Metric("bias", "Bias", "error", "years", "nearer to 0"),
    Metric("bin_accuracy", "Age bin accuracy", "bin_correct", "share", "higher"),
    Metric("gender_accuracy", "Gender accuracy", "gender_correct", "share", "higher"),
    Metric("coverage", "Interval coverage", "covered", "share", "higher"),
    Metric("width", "Interval width", "width", "years", "neither"),
    Metric("detection_rate", "Detection rate", "detected", "share", "higher"),
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """A metric's value with its 95 % bootstrap interval.

    Attributes:
        value: The value in the metric's unit.
        low: Lower end of the interval; NaN if all faces belong to one cluster, which allows no interval.
        high: Upper end, likewise.
        n: Number of faces.
    """

    value: float
    low: float
    high: float
    n: int


def face_values(labels: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Compute the numbers of single faces that the metrics average.

    For an age known only as a bin (``age_low < age_high``) there is no error in years, only whether the
    predicted age lies in the bin when rounded to the nearest whole year (halves up). Labels are whole years,
    so the label 29 stands for ages nearer to 29 than to 30.

    Args:
        labels: n rows of a manifest: ``age_low`` and ``age_high`` in years, ``gender`` or an empty string.
        predictions: n rows in the same order: ``age``, ``age_low``, ``age_high`` in years and ``p_female`` in
            [0, 1], NaN where no face was found; ``detected``, and optionally ``unreadable``, as booleans.

    Returns:
        n rows; columns ``error``, ``absolute_error``, ``squared_error``, ``within_5``, ``covered``,
        ``bin_correct``, ``gender_correct``, ``width``, ``detected``; NaN where not defined.
    """
    low, high, age = (_floats(c) for c in (labels["age_low"], labels["age_high"], predictions["age"]))
    lower, upper = _floats(predictions["age_low"]), _floats(predictions["age_high"])
    p_female = _floats(predictions["p_female"])
    found = np.isfinite(age)
    exact, binned = found & (low == high), found & (low < high)
    error = np.where(exact, age - low, np.nan)
    nearest = np.floor(age + 0.5)
    gendered = np.isfinite(p_female) & (labels["gender"] != "").to_numpy(bool)
    female = (labels["gender"] == "female").to_numpy(bool)
    unreadable = predictions.get("unreadable", pd.Series(False, index=predictions.index)).to_numpy(bool)
    return pd.DataFrame(
        {
            "error": error,
            "absolute_error": np.abs(error),
            "squared_error": error**2,
            "within_5": np.where(exact, np.abs(error) <= 5, np.nan),
            "covered": np.where(exact, (lower <= low) & (low <= upper), np.nan),
            "bin_correct": np.where(binned, (low <= nearest) & (nearest <= high), np.nan),
            "gender_correct": np.where(gendered, (p_female >= 0.5) == female, np.nan),
            "width": upper - lower,
            "detected": np.where(unreadable, np.nan, predictions["detected"].to_numpy(bool)),
        }
    )


def measure(
    values: pd.DataFrame,
    clusters: npt.NDArray[np.int64],
    metrics: Sequence[Metric] = METRICS,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Measurement]:
    """Measure every metric that is defined for at least one of the faces.

    Args:
        values: n rows of :func:`face_values`, or of other numbers that the metrics average.
        clusters: (n,) as from :func:`cluster_numbers`; faces of one cluster are resampled together.
        metrics: The metrics to measure.
        replicates: Number of bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        Measurements by metric name.
    """
    _, numbers = np.unique(clusters, return_inverse=True)
    means = bootstrap_means(values.to_numpy(np.float64), numbers, replicates=replicates, seed=seed)
    columns = {name: index for index, name in enumerate(values.columns)}
    measured = {}
    for metric in metrics:
        numbers_of_faces = values[metric.column].dropna().to_numpy(np.float64)
        if len(numbers_of_faces):
            mean, resampled = numbers_of_faces.mean(), means[:, columns[metric.column]]
            if metric.root:
                mean, resampled = np.sqrt(mean), np.sqrt(resampled)
            low, high = _interval(resampled, numbers[values[metric.column].notna()])
            measured[metric.name] = Measurement(float(mean), low, high, len(numbers_of_faces))
    return measured


def differences(
    first: pd.DataFrame,
    second: pd.DataFrame,
    clusters: npt.NDArray[np.int64],
    metrics: Sequence[Metric] = METRICS,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Measurement]:
    """Measure each metric of the second minus that of the first, on the faces for which both are defined.

    Each resample draws the same faces for both (paired bootstrap), so that differences in difficulty between
    faces do not widen the interval.

    Args:
        first: n rows of :func:`face_values`.
        second: n rows for the same faces.
        clusters: As for :func:`measure`.
        metrics: The metrics to compare.
        replicates: Number of bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        Differences by metric name.
    """
    _, numbers = np.unique(clusters, return_inverse=True)
    both = first.notna() & second.notna()
    values = np.hstack([side.where(both).to_numpy(np.float64) for side in (first, second)])
    means = bootstrap_means(values, numbers, replicates=replicates, seed=seed)
    found = {}
    for metric in metrics:
        counted = both[metric.column].to_numpy(bool)
        if counted.any():
            places = [list(first.columns).index(metric.column) + shift for shift in (0, first.shape[1])]
            (own, other), resampled = np.nanmean(values[:, places], axis=0), means[:, places].T
            if metric.root:
                own, other, resampled = np.sqrt(own), np.sqrt(other), np.sqrt(resampled)
            low, high = _interval(resampled[1] - resampled[0], numbers[counted])
            found[metric.name] = Measurement(float(other - own), low, high, int(counted.sum()))
    return found


def _interval(resampled: npt.NDArray[np.float64], clusters: npt.NDArray[np.int64]) -> tuple[float, float]:
    if len(np.unique(clusters)) < 2:
        return math.nan, math.nan
    return percentile_interval(resampled, CONFIDENCE)


def cluster_numbers(group: "pd.Series[str]") -> npt.NDArray[np.int64]:
    """Number each row's group; a row without one (an empty string) is a separate group.

    >>> cluster_numbers(pd.Series(["a", "", "a", ""])).tolist()
    [0, 1, 0, 2]
    """
    alone = [f"row {index}" if name == "" else f"group {name}" for index, name in enumerate(group)]
    return np.asarray(pd.factorize(np.array(alone, dtype=object))[0], np.int64)


def _floats(column: "pd.Series[float]") -> npt.NDArray[np.float64]:
    return np.asarray(column, np.float64)


def expected_calibration_error(p_female: Floats, female: Booleans) -> float:
    """Weighted mean of |confidence - accuracy| over bins of the confidence.

    From Guo et al., "On calibration of modern neural networks", ICML 2017.

    Args:
        p_female: (n,) calibrated probabilities.
        female: (n,) whether the face is labelled female; n is at least 1.
    """
    sure, right = np.maximum(p_female, 1 - p_female), (p_female >= 0.5) == female
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(float((sure - right)[bins == i].sum())) for i in range(BINS)]
    return sum(gaps) / len(sure)


def gender_figures(
    labels: pd.DataFrame, predictions: pd.DataFrame, thresholds: Mapping[str, float]
) -> dict[str, float]:
    """Measure the reliability of the gender probabilities.

    Args:
        labels: n rows of a manifest.
        predictions: n rows with ``p_female``, NaN where no face was found, and the predicted label
            ``gender``, None in all rows if the labels are not known.
        thresholds: Least probability of the likelier gender at which the predictor gives a label:
            ``unsure_below``, and ``child_unsure_below`` if children have their own; empty if not known.

    Returns:
        ``n``; ``expected_calibration_error``; the thresholds; ``labelled``, the share of
        faces with a predicted label; ``labelled_accuracy``, the accuracy on these. Unknown figures are
        missing; empty if no gender is labelled.
    """
    p_female = predictions["p_female"].to_numpy(np.float64)
    known = (labels["gender"] != "").to_numpy(bool) & np.isfinite(p_female)
    if not known.any():
        return {}
    p_female, female = p_female[known], (labels["gender"] == "female").to_numpy(bool)[known]
    figures = {
        "n": float(known.sum()),
        "expected_calibration_error": expected_calibration_error(p_female, female),
        **thresholds,
    }
    given = predictions["gender"][known]
    if given.isna().all():
        return figures
    labelled = (given != "uncertain").to_numpy(bool)
    figures["labelled"] = float(labelled.mean())
    if labelled.any():
        figures["labelled_accuracy"] = float(((p_female >= 0.5) == female)[labelled].mean())
    return figures
