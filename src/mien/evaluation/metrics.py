"""What is measured: each metric is a mean over faces of one number a face, or the root of such a mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mien.evaluation.bootstrap import REPLICATES, bootstrap_means, percentile_interval

CONFIDENCE = 0.95
Unit = Literal["years", "years²", "share"]
Better = Literal["lower", "higher", "nearer to 0", "neither"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name and how it comes out of the numbers of single faces.

    Attributes:
        name: As in ``metrics.json``.
        label: As in tables.
        column: The column of :func:`face_values` that it averages.
        unit: Of its value; a ``share`` lies in [0, 1].
        better: Which of two values is the better one.
        root: Whether the square root of the mean is meant.
    """

    name: str
    label: str
    column: str
    unit: Unit
    better: Better
    root: bool = False

    def badness(self, value: float) -> float:
        """The greater, the worse."""
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
    """A metric's value with the 95 % bootstrap interval around it.

    Attributes:
        value: In the metric's unit.
        low: Lower end of the interval.
        high: Upper end.
        n: Number of faces it was measured on.
    """

    value: float
    low: float
    high: float
    n: int


def face_values(labels: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The numbers of single faces that the metrics average.

    An age that is only known as a bin (``age_low < age_high``) has no error in years; it is judged by whether
    the predicted age, rounded to the nearest whole year (halves up), lies in the bin. Labels are whole years,
    so the label 29 stands for what is nearer to 29 than to 30.

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
    """Every metric that is defined for at least one of the faces, by name.

    Args:
        values: n rows of :func:`face_values`, or of other numbers that the metrics average.
        clusters: (n,) see :func:`cluster_numbers`; faces of one cluster are resampled together.
        metrics: What to measure.
        replicates: Number of bootstrap resamples.
        seed: Of the resampling.
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
            low, high = percentile_interval(resampled, CONFIDENCE)
            measured[metric.name] = Measurement(float(mean), low, high, len(numbers_of_faces))
    return measured


def cluster_numbers(group: "pd.Series[str]") -> npt.NDArray[np.int64]:
    """Number each row's group; a row without one (an empty string) is a group of its own.

    >>> cluster_numbers(pd.Series(["a", "", "a", ""])).tolist()
    [0, 1, 0, 2]
    """
    alone = [f"row {index}" if name == "" else f"group {name}" for index, name in enumerate(group)]
    return np.asarray(pd.factorize(np.array(alone, dtype=object))[0], np.int64)


def _floats(column: "pd.Series[float]") -> npt.NDArray[np.float64]:
    return np.asarray(column, np.float64)
