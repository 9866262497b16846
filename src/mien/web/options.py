"""Parsing of the options of HTTP requests."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mien.request import Request
from mien.web.problems import wrong_option

MOST_THRESHOLDS = 16

_REQUEST = TypeAdapter(Request)


def parse_options(texts: Mapping[str, str], detectors: tuple[str, ...]) -> Request:
    """Parse the options of a request.

    Args:
        texts: Query parameters and form fields; an empty value counts as not given.
        detectors: Valid values of ``detector``.

    Raises:
        Problem: 422 if an option is unknown or invalid; the message names it.
    """
    given: dict[str, Any] = {name: text for name, text in texts.items() if text != ""}
    if "thresholds" in given:
        given["thresholds"] = [part for part in given["thresholds"].split(",") if part.strip()]
    try:
        request = _REQUEST.validate_python(given)
    except ValidationError as error:
        raise wrong_option(_sentence(error)) from None
    if len(request.thresholds) > MOST_THRESHOLDS:
        raise wrong_option(f"thresholds: give {MOST_THRESHOLDS} at most.")
    if request.detector not in (None, *detectors):
        raise wrong_option(f"There is no detector of that name; choose {' or '.join(detectors)}.")
    return request


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each option, with its description."""
    properties = _REQUEST.json_schema()["properties"]
    return {
        option.name: _simple(properties[option.name]) | _described(option.metadata)
        for option in fields(Request)
    }


def _described(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": metadata["help"], **metadata["schema"]}


def _simple(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without its null alternative: clients omit an option that they do not set."""
    kinds = [kind for kind in schema.pop("anyOf", [{}]) if kind.get("type") != "null"]
    return {
        name: value for name, value in (schema | kinds[0]).items() if name != "title" and value is not None
    }


def without_value(error: ValueError) -> str:
    """The message of an error without the client's value, so that answers never echo client input.

    >>> without_value(ValueError("coverage must lie between 0 and 1; got 2"))
    'coverage must lie between 0 and 1.'
    """
    return f"{str(error).partition('; got ')[0]}."


def texts_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Convert options from JSON to the texts of a form.

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
    if first["type"] == "value_error":
        return without_value(first["ctx"]["error"])
    name = str(first["loc"][0])
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        names = ", ".join(option.name for option in fields(Request))
        return f"There is no option {name[:40]!r}; choose among {names}."
    return f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}."
