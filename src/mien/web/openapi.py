"""The OpenAPI document, with the requests that FastAPI cannot describe as they are read as streams."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mien.web.options import MOST_THRESHOLDS, schemas
from mien.web.schemas import FAILED, PHOTO, ProblemDocument
from mien.web.service import Service

DESCRIPTION = """Apparent age and perceived gender of the faces in photos.

Photos are read in memory and never stored. An answer says how old a face *looks* and which gender a viewer
would *perceive*; it must not be used to decide about a person. Options may be query parameters or fields of
the form. A raw body may also have the type of its picture, such as `image/jpeg`."""

EXAMPLES = {
    "one photo": {"value": PHOTO},
    "no face": {"value": {**PHOTO, "faces": []}},
    "several photos, one unreadable": {"value": {"photos": [PHOTO, FAILED]}},
}


COMPONENTS = "#/components/schemas/"
DOCUMENTS = ("PhotoDocument", "PhotosDocument")
BINARY = {"type": "string", "format": "binary"}
ENCODED = {
    "type": "string",
    "format": "base64-picture",
    "description": "Base64 of a picture's bytes, or a data URL with it.",
}


def reads_photos(*, several: bool) -> dict[str, Any]:
    """The OpenAPI description of the parameters and body of a request with photos."""
    form, documents = ("PhotosForm", DOCUMENTS) if several else ("PhotoForm", DOCUMENTS[:1])
    either = [{"$ref": f"{COMPONENTS}{name}"} for name in documents]
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
                "multipart/form-data": {
                    "schema": {"$ref": f"{COMPONENTS}{form}"},
                    "encoding": {"photo": {"contentType": "image/*"}},
                },
                "application/octet-stream": {"schema": BINARY},
                "application/json": {
                    "schema": {"oneOf": either} if several else either[0],
                    "example": {"image": "R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="},
                },
            },
        },
    }


def _bodies() -> dict[str, dict[str, Any]]:
    """Schemas of the bodies: one photo or several, in a form, or in JSON together with the options."""
    return {
        "PhotoForm": _object({"photo": BINARY}),
        "PhotosForm": _object({"photo": {"type": "array", "items": BINARY, "minItems": 1}}),
        "PhotoDocument": _object({"image": ENCODED}, schemas()),
        "PhotosDocument": _object(
            {"images": {"type": "array", "items": ENCODED, "minItems": 1}},
            schemas(),
        ),
    }


def _object(needed: dict[str, Any], optional: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    properties = {**needed, **optional}
    return {
        "type": "object",
        "required": list(needed),
        "properties": properties,
        "additionalProperties": False,
    }


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an app; made at the first call."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
        )
        components = document.setdefault("components", {}).setdefault("schemas", {})
        components |= {"ProblemDocument": ProblemDocument.model_json_schema(), **_bodies()}
        document["servers"] = [{"url": "."}]  # relative to the document, which a proxy may serve below a path
        _tell_bounds(document, app.state.service)
        app.openapi_schema = document
    return app.openapi_schema


def _tell_bounds(document: dict[str, Any], service: Service) -> None:
    """Add the limits of this server's model and the names of its detectors to the options."""
    metadata = service.metadata
    coverages = metadata.interval.coverage
    posts = [path["post"] for path in document["paths"].values() if "post" in path]
    in_query = [{option["name"]: option["schema"] for option in post["parameters"]} for post in posts]
    in_body = [document["components"]["schemas"][name]["properties"] for name in DOCUMENTS]
    for options in in_query + in_body:
        options["coverage"] |= {"minimum": coverages[0], "maximum": coverages[-1]}
        options["thresholds"]["items"] |= {"minimum": metadata.age_min + 1, "maximum": metadata.age_max}
        options["thresholds"]["maxItems"] = MOST_THRESHOLDS
        options["detector"]["enum"] = list(service.settings.detector_names)
