"""The options of a prediction: one object for Python, the command line, the REST API and evaluation.

Flags of the command line, query parameters, the OpenAPI document and the help take their names, texts and
bounds from the fields of :class:`Request`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypedDict, get_args

DEFAULT_DETECTOR = "mien"

LEAST_SIDE, MOST_SIDE = 32, 2560
"""Limits of ``longest_side``. The upper one is four times the detector's default, so a request may cost
sixteen times the time and memory: half a second and 0.3 GB with mien's detector and a square photo."""

Faces = Literal["detect", "aligned"]
Framing = Literal["utkface", "padded"]


class Options(TypedDict, total=False):
    """The fields of a :class:`Request` as keyword arguments."""

    faces: Faces
    framing: Framing
    detector: str | None
    longest_side: int | None
    coverage: float | None
    thresholds: Sequence[int]
    gender_threshold: float | None
    rotate: bool
    distribution: bool


def _described(help: str, **schema: Any) -> dict[str, Any]:
    """A field's metadata: its help, and the keywords of its JSON Schema besides the type."""
    return {"help": help, "schema": schema}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How the faces of a photo are found and described.

    Args:
        faces: ``detect``, or ``aligned`` if the photo is itself the crop of one face; its box is then the
            whole photo, and its detection score 1.
        framing: How an aligned crop is cut: ``utkface`` (like UTKFace's aligned images) or ``padded`` (like
            FairFace's, with padding 0.25).
        detector: A name for :func:`~mien.pipeline.detect.make_detector`; None for the predictor's own.
        longest_side: Longer side in pixels to which the detector shrinks a photo, or a tile of a long photo:
            a whole number from 32 to 2560. More pixels find smaller faces and take more time. None for the
            detector's default.
        coverage: Probability that the age interval contains the labelled age, between 0 and 1; None for the
            predictor's own.
        thresholds: Ages in whole years; for each, the estimate has the probability that the face looks at
            least that old.
        gender_threshold: Probability of the likelier gender below which the label is "uncertain": from 0.5,
            which labels every face, to below 1; None for the predictor's own.
        rotate: Whether to recognise photos that lie on their side or are upside down; see
            :class:`~mien.pipeline.detect.TurningDetector`.
        distribution: Whether each age estimate has its probability distribution.

    Raises:
        ValueError: If a value is out of range. Values that a model does not support are refused later, by
            :func:`~mien.pipeline.estimation.complete`.

    >>> Request(coverage=0.8, thresholds=[21, 18]).thresholds
    (18, 21)
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}  # for pydantic

    faces: Faces = field(
        default="detect",
        metadata=_described(
            "'detect' finds the faces in a photo; 'aligned' treats each photo as the crop of one face."
        ),
    )
    framing: Framing = field(
        default="utkface",
        metadata=_described(
            "How an aligned crop is cut: 'utkface' as UTKFace's aligned images are, 'padded' as FairFace's."
        ),
    )
    detector: str | None = field(
        default=None, metadata=_described("Name of the detector that finds the faces.")
    )
    longest_side: int | None = field(
        default=None,
        metadata=_described(
            "Pixels on the longer side of a photo as the detector sees it. More pixels find smaller "
            "faces; twice as many take four times as long. The default is the detector's own.",
            minimum=LEAST_SIDE,
            maximum=MOST_SIDE,
            example=1280,
        ),
    )
    coverage: float | None = field(
        default=None,
        metadata=_described(
            "Probability that the age interval covers the labelled age, such as 0.8.", example=0.8
        ),
    )
    thresholds: Sequence[int] = field(
        default=(),
        metadata=_described(
            "Ages; for each, give the probability that the face looks at least that old.", example=[18, 21]
        ),
    )
    gender_threshold: float | None = field(
        default=None,
        metadata=_described(
            "The label is uncertain if the likelier gender is less probable than this; with 0.5 it "
            "never is. The default is the model's own, which may be higher for small children.",
            minimum=0.5,
            exclusiveMaximum=1,
            example=0.5,
        ),
    )
    rotate: bool = field(
        default=True, metadata=_described("Recognise photos that lie on their side or are upside down.")
    )
    distribution: bool = field(
        default=False, metadata=_described("Give each age's probability distribution as well.")
    )

    def __post_init__(self) -> None:
        """Check what can be checked without a model."""
        for name, kinds in (("faces", Faces), ("framing", Framing)):
            value = getattr(self, name)
            if value not in get_args(kinds):
                raise ValueError(f"{name} must be one of {', '.join(get_args(kinds))}; got {value!r}")
        if self.longest_side is not None and self.longest_side not in range(LEAST_SIDE, MOST_SIDE + 1):
            raise ValueError(
                f"longest_side must be a whole number from {LEAST_SIDE} to {MOST_SIDE}; "
                f"got {self.longest_side}"
            )
        if self.coverage is not None and not 0 < self.coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1; got {self.coverage}")
        for threshold in self.thresholds:
            if threshold != int(threshold):
                raise ValueError(f"thresholds must be whole ages; got {threshold}")
        object.__setattr__(self, "thresholds", tuple(sorted({int(t) for t in self.thresholds})))
        if self.gender_threshold is not None and not 0.5 <= self.gender_threshold < 1:
            raise ValueError(
                f"gender_threshold must lie between 0.5 and 1, and below 1; got {self.gender_threshold}"
            )

    def to_query(self) -> dict[str, str]:
        """Values that differ from the defaults, as text for a URL query.

        >>> Request(thresholds=(18, 21), rotate=False).to_query()
        {'thresholds': '18,21', 'rotate': 'false'}
        """
        values = {option.name: getattr(self, option.name) for option in fields(self)}
        defaults = {option.name: option.default for option in fields(self)}
        return {name: _text(value) for name, value in values.items() if value != defaults[name]}


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


HELP: Mapping[str, str] = {option.name: option.metadata["help"] for option in fields(Request)}
"""One help sentence for each field."""
