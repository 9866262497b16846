"""Parsing of forms with photos: ``multipart/form-data`` (RFC 7578)."""

import json
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from mien.pipeline.images import EncodedPhoto
from mien.web.options import texts_of
from mien.web.problems import Problem, not_a_picture, too_large, too_many_photos, wrong_option
from mien.web.settings import Settings
from mien.web.signatures import HEAD, looks_like_a_picture

MAX_FIELDS, MAX_FIELD = 32, 10_000
"""Maximum number of fields in a form besides photos, and maximum bytes of one field."""


async def read_form(request: Request, settings: Settings) -> tuple[list[EncodedPhoto], dict[str, str]]:
    """Read the photos and the other fields of a form.

    Raises:
        Problem: 400 for no photo or an invalid form, 413 for too many photos or fields, 422 for a field given
            twice.
    """
    _, options = parse_options_header(request.headers["content-type"])
    if not (boundary := options.get(b"boundary")):
        raise _broken(
            "The Content-Type names no boundary between the form's parts; let the client's library set it."
        )
    try:
        parts = await _Form(boundary, settings).read(request)
    except FormParserError:
        raise _broken("The form cannot be read; send it as multipart/form-data.") from None
    photos = [
        EncodedPhoto(part.filename or "<bytes>", bytes(part.data))
        for part in parts
        if part.is_photo and (part.filename or part.data)
    ]
    if not photos:
        raise not_a_picture("The form holds no photo; add one as a file.")
    return photos, _fields(parts)


@dataclass(slots=True)
class _Part:
    """One part of a form."""

    name: str = ""
    filename: str | None = None
    kind: str = ""
    data: bytearray = field(default_factory=bytearray)

    @property
    def is_photo(self) -> bool:
        """Whether the part is a file, or a picture without a file name, as some clients send it."""
        if self.kind == "application/json":
            return False
        begins = looks_like_a_picture(bytes(self.data[:HEAD]))
        return self.filename is not None or self.kind.startswith("image/") or begins


class _Form:
    """Parses a form as its bytes arrive; keeps files in memory, unlike Starlette's parser."""

    def __init__(self, boundary: bytes, settings: Settings) -> None:
        self.parts: list[_Part] = []
        self._settings = settings
        self._header, self._value = bytearray(), bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._check,
                "on_part_data": self._add,
                "on_part_end": self._check,
            },
        )

    async def read(self, request: Request) -> list[_Part]:
        async for chunk in request.stream():
            self._parser.write(chunk)
        self._parser.finalize()
        return self.parts

    def _begin(self) -> None:
        self.parts.append(_Part())

    def _end_header(self) -> None:
        header, part = self._header.lower(), self.parts[-1]
        if header == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            part.name = _text(options.get(b"name", b""))
            part.filename = _text(options[b"filename"]) if b"filename" in options else None
        elif header == b"content-type":
            part.kind = _text(parse_options_header(bytes(self._value))[0]).lower()
        self._header.clear()
        self._value.clear()

    def _check(self) -> None:
        photos = sum(part.is_photo for part in self.parts)
        if photos > self._settings.max_files:
            raise too_many_photos(self._settings.max_files)
        if len(self.parts) - photos > MAX_FIELDS:
            raise _too_many_fields()

    def _add(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        part.data += data[start:end]
        if len(part.data) > MAX_FIELD and not part.is_photo:
            raise _too_many_fields()


def _fields(parts: list[_Part]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in parts:
        given = {} if part.is_photo else _texts_of_part(part)
        if given.keys() & fields.keys():
            raise wrong_option("An option is given twice; give it once.")
        fields |= given
    return fields


def _texts_of_part(part: _Part) -> dict[str, str]:
    """The options in a part: one, or those of a JSON object."""
    if part.kind != "application/json":
        return {part.name: _text(bytes(part.data))}
    try:
        value = json.loads(part.data)
    except ValueError:
        raise _broken("A part of the form is declared as JSON but is not valid JSON.") from None
    return texts_of(value if isinstance(value, dict) else {part.name: value})


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _broken(detail: str) -> Problem:
    return Problem(400, "broken-form", detail)


def _too_many_fields() -> Problem:
    return too_large("The form has too many fields, or one that is too long; send photos as files.")
