"""The OpenAPI document: what FastAPI cannot know of requests that are read as a stream."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mien.web.options import Options
from mien.web.schemas import FAILED, PHOTO, ProblemDocument

DESCRIPTION = """Apparent age and perceived gender of the faces in photos.

Photos are read in memory and never stored. An answer says how old a face *looks* and which gender a viewer
would *perceive*; it must not be used to decide about a person. Options may be query parameters or fields of
the form."""

EXAMPLES = {
    "one photo": {"value": PHOTO},
    "no face": {"value": {**PHOTO, "faces": []}},
    "several photos, one unreadable": {"value": {"photos": [PHOTO, FAILED]}},
}

_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "faces": (
        "`detect` finds the faces; `aligned` takes each photo for the crop of one face.",
        {"type": "string", "enum": ["detect", "aligned"], "default": "detect"},
    ),
    "detector": ("One of the server's detectors, as `GET /api/v1/model` names them.", {"type": "string"}),
    "coverage": (
        "Probability with which age intervals hold the labelled age.",
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "example": 0.8},
    ),
    "thresholds": (
        "Ages for which the probability of being at least so old is wanted, separated by commas.",
        {"type": "string", "pattern": r"^([0-9]{1,3}(,[0-9]{1,3}){0,15})?$", "example": "18,21"},
    ),
    "gender_threshold": (
        "Probability of the likelier gender below which the label is `uncertain`; 0.5 labels every face. The "
        "model's own where not given.",
        {"type": "number", "minimum": 0.5, "exclusiveMaximum": 1, "example": 0.5},
    ),
}
assert set(_OPTIONS) == set(Options.model_fields)


def reads_photos(*, several: bool) -> dict[str, Any]:
    """The parameters and body of a request that sends photos."""
    binary = {"type": "string", "format": "binary"}
    photo = {"type": "array", "items": binary, "minItems": 1} if several else binary
    form = {"type": "object", "required": ["photo"], "properties": {"photo": photo}}
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": text, "schema": schema}
            for name, (text, schema) in _OPTIONS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "image/*": {"schema": binary},
                "application/octet-stream": {"schema": binary},
            },
        },
    }


def describe(app: FastAPI) -> dict[str, Any]:
    """Make the document of an app, once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
        app.openapi_schema = document
    return app.openapi_schema
