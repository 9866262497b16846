"""The OpenAPI document: what FastAPI cannot know of requests that are read as a stream."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mien.web.options import MOST_THRESHOLDS, schemas
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
                "description": schema.pop("description"),
                "schema": schema,
            }
            for name, schema in schemas().items()
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
    photos = {"image": encoded, "images": {"type": "array", "items": encoded, "minItems": 1}}
    either = [{"required": [name]} for name in photos] if several else [{"required": ["image"]}]
    if not several:
        del photos["images"]
    return {
        "type": "object",
        "oneOf": either,
        "properties": photos | schemas(),
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
                options["thresholds"]["maxItems"] = MOST_THRESHOLDS
                options["detector"]["enum"] = list(service.settings.detector_names)
