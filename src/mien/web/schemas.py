"""Schemas of the answers in the OpenAPI document of the API, with examples."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mien.pipeline.metadata import ModelMetadata
from mien.web.problems import MEDIA_TYPE

AGE: dict[str, Any] = {"years": 31.4, "low": 24.0, "high": 39.0, "coverage": 0.9, "at_least": {"18": 0.97}}
FACE: dict[str, Any] = {
    "box": [412.0, 96.5, 540.2, 224.7],
    "detection_score": 0.98,
    "age": AGE,
    "gender": {"label": "female", "probability": 0.97, "p_female": 0.97},
    "flags": [],
    "landmarks": [[447.1, 147.3], [502.9, 145.8], [476.0, 178.4], [452.2, 195.6], [500.7, 194.1]],
}
PHOTO: dict[str, Any] = {"photo": "family.jpg", "width": 1280, "height": 853, "faces": [FACE]}
FAILED = {
    "photo": "notes.txt",
    "error": "notes.txt is not a picture in a format mien reads; convert it to JPEG or PNG.",
}


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Age(_Answer):
    """Apparent age in years; the interval contains the labelled age with probability ``coverage``."""

    years: float
    low: float
    high: float
    coverage: float
    at_least: dict[str, float] = Field(
        default_factory=dict,
        description="For each of `thresholds`, the probability of being at least that old.",
    )
    distribution: list[float] = Field(
        default_factory=list,
        description="If requested: the probability of each age 0, 1, 2, … in whole years.",
    )


class Gender(_Answer):
    """Perceived gender."""

    label: Literal["female", "male", "uncertain"] = Field(
        description="The likelier gender; uncertain if its probability is below `gender_threshold`."
    )
    probability: float = Field(description="Probability of the likelier gender, at least 0.5.")
    p_female: float = Field(description="Probability that a viewer would say female.")


class Face(_Answer):
    """Bounding box and estimates of one face."""

    box: tuple[float, float, float, float] = Field(description="x1, y1, x2, y2 in pixels, photo upright.")
    detection_score: float = Field(description="Confidence of the detector, on its own scale.")
    age: Age
    gender: Gender
    flags: list[str] = Field(description="What makes the estimate less sure: small_face, cut_off, damaged …")
    landmarks: list[tuple[float, float]] | None = Field(
        min_length=5,
        max_length=5,
        description="x, y in pixels: eye, eye, nose tip, mouth corner, mouth corner, left to right in the "
        "picture; null if the detector gives none.",
    )


class Photo(_Answer):
    """The faces of one photo, the largest first; an empty list if none is found."""

    model_config = ConfigDict(json_schema_extra={"example": PHOTO})

    photo: str
    width: int
    height: int
    faces: list[Face]


class FailedPhoto(_Answer):
    """The answer to an unreadable photo among several."""

    photo: str
    error: str


class Photos(_Answer):
    """The answers to several photos, in the same order."""

    photos: list[Photo | FailedPhoto]


class Limits(_Answer):
    """Limits on a request."""

    upload_bytes: int
    megapixels: float
    files: int
    faces: int


class ModelAnswer(ModelMetadata):
    """The metadata and the card of the model, and the detectors and limits of this server."""

    card: str | None = Field(description="Model card in Markdown; null for a model without one.")
    detectors: list[str] = Field(description="Values of `detector`, the default one first.")
    limits: Limits


class Status(_Answer):
    """State of the server."""

    status: Literal["ok", "ready", "starting"]


class ProblemDocument(_Answer):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


_PROBLEMS = {
    400: ("not-a-picture", "notes.txt is not a picture in a format mien reads; convert it to JPEG or PNG."),
    408: ("too-slow", "The request took too long to arrive; send a smaller photo."),
    413: ("too-large", "A request may have 32 MB at most; send a smaller photo."),
    415: (
        "wrong-kind",
        "Send photos as multipart/form-data, or one photo as image/jpeg or another image type.",
    ),
    421: (
        "wrong-host",
        "This server does not answer to that name; whoever runs it can add the name to --allowed-hosts "
        "(MIEN_ALLOWED_HOSTS).",
    ),
    422: ("wrong-option", "faces: input should be 'detect' or 'aligned'."),
    503: ("busy", "The server has as many photos waiting as it takes; try again shortly."),
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI descriptions of the problem documents of some statuses, each with an example."""
    return {status: _problem_response(status) for status in statuses}


def _problem_response(status: int) -> dict[str, Any]:
    kind, detail = _PROBLEMS[status]
    title = kind.replace("-", " ").capitalize()
    example = {"type": f"urn:mien:problem:{kind}", "title": title, "status": status, "detail": detail}
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    response: dict[str, Any] = {
        "description": title,
        "content": {MEDIA_TYPE: {"schema": schema, "example": example}},
    }
    if status == 503:
        response["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        }
    return response
