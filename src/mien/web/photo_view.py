"""Photos for the result page without scripts, which holds all pictures itself."""

import io
from base64 import b64encode
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from PIL import Image

from mien.draw import draw_estimates
from mien.photo_result import PhotoResult
from mien.pipeline.images import EncodedPhoto
from mien.results import Box
from mien.web.engine import Engine

SIDE = 1600
"""Maximum width and height in pixels of a photo's copy for the page."""

READ = 2 * SIDE
"""Minimum longer side in pixels at which a photo is decoded, so that face pictures keep their detail."""

CHIP_SIDE = 192
"""Side in pixels of the picture of a face."""


@dataclass(frozen=True, slots=True)
class PhotoView:
    """A photo with its estimates and pictures for the page.

    Attributes:
        name: Name as the client gave it.
        answer: The result in the JSON form of the API.
        picture: A ``data:`` URL of the photo's copy; empty if the photo could not be read.
        marked: A ``data:`` URL of the copy with the estimates drawn on it; likewise.
        chips: A ``data:`` URL of a picture for each face.
    """

    name: str
    answer: dict[str, Any] = field(repr=False)
    picture: str = field(default="", repr=False)
    marked: str = field(default="", repr=False)
    chips: tuple[str, ...] = field(default=(), repr=False)

    @property
    def stem(self) -> str:
        """The name without its extension."""
        return PurePath(self.name).stem


def view_of(engine: Engine, photo: EncodedPhoto, result: PhotoResult) -> PhotoView:
    """Make the pictures that go with the result of a photo.

    Raises:
        ImageError: If the photo cannot be read.
    """
    if result.error is not None:
        return PhotoView(photo.name, result.to_json())
    with engine.reading(photo, READ) as read:
        faces = [replace(face, box=_reduced(face.box, read.reduction)) for face in result.faces]
        picture, marked = Image.fromarray(read.pixels), draw_estimates(read.pixels, faces)
        chips = tuple(_data_address(_cut_out(picture, face.box)) for face in faces)
        return PhotoView(photo.name, result.to_json(), _data_address(picture), _data_address(marked), chips)


def upright_copy(engine: Engine, photo: EncodedPhoto) -> bytes:
    """A JPEG of the upright photo without metadata, at most :data:`SIDE` pixels wide and high.

    Raises:
        ImageError: If the photo cannot be read.
    """
    with engine.reading(photo, SIDE) as read:
        return _jpeg(Image.fromarray(read.pixels))


def _reduced(box: Box, reduction: int) -> Box:
    return Box(*(end / reduction for end in box))


def _cut_out(picture: Image.Image, box: Box) -> Image.Image:
    """The square around a box, shifted to lie within the picture."""
    side = min(max(box.width, box.height), *picture.size)
    x = min(max((box.x1 + box.x2 - side) / 2, 0), picture.width - side)
    y = min(max((box.y1 + box.y2 - side) / 2, 0), picture.height - side)
    return picture.resize((CHIP_SIDE, CHIP_SIDE), Image.Resampling.BILINEAR, (x, y, x + side, y + side))


def _data_address(image: Image.Image) -> str:
    return f"data:image/jpeg;base64,{b64encode(_jpeg(image)).decode('ascii')}"


def _jpeg(image: Image.Image) -> bytes:
    image = image.copy()
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
