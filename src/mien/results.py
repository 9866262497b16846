"""Frozen value objects: faces, and what is estimated of them; validated where they are made."""

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
        """Check."""
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
        box: Where it is.
        score: The detector's confidence; detectors differ in scale, only the order within one means anything.
        landmarks: Five ``(x, y)`` points in pixels (the eye on the photo's left, the other eye, nose tip, the
            mouth corner on the photo's left, the other), or None where the detector gives a box alone. Left
            is that of the photo as the detector saw the face, turned by ``quarter_turns``.
        unsure: Whether the score is low, as this detector's scores go.
        quarter_turns: Of the photo, counter-clockwise, after which the detector saw the face; 0 where it was
            seen in the photo as it is.
    """

    box: Box
    score: float
    landmarks: Points | None = None
    unsure: bool = False
    quarter_turns: int = 0

    def __post_init__(self) -> None:
        """Check."""
        if self.landmarks is not None and len(self.landmarks) != 5:
            raise ValueError(f"landmarks must be five points, got {len(self.landmarks)}")


def whole_years(years: float) -> int:
    """Years as a person reads them: the nearest whole year, halves up.

    >>> whole_years(31.46), whole_years(31.4), whole_years(30.5)
    (31, 31, 31)
    """
    return math.floor(years + 0.5)


def whole_percent(probability: float) -> int:
    """A probability as a person reads it: the nearest whole percent, halves up.

    >>> whole_percent(0.7146), whole_percent(0.7154), whole_percent(0.575)
    (71, 72, 58)
    """
    return math.floor(100 * probability + 0.5 + 1e-9)  # 100 * 0.575 is a little less than 57.5


def rounded_years(years: float, digits: int = 1) -> float:
    """Years as a file has them: the nearest number of so many digits with the same nearest whole year.

    So 30.46 is 30.4 in a file: from 30.5 a reader would make 31, which it is not.

    >>> rounded_years(31.44), rounded_years(31.46), rounded_years(31.5), rounded_years(31.56)
    (31.4, 31.4, 31.5, 31.6)
    """
    return _rounded(years, digits, whole_years)


def rounded_probability(probability: float, digits: int = 3) -> float:
    """A probability likewise, with the same nearest whole percent.

    >>> rounded_probability(0.7141), rounded_probability(0.7146), rounded_probability(0.7151)
    (0.714, 0.714, 0.715)
    """
    return _rounded(probability, digits, whole_percent)


def _rounded(value: float, digits: int, whole: Callable[[float], int]) -> float:
    nearest = round(value, digits)
    return nearest if whole(nearest) == whole(value) else round(nearest - 10**-digits, digits)


@dataclass(frozen=True, slots=True)
class AgeEstimate:
    """Apparent age in years, with an interval that holds the labelled age with probability ``coverage``.

    Attributes:
        years: The median of the predicted distribution: as likely too high as too low.
        low: Lower end of the interval.
        high: Upper end.
        coverage: Of the interval.
        at_least: ``(threshold, probability)`` for each threshold asked for: how likely the apparent age in
            whole years is at least that.
        distribution: Probability of each age 0, 1, 2, … in whole years, if it was asked for; sums to 1.
    """

    years: float
    low: float
    high: float
    coverage: float
    at_least: tuple[tuple[int, float], ...] = ()
    distribution: tuple[float, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check."""
        if not 0 <= self.low <= self.high:
            raise ValueError(f"expected 0 <= low <= high, got {self.low} and {self.high}")
        if not 0 < self.coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1, got {self.coverage}")


@dataclass(frozen=True, slots=True)
class GenderEstimate:
    """Perceived gender as the probability that a viewer would say "female".

    Attributes:
        p_female: In [0, 1].
        unsure_below: Probability of the likelier gender below which the label is "uncertain"; 0.5 never.
    """

    p_female: float
    unsure_below: float = 0.5

    def __post_init__(self) -> None:
        """Check."""
        if not 0 <= self.p_female <= 1:
            raise ValueError(f"p_female must lie in [0, 1], got {self.p_female}")
        if not 0.5 <= self.unsure_below <= 1:
            raise ValueError(f"unsure_below must lie in [0.5, 1], got {self.unsure_below}")

    @property
    def likelier(self) -> Gender:
        """The likelier of the two."""
        return "female" if self.p_female >= 0.5 else "male"

    @property
    def label(self) -> GenderLabel:
        """The likelier gender, if it is likely enough."""
        return self.likelier if self.probability >= self.unsure_below else "uncertain"

    @property
    def probability(self) -> float:
        """Probability of :attr:`likelier`, in [0.5, 1]."""
        return max(self.p_female, 1 - self.p_female)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What mien says of one face.

    Attributes:
        box: Where it is.
        detection_score: The detector's confidence; detectors differ in scale.
        age: Apparent age.
        gender: Perceived gender.
        flags: Reasons to trust the estimate less, such as ``small_face``.
        landmarks: Five ``(x, y)`` points in pixels, as :attr:`Face.landmarks`; None where the detector gives
            none.
        sharpness: Of the face as it can be seen; see :class:`~mien.pipeline.quality.Quality`. None in the
            answers of a server.
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

        Years and probabilities are rounded so that their nearest whole years and percents stay as they are.
        ``age.at_least`` is there only if thresholds were asked for, ``age.distribution`` (to 0.00001) if it
        was.
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
    probability = max(probability, 0.501)  # a reader of p_female must not take 0.4996 for female
    return {"label": gender.label, "probability": probability, "p_female": round(1 - probability, 3)}
