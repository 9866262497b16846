"""Turn a model's raw outputs into estimates, in the same way for prediction and evaluation."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mien.pipeline.intervals import age_interval, check_coverage, median_age
from mien.request import Request
from mien.results import AgeEstimate, GenderEstimate

if TYPE_CHECKING:
    from mien.pipeline.metadata import GenderCalibration, ModelMetadata

Floats = npt.NDArray[np.float64]

COVERAGE = 0.9
"""Default coverage of the age intervals."""


def complete(request: Request, metadata: "ModelMetadata") -> Request:
    """Fill in the defaults of a request, and refuse values that the model does not support.

    Args:
        request: The request as given.
        metadata: Metadata of the model.

    Returns:
        The same request with a coverage. The gender threshold stays None if the request has none, because
        the model's own depends on the age.

    Raises:
        ValueError: If the model is not calibrated for the coverage, or a threshold lies outside its ages.
    """
    coverage = COVERAGE if request.coverage is None else request.coverage
    check_coverage(coverage, metadata.interval)
    for threshold in request.thresholds:
        if not metadata.age_min < threshold <= metadata.age_max:
            raise ValueError(
                f"thresholds must be whole ages from {metadata.age_min + 1} to {metadata.age_max}; "
                f"got {threshold}"
            )
    return replace(request, coverage=coverage)


def estimate_faces(
    metadata: "ModelMetadata", age_probabilities: Floats, p_female: Floats, request: Request
) -> list[tuple[AgeEstimate, GenderEstimate]]:
    """Estimates of n faces.

    Args:
        metadata: Metadata of the model.
        age_probabilities: (n, k), as returned by :meth:`mien.pipeline.model.Model.run`.
        p_female: (n,), likewise.
        request: What to estimate; see :func:`complete` for defaults and errors.
    """
    asked = complete(request, metadata)
    assert asked.coverage is not None
    age_min = metadata.age_min
    years = median_age(age_probabilities, age_min=age_min)
    low, high = age_interval(age_probabilities, metadata.interval, asked.coverage, age_min=age_min)
    # Cumulative sums from the oldest age are monotone, so a lower threshold is never less likely.
    tails = np.clip(np.cumsum(age_probabilities[:, ::-1], axis=1)[:, ::-1], 0, 1)
    likely = calibrated_p_female(p_female, metadata.gender)
    return [
        (
            AgeEstimate(
                float(y),
                float(a),
                float(b),
                asked.coverage,
                tuple((t, float(tail[t - age_min])) for t in asked.thresholds),
                (*[0.0] * age_min, *row.tolist()) if asked.distribution else None,
            ),
            GenderEstimate(float(p), _threshold(asked, metadata, float(y))),
        )
        for y, a, b, p, tail, row in zip(years, low, high, likely, tails, age_probabilities, strict=True)
    ]


def _threshold(asked: Request, metadata: "ModelMetadata", years: float) -> float:
    own = asked.gender_threshold
    return metadata.gender.threshold_at(years) if own is None else own


def log_odds(probability: npt.ArrayLike) -> Floats:
    """Natural logarithm of the odds; probabilities are first clipped to [1e-7, 1 - 1e-7]."""
    p = np.clip(np.asarray(probability, np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(p / (1 - p)), np.float64)


def calibrated_p_female(p_female: Floats, calibration: "GenderCalibration") -> Floats:
    """Platt-scaled probabilities (n,) of the graph's outputs (n,)."""
    if (calibration.slope, calibration.intercept) == (1.0, 0.0):
        return p_female
    return np.asarray(
        1 / (1 + np.exp(-(calibration.slope * log_odds(p_female) + calibration.intercept))), np.float64
    )
