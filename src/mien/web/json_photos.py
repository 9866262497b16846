"""Photos in JSON as base64: ``{"image": "..."}`` or ``{"images": ["...", "..."]}``."""

import json
from base64 import b64decode
from typing import Any

from mien.pipeline.images import EncodedPhoto
from mien.web.options import texts_of
from mien.web.problems import Problem, not_a_picture, too_large, too_many_photos, wrong_kind
from mien.web.settings import Settings

FIELDS = ("image", "images")

_AS_STANDARD = bytes.maketrans(b"-_", b"+/")
_WHITE = b" \t\r\n"


def read_document(body: bytes, settings: Settings) -> tuple[list[EncodedPhoto], dict[str, str]]:
    """Read the photos and the other fields of a JSON object.

    Raises:
        Problem: 400 if the body is not a JSON object or holds no photo in base64, 413 for too many or too
            large photos, 415 for a URL in place of a photo.
    """
    document = _parse(body)
    encoded = _encoded(document)
    if len(encoded) > settings.max_files:
        raise too_many_photos(settings.max_files)
    photos = [EncodedPhoto("<bytes>", _decode(text)) for text in encoded]
    if sum(len(photo.data) for photo in photos) > settings.max_upload:
        raise too_large(
            f"A request may have {settings.max_upload_mb:g} MB of photos at most; send a smaller photo."
        )
    return photos, texts_of({name: value for name, value in document.items() if name not in FIELDS})


def _parse(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):  # RecursionError for thousands of nested brackets
        document = None
    if not isinstance(document, dict):
        raise _broken('Send a JSON object such as {"image": "<base64>"}.')
    return document


def _encoded(document: dict[str, Any]) -> list[str]:
    one, several = (document.get(name) for name in FIELDS)
    encoded = [one] if one is not None else []
    if several is not None:
        encoded += several if isinstance(several, list) else [several]
    if not encoded or not all(isinstance(text, str) for text in encoded):
        raise not_a_picture('The JSON holds no photo; put its base64 into "image", or several into "images".')
    return encoded


def _decode(text: str) -> bytes:
    head, comma, _ = text[:200].lstrip().partition(",")
    if head.lower().startswith(("http:", "https:", "ftp:", "file:", "//")):
        raise wrong_kind("The server does not fetch URLs; send the photo itself as base64.")
    if head[:5].lower() == "data:":
        if not comma or not head.lower().endswith(";base64"):
            raise _broken("A data URL must hold base64, such as data:image/jpeg;base64,...")
        text = text.partition(",")[2]
    data = text.encode("ascii", "replace").translate(_AS_STANDARD, _WHITE).rstrip(b"=")
    try:
        return b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except ValueError:
        raise _broken("The photo is not valid base64; encode its bytes, and add nothing else.") from None


def _broken(detail: str) -> Problem:
    return Problem(400, "broken-json", detail)
