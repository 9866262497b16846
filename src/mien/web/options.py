"""What a request may ask for."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mien.pipeline.intervals import check_coverage
from mien.pipeline.metadata import IntervalCalibration
from mien.web.problems import wrong_option


class Options(BaseModel):
    """How photos are to be looked at.

    Attributes:
        faces: ``detect``, or ``aligned`` where each photo is itself the crop of one face.
        detector: One of the server's detectors; None for its default.
        coverage: Probability with which age intervals hold the labelled age; None for the server's.
        thresholds: Ages for which the probability of being at least so old is wanted.
        gender_threshold: Probability of the likelier gender below which the label is "uncertain"; None for
            the model's own.
        rotate: Whether a photo in which no face is found is looked at turned as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    faces: Literal["detect", "aligned"] = "detect"
    detector: str | None = None
    coverage: float | None = Field(default=None, gt=0, lt=1)
    thresholds: tuple[int, ...] = Field(default=(), max_length=16)
    gender_threshold: float | None = Field(default=None, ge=0.5, lt=1)
    rotate: bool = True

    @field_validator("thresholds", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def parse_options(
    fields: Mapping[str, str], detectors: tuple[str, ...], interval: IntervalCalibration
) -> Options:
    """Read the options of a request.

    Args:
        fields: Query parameters and form fields.
        detectors: Names that ``detector`` may have.
        interval: The model's calibration, which bounds ``coverage``.

    Raises:
        Problem: 422 with a sentence that names the option.
    """
    try:
        # An empty field of a form is none.
        options = Options.model_validate({name: value for name, value in fields.items() if value != ""})
    except ValidationError as error:
        raise wrong_option(_sentence(error)) from None
    if options.detector not in (None, *detectors):
        raise wrong_option(f"There is no detector of that name; choose {' or '.join(detectors)}.")
    if options.coverage is not None:
        try:
            check_coverage(options.coverage, interval)
        except ValueError:
            least, most = interval.coverage[0], interval.coverage[-1]
            raise wrong_option(f"coverage must lie between {least} and {most}.") from None
    return options


def texts_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Options that JSON gives, as a form would give them.

    >>> texts_of({"rotate": False, "thresholds": [18, 21], "coverage": None})
    {'rotate': 'false', 'thresholds': '18,21', 'coverage': ''}
    """
    return {name: _text_of(value) for name, value in values.items()}


def _text_of(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_text_of, value))
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"There is no option {name[:40]!r}; choose among {', '.join(Options.model_fields)}."
    return f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}."
