"""Frozen value objects for faces and their estimates; they validate their values."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Gender = Literal["female", "male"]
GenderLabel = Literal["female", "male", "uncertain"]
Points: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle ``(x1, y1, x2, y2)`` in pixels of the upright photo; it may reach beyond the photo.

    Raises:
        ValueError: If a coordinate is not finite or the box is empty.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        """Check the coordinates."""
        if not all(map(math.isfinite, self)):
            raise ValueError(f"box coordinates must be finite, got {tuple(self)}")
        if self.x2 <= self.x1 or self.y2 <= self.y1:
            raise ValueError(f"box must have x1 < x2 and y1 < y2, got {tuple(self)}")

    def __iter__(self) -> Iterator[float]:
        """Yield x1, y1, x2, y2."""
        yield from (self.x1, self.y1, self.x2, self.y2)

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height

    def area_within(self, frame: tuple[float, float, float, float]) -> float:
        """Area of the part inside a frame ``(x1, y1, x2, y2)``, in square pixels.

        >>> Box(-10, 0, 30, 20).area_within((0, 0, 640, 480))
        600
        """
        width = min(self.x2, frame[2]) - max(self.x1, frame[0])
        height = min(self.y2, frame[3]) - max(self.y1, frame[1])
        return max(0.0, width) * max(0.0, height)


@dataclass(frozen=True, slots=True)
class Face:
    """A detected face.

    Attributes:
        box: The bounding box.
        score: The detector's confidence. Detectors differ in scale; compare scores of one detector only.
        landmarks: Five ``(x, y)`` points in pixels: left eye, right eye, nose tip, left and right mouth
            corner. Left is the left of the photo turned by ``quarter_turns``. None if the detector gives only
            boxes.
        unsure: Whether the score is low for this detector.
        quarter_turns: Counter-clockwise quarter turns of the photo with which the detector found the face; 0
            if it found the face in the photo as given.
    """

    box: Box
    score: float
    landmarks: Points | None = None
    unsure: bool = False
    quarter_turns: int = 0

    def __post_init__(self) -> None:
        """Check the number of landmarks."""
        if self.landmarks is not None and len(self.landmarks) != 5:
            raise ValueError(f"landmarks must be five points, got {len(self.landmarks)}")


def whole_years(years: float) -> int:
    """Round years to the nearest whole year for display, halves up.

    >>> whole_years(31.46), whole_years(31.4), whole_years(30.5)
    (31, 31, 31)
    """
    return math.floor(years + 0.5)


def whole_percent(probability: float) -> int:
    """Round a probability in [0, 1] to the nearest whole percent for display, halves up.

    >>> whole_percent(0.7146), whole_percent(0.7154), whole_percent(0.575)
    (71, 72, 58)
    """
    return math.floor(100 * probability + 0.5 + 1e-9)  # 100 * 0.575 is a little less than 57.5


def rounded_years(years: float, digits: int = 1) -> float:
    """Round years for a file, to a number with the given digits that has the same nearest whole year.

    For example, 30.46 becomes 30.4, because 30.5 would be displayed as 31 and 30.46 as 30.

    >>> rounded_years(31.44), rounded_years(31.46), rounded_years(31.5), rounded_years(31.56)
    (31.4, 31.4, 31.5, 31.6)
    """
    return _rounded(years, digits, whole_years)


def rounded_probability(probability: float, digits: int = 3) -> float:
    """Round a probability for a file, to a number that has the same nearest whole percent.

    >>> rounded_probability(0.7141), rounded_probability(0.7146), rounded_probability(0.7151)
    (0.714, 0.714, 0.715)
    """
    return _rounded(probability, digits, whole_percent)


def _rounded(value: float, digits: int, whole: Callable[[float], int]) -> float:
    nearest = round(value, digits)
    return nearest if whole(nearest) == whole(value) else round(nearest - 10**-digits, digits)


@dataclass(frozen=True, slots=True)
class AgeEstimate:
    """Apparent age in years, with an interval that contains the labelled age with probability ``coverage``.

    Attributes:
        years: Median of the predicted distribution.
        low: Lower end of the interval in years.
        high: Upper end of the interval in years.
        coverage: Probability between 0 and 1 that the interval contains the labelled age.
        at_least: ``(threshold, probability)`` for each requested threshold: the probability that the apparent
            age in whole years is at least the threshold.
        distribution: Probability of each age 0, 1, 2, … in whole years, if requested; sums to 1.
    """

    years: float
    low: float
    high: float
    coverage: float
    at_least: tuple[tuple[int, float], ...] = ()
    distribution: tuple[float, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the interval and the coverage."""
        if not 0 <= self.low <= self.high:
            raise ValueError(f"expected 0 <= low <= high, got {self.low} and {self.high}")
        if not 0 < self.coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1, got {self.coverage}")


@dataclass(frozen=True, slots=True)
class GenderEstimate:
    """Perceived gender as the probability that a viewer would say "female".

    Attributes:
        p_female: In [0, 1].
        unsure_below: Probability of the likelier gender below which the label is "uncertain", in [0.5, 1];
            with 0.5 it never is.
    """

    p_female: float
    unsure_below: float = 0.5

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.p_female <= 1:
            raise ValueError(f"p_female must lie in [0, 1], got {self.p_female}")
        if not 0.5 <= self.unsure_below <= 1:
            raise ValueError(f"unsure_below must lie in [0.5, 1], got {self.unsure_below}")

    @property
    def likelier(self) -> Gender:
        """The likelier gender; "female" for a probability of 0.5."""
        return "female" if self.p_female >= 0.5 else "male"

    @property
    def label(self) -> GenderLabel:
        """The likelier gender, or "uncertain" if its probability is below ``unsure_below``."""
        return self.likelier if self.probability >= self.unsure_below else "uncertain"

    @property
    def probability(self) -> float:
        """Probability of :attr:`likelier`, in [0.5, 1]."""
        return max(self.p_female, 1 - self.p_female)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate of one face.

    Attributes:
        box: The bounding box.
        detection_score: The detector's confidence; detectors differ in scale.
        age: Apparent age.
        gender: Perceived gender.
        flags: Reasons to trust the estimate less, such as ``small_face``.
        landmarks: Five ``(x, y)`` points in pixels, like :attr:`Face.landmarks`; None if the detector gives
            none.
        sharpness: Sharpness of the face; see :class:`~mien.pipeline.quality.Quality`. None in the answers of
            a server.
    """

    box: Box
    detection_score: float
    age: AgeEstimate
    gender: GenderEstimate
    flags: tuple[str, ...] = ()
    landmarks: Points | None = None
    sharpness: float | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The face's part of the JSON contract; pixels to 0.1, years to 0.1, probabilities to 0.001.

        Rounding does not change the nearest whole year or percent. ``age.at_least`` is present only if
        thresholds were requested, and ``age.distribution`` (to 0.00001) only if it was requested.
        """
        age: dict[str, Any] = {
            "years": rounded_years(self.age.years),
            "low": rounded_years(self.age.low),
            "high": rounded_years(self.age.high),
            "coverage": self.age.coverage,
        }
        if self.age.at_least:
            age["at_least"] = {str(threshold): rounded_probability(p) for threshold, p in self.age.at_least}
        if self.age.distribution is not None:
            age["distribution"] = [round(p, 5) for p in self.age.distribution]
        return {
            "box": [round(v, 1) for v in self.box],
            "detection_score": round(self.detection_score, 3),
            "age": age,
            "gender": _gender_json(self.gender),
            "flags": list(self.flags),
            "landmarks": self.landmarks and [[round(x, 1), round(y, 1)] for x, y in self.landmarks],
        }


def _gender_json(gender: GenderEstimate) -> dict[str, Any]:
    probability = rounded_probability(gender.probability)
    if gender.likelier == "female":
        return {"label": gender.label, "probability": probability, "p_female": probability}
    probability = max(probability, 0.501)  # so that p_female stays below 0.5 for "male"
    return {"label": gender.label, "probability": probability, "p_female": round(1 - probability, 3)}
