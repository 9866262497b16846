"""Texts given as photos: alternative forms of paths, and errors for texts that are no paths."""

import os
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from mien.errors import ImageError

LONGEST = 200
"""Maximum number of characters of a text that a message quotes."""

_BASE64 = re.compile(rb"\s*(/9j/|iVBORw0KGgo|UklGR|R0lGOD|[A-Za-z0-9+/_-]{160})[A-Za-z0-9+/_\s-]*={0,2}\s*\Z")
_PATH = re.compile(rb"[^\0\r\n]{0,1000}\.(jpe?g|png|webp|gif|bmp|tiff?|hei[cf]|avif)\s*\Z", re.IGNORECASE)
_WEB = re.compile(r"(https?|ftp|s3|gs)://", re.IGNORECASE)


def name_of_text(text: str) -> str:
    """The name of a text given as a photo: the text itself, unless it holds the contents of a file."""
    if text.startswith("data:"):
        return "<data: URL>"
    if len(text) > LONGEST and is_base64(text.encode("utf-8", "replace")):
        return "<base64 text>"
    return text


def quoted(name: str) -> str:
    """A name as messages show it: shortened if it is long."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…"


def is_base64(data: bytes) -> bool:
    """Whether bytes are base64 text: of a picture, or of at least 160 characters."""
    return _BASE64.match(data) is not None


def is_path(data: bytes) -> bool:
    """Whether bytes are the path of a picture file."""
    return _PATH.match(data) is not None


def refuse_text(text: str) -> None:
    """Refuse a text that is not a path.

    Raises:
        ImageError: If it is empty, a web address, a ``data:`` URL or base64.
    """
    if not text:
        raise ImageError("The path of a photo is empty; name a file.")
    if _WEB.match(text):
        raise ImageError(f"{quoted(text)} is an address, and mien fetches nothing; download the photo first.")
    if text.startswith("data:"):
        raise ImageError("<data: URL> is not a path; give base64.b64decode(text.partition(',')[2]).")
    if name_of_text(text) == "<base64 text>":
        raise ImageError("<base64 text> is not a path; give base64.b64decode(text).")


def other_forms(path: str) -> Iterator[str]:
    """Other paths to try if this one does not exist."""
    if path.startswith("file://"):
        yield unquote(urlsplit(path).path)
    yield unicodedata.normalize("NFC", path)  # file systems differ in how they store é
    yield unicodedata.normalize("NFD", path)


def missing(path: str) -> ImageError:
    """The error for a path that does not exist."""
    bare = path.strip().strip("\"'").strip()
    if bare != path and os.path.exists(bare):
        return ImageError(
            f"{quoted(path)!r} does not exist, but {bare} does; leave out the quotes and spaces."
        )
    if bare != path:
        return ImageError(
            f"{quoted(path)!r} does not exist; leave out the quotes, spaces or line breaks around it."
        )
    return ImageError(f"{quoted(path)} does not exist; check the path.")
