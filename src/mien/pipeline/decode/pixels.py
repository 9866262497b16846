"""Make the upright pixels of an opened image, piece by piece, and find which of them were in the file."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile

from mien.pipeline.decode.colours import Convert, Pixels, boxes

Rectangle = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels."""

_XMP = {"xmp", "XML:com.adobe.xmp"}


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A decoded picture.

    Attributes:
        pixels: (height, width, 3) upright sRGB.
        intact: The part of ``pixels`` that was in the file; None if all of it was.
        sideways: Whether the file stores the picture's rows as columns.
    """

    pixels: Pixels
    intact: Rectangle | None = None
    sideways: bool = False


def upright(image: Any, convert: Convert, orientation: int, rows: tuple[int, int] | None = None) -> Decoded:
    """Make the upright pixels of an image.

    Args:
        image: An object with ``size`` and ``crop`` like a Pillow image.
        convert: Converts its pieces to sRGB.
        orientation: EXIF orientation, 1 to 8.
        rows: Start and end of the rows that were in the file; None if all were.
    """
    width, height = image.size
    pixels = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
    stored = as_stored(pixels, orientation)
    for x1, y1, x2, y2 in boxes(width, height):
        stored[y1:y2, x1:x2] = convert(image.crop((x1, y1, x2, y2)))
    intact = None if rows is None else rectangle(rows, width, height, orientation)
    return Decoded(pixels, intact, orientation >= 5)


def as_stored(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """A view of upright pixels in the orientation of the file (EXIF 2.3, 4.6.4, tag 0x0112)."""
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels.swapaxes(0, 1) if orientation >= 5 else pixels


def rectangle(rows: tuple[int, int], width: int, height: int, orientation: int) -> Rectangle:
    """The place of some rows of a stored picture, of this width and height, in the upright picture."""
    first, end = rows
    if orientation in (3, 4, 6, 7):
        first, end = height - end, height - first
    return (first, 0, end, width) if orientation >= 5 else (0, first, width, end)


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) if it is missing or cannot be read.

    Call it after the pixels are loaded, when Pillow has already turned a TIFF. An orientation in XMP is
    ignored: converters leave it in photos that they have turned, and browsers ignore it too.
    """
    source = image
    if not _XMP.isdisjoint(image.info):
        source = Image.new("1", (1, 1))
        source.info = {key: value for key, value in image.info.items() if key not in _XMP}
    try:
        value = source.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF data of any kind is no reason to refuse a photo
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def forget_xmp(image: Image.Image) -> None:
    """Remove XMP data, since Pillow would turn a TIFF by the orientation in it."""
    for key in _XMP:
        image.info.pop(key, None)


def load_what_there_is(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Load as many rows of an image as its file holds.

    Returns:
        Start and end of these rows; 0 and the height if all rows are there.

    Raises:
        OSError: If there are none, or they cannot be distinguished from missing rows.
    """
    try:
        image.load()
    except OSError:
        turned = image.format == "TIFF" and image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        if image.info.get("interlace") or image.format == "GIF" or turned:
            raise
        image.tile = []  # do not decode any further
        filled = [y for y in range(image.height) if image.crop((0, y, image.width, y + 1)).getbbox()]
        if not filled:
            raise
        return filled[0], filled[-1] + 1
    return 0, image.height
