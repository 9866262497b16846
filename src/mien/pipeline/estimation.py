"""From a model's raw answers to estimates: one reading, for prediction and evaluation alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.pipeline.intervals import age_interval, check_coverage, median_age
from mien.pipeline.metadata import GenderCalibration, ModelMetadata
from mien.results import AgeEstimate, GenderEstimate

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of each face.

    Attributes:
        coverage: Of its age interval.
        thresholds: Ages in whole years; for each, how likely the face looks at least that old.
        unsure_below: Probability of the likelier gender below which the label is "uncertain".
    """

    coverage: float
    thresholds: tuple[int, ...]
    unsure_below: float


def ask(
    metadata: ModelMetadata, coverage: float, thresholds: Sequence[int], gender_threshold: float | None
) -> Question:
    """Check what is asked for, before any photo is read.

    Args:
        metadata: The model's.
        coverage: Of the age intervals.
        thresholds: Ages in whole years.
        gender_threshold: Probability from 0.5 up to, but not, 1; None for the model's own.

    Raises:
        ValueError: If the model is not calibrated for the coverage, knows no such threshold, or the gender's
            is no such probability.
    """
    check_coverage(coverage, metadata.interval)
    for threshold in thresholds:
        if threshold != int(threshold) or not metadata.age_min < threshold <= metadata.age_max:
            raise ValueError(
                f"thresholds must be whole ages from {metadata.age_min + 1} to {metadata.age_max}; "
                f"got {threshold}"
            )
    unsure_below = metadata.gender.unsure_below if gender_threshold is None else gender_threshold
    if not 0.5 <= unsure_below < 1:
        raise ValueError(f"gender_threshold must lie between 0.5 and 1, and below 1; got {unsure_below}")
    return Question(coverage, tuple(sorted({int(t) for t in thresholds})), unsure_below)


def read(
    metadata: ModelMetadata, age_probabilities: Floats, p_female: Floats, question: Question
) -> list[tuple[AgeEstimate, GenderEstimate]]:
    """Estimates of n faces.

    Args:
        metadata: Of the model that answered.
        age_probabilities: (n, k), as :meth:`mien.pipeline.model.Model.run` gives them.
        p_female: (n,), likewise.
        question: What is asked of each face.
    """
    age_min = metadata.age_min
    years = median_age(age_probabilities, age_min=age_min)
    low, high = age_interval(age_probabilities, metadata.interval, question.coverage, age_min=age_min)
    # Tails summed from the far end grow with every age, so that a lower threshold is never less likely.
    tails = np.clip(np.cumsum(age_probabilities[:, ::-1], axis=1)[:, ::-1], 0, 1)
    likely = calibrated_p_female(p_female, metadata.gender)
    return [
        (
            AgeEstimate(
                float(y),
                float(a),
                float(b),
                question.coverage,
                tuple((t, float(tail[t - age_min])) for t in question.thresholds),
            ),
            GenderEstimate(float(p), question.unsure_below),
        )
        for y, a, b, p, tail in zip(years, low, high, likely, tails, strict=True)
    ]


def log_odds(probability: npt.ArrayLike) -> Floats:
    """Natural logarithm of the odds; probabilities of 0 and 1 count as nearly so."""
    p = np.clip(np.asarray(probability, np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(p / (1 - p)), np.float64)


def calibrated_p_female(p_female: Floats, calibration: GenderCalibration) -> Floats:
    """Platt-scaled probabilities (n,) from the graph's (n,)."""
    if (calibration.slope, calibration.intercept) == (1.0, 0.0):
        return p_female
    return np.asarray(
        1 / (1 + np.exp(-(calibration.slope * log_odds(p_female) + calibration.intercept))), np.float64
    )
