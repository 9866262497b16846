"""A contact sheet: small pictures of some faces, from photos and films that still exist."""

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from mien.annotate.frames import Film
from mien.annotate.items import item_at
from mien.errors import MienError
from mien.pipeline.images import Pixels, read_photo

SIDE = 112
"""Side of a picture in pixels."""

MARGIN = 1.3
"""Side of the shown square, as a multiple of the longer side of the face's box."""

QUALITY = 80
"""JPEG quality of the pictures."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A face with its picture.

    Attributes:
        face: Row of the face.
        picture: A JPEG in Base64.
    """

    face: Mapping[str, Any]
    picture: str


def cut_chips(faces: Iterable[Mapping[str, Any]], most: int) -> list[Chip]:
    """Cut out pictures of the first ``most`` faces whose photo or film can be read, sorted by age.

    Photos and films that are missing or unreadable are skipped.
    """
    photos: dict[str, list[Mapping[str, Any]]] = {}
    for face in faces:
        photos.setdefault(face["photo"], []).append(face)
    chips: list[Chip] = []
    for name, group in photos.items():
        if len(chips) < most:
            chips += _cut(name, group)
    return sorted(chips[:most], key=lambda chip: float(chip.face["age"]))


def _cut(name: str, faces: Sequence[Mapping[str, Any]]) -> Iterator[Chip]:
    try:
        for face, pixels in _seen(name, faces):
            if (picture := _picture(pixels, face["box"])) is not None:
                yield Chip(face, picture)
    except MienError:
        return


def _seen(name: str, faces: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], Pixels]]:
    """Yield each face with the photo, or the frame of a film, that shows it.

    Raises:
        MienError: If the photo or the film cannot be read.
    """
    if "best_time" not in faces[0]:
        pixels = read_photo(item_at(name).source(), damaged=True).pixels
        yield from ((face, pixels) for face in faces)
        return
    people = sorted(faces, key=lambda person: float(person["best_time"]))
    for frame in Film(name).frames_at(person["best_time"] for person in people):
        yield people[frame.index], frame.pixels


def _picture(pixels: Pixels, box: list[float]) -> str | None:
    """The square around a face, shifted to lie within the photo, as Base64 JPEG; None for a box outside."""
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = box
    side = min(MARGIN * max(x2 - x1, y2 - y1), width, height)
    if side < 1 or x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        return None
    left = min(max((x1 + x2 - side) / 2, 0), width - side)
    top = min(max((y1 + y2 - side) / 2, 0), height - side)
    square = (left, top, left + side, top + side)
    image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS, square)
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=QUALITY)
    return base64.b64encode(jpeg.getvalue()).decode()
