"""The OpenAPI document: what FastAPI cannot know of requests that are read as a stream."""

from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mien.web.options import Options
from mien.web.schemas import FAILED, PHOTO, ProblemDocument
from mien.web.service import Service

DESCRIPTION = """Apparent age and perceived gender of the faces in photos.

Photos are read in memory and never stored. An answer says how old a face *looks* and which gender a viewer
would *perceive*; it must not be used to decide about a person. Options may be query parameters or fields of
the form. A picture is also read as `application/octet-stream`."""

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
        {"type": "number", "example": 0.8},
    ),
    "thresholds": (
        "Ages for which the probability of being at least so old is wanted, separated by commas.",
        {"type": "array", "items": {"type": "integer"}, "maxItems": 16, "example": [18, 21]},
    ),
    "gender_threshold": (
        "Probability of the likelier gender below which the label is `uncertain`; 0.5 labels every face. The "
        "model's own where not given.",
        {"type": "number", "minimum": 0.5, "exclusiveMaximum": 1, "example": 0.5},
    ),
    "rotate": (
        "Whether a photo in which no face is found is looked at turned by 90, 180 and 270° as well.",
        {"type": "boolean", "default": True},
    ),
}
assert set(_OPTIONS) == set(Options.model_fields)


def reads_photos(*, several: bool) -> dict[str, Any]:
    """The parameters and body of a request that sends photos."""
    binary = {"type": "string", "format": "binary"}
    photo = {"type": "array", "items": binary, "minItems": 1} if several else binary
    form = {
        "type": "object",
        "required": ["photo"],
        "properties": {"photo": photo},
        "additionalProperties": False,
    }
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "explode": False,
                "description": text,
                "schema": deepcopy(schema),
            }
            for name, (text, schema) in _OPTIONS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form, "encoding": {"photo": {"contentType": "image/*"}}},
                "image/*": {"schema": binary},
                "application/json": {"schema": _document(several=several)},
            },
        },
    }


def _document(*, several: bool) -> dict[str, Any]:
    """JSON with photos inside; its options are named as those of the query."""
    encoded = {
        "type": "string",
        "format": "base64-picture",
        "description": "Base64 of a picture's bytes, or a data URL with it.",
    }
    options = {name: deepcopy(schema) for name, (_, schema) in _OPTIONS.items()}
    photos = {"image": encoded, "images": {"type": "array", "items": encoded, "minItems": 1}}
    either = [{"required": [name]} for name in photos] if several else [{"required": ["image"]}]
    if not several:
        del photos["images"]
    return {
        "type": "object",
        "oneOf": either,
        "properties": photos | options,
        "additionalProperties": False,
        "example": {"image": "R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="},
    }


def describe(app: FastAPI) -> dict[str, Any]:
    """Make the document of an app, once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
        document["servers"] = [{"url": "."}]  # where the document lies, also below a path of a proxy's
        _tell_bounds(document, app.state.service)
        app.openapi_schema = document
    return app.openapi_schema


def _tell_bounds(document: dict[str, Any], service: Service) -> None:
    """What this server's model and detectors allow."""
    metadata = service.metadata
    coverages = metadata.interval.coverage
    for path in document["paths"].values():
        post = path.get("post", {})
        body = post.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        in_query = {parameter["name"]: parameter["schema"] for parameter in post.get("parameters", ())}
        for options in (in_query, body.get("properties", {})):
            if options:
                options["coverage"] |= {"minimum": coverages[0], "maximum": coverages[-1]}
                options["thresholds"]["items"] |= {
                    "minimum": metadata.age_min + 1,
                    "maximum": metadata.age_max,
                }
                options["detector"]["enum"] = list(service.settings.detector_names)
