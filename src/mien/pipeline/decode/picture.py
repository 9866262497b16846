"""A picture file or image: opened from its header, then decoded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import Any

from PIL import Image, ImageFile

from mien.errors import ImageError, PhotoTooLargeError
from mien.pipeline.decode import jpeg, png, tiff
from mien.pipeline.decode.colours import Coding, Convert, Pixels, boxes, converter
from mien.pipeline.decode.formats import format_of
from mien.pipeline.decode.pixels import (
    Decoded,
    as_stored,
    forget_xmp,
    load_what_there_is,
    orientation_of,
    rectangle,
    upright,
)
from mien.pipeline.decode.settings import MAX_PIXELS, held

_CONVERT = "convert it to JPEG or PNG"

BYTES_A_PIXEL = 10
"""Memory per pixel while a photo is decoded and processed; see docs/prediction.md."""

BYTES_A_WEBP_PIXEL = 18
"""The same for WebP, which Pillow decodes into several full copies."""

BYTES_A_PROGRESSIVE_PIXEL = 6
"""Memory per pixel of the whole picture that libjpeg needs for a progressive JPEG at any reduction."""

JPEG_REDUCTIONS: tuple[int, ...] = (1, 2, 4, 8)
"""Factors by which libjpeg can reduce the sides of a picture, which saves time and memory."""

BEYOND = 4
"""Factor by which a picture that can be decoded at a reduced size may exceed the pixel limit."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture of which the header has been read.

    Attributes:
        name: Its name in messages.
        width: Width in pixels, as stored in the file.
        height: Height in pixels, as stored in the file.
        reductions: Factors by which its sides can be reduced while decoding, in increasing order.
        max_pixels: Maximum number of pixels to decode.
    """

    name: str
    width: int
    height: int
    reductions: tuple[int, ...]
    max_pixels: int
    _bytes: int
    _bytes_a_pixel: int
    _decode: Callable[[int], Decoded]

    def reduction(self, most: float) -> int:
        """The greatest available reduction up to ``most``, or more if the pixel limit requires it."""
        possible = [r for r in self.reductions if self.pixels(r) <= self.max_pixels]
        return max((r for r in possible if r <= most), default=min(possible, default=1))

    def pixels(self, reduction: int) -> int:
        """Number of pixels when decoded at this reduction."""
        return -(-self.width // reduction) * -(-self.height // reduction)

    def cost(self, reduction: int) -> int:
        """Approximate bytes of memory for decoding and processing it at this reduction."""
        return self._bytes + self.pixels(reduction) * self._bytes_a_pixel

    def check(self, reduction: int) -> None:
        """Check that it may be decoded at this reduction.

        Raises:
            PhotoTooLargeError: If it would have too many pixels.
        """
        if self.pixels(reduction) > self.max_pixels:
            raise _too_many_pixels(self.name, self.max_pixels)

    def decode(self, reduction: int = 1) -> Decoded:
        """Decode the upright pixels at this reduction.

        Raises:
            ImageError: If none of it can be read.
            PhotoTooLargeError: If it does not fit into memory.
        """
        with _failures(self.name, MAX_PIXELS):
            return self._decode(reduction)


def open_file(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read the header of a picture file.

    Args:
        data: The bytes of the whole file.
        name: Its name in messages.
        max_pixels: Files with more pixels are refused; see :data:`BEYOND` for JPEG.

    Raises:
        ImageError: If mien cannot read the format, or the file is damaged.
        PhotoTooLargeError: If it has too many pixels.
    """
    if not data:
        raise ImageError(f"{name} is empty; copy or download it again.")
    kind = format_of(data, name)
    most = min(max_pixels, MAX_PIXELS) * (BEYOND if kind == "JPEG" else 1)
    with _failures(name, most):
        return _OPENERS.get(kind, partial(_open, kind=kind))(data, name, max_pixels)


def open_image(image: Image.Image, name: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """Open a Pillow image, without changing it.

    Raises:
        ImageError: If it has no pixels, or is a PostScript file, for which Pillow would start Ghostscript.
        PhotoTooLargeError: If it has too many pixels.
    """
    if image.format == "EPS":
        raise ImageError(f"{name} is a PostScript file (EPS); export it as JPEG or PNG.")

    def decode(_: int) -> Decoded:
        image.load()
        return upright(image, converter(image), orientation_of(image))

    return _picture(image, name, 0, max_pixels, decode)


def _open(data: bytes, name: str, max_pixels: int, kind: str, coding: Coding | None = None) -> Picture:
    image = _pillow(data, kind)

    def decode(_: int) -> Decoded:
        rows = load_what_there_is(image)
        whole = rows == (0, image.height)
        return upright(image, converter(image, coding), orientation_of(image), None if whole else rows)

    return _picture(image, name, len(data), max_pixels, decode)


def _open_png(data: bytes, name: str, max_pixels: int) -> Picture:
    clean, coding = png.only_the_picture(data)
    return _open(clean, name, max_pixels, "PNG", None if coding is None else Coding(*coding))


def _open_avif(data: bytes, name: str, max_pixels: int) -> Picture:
    at = data.find(b"colrnclx")  # Pillow does not report it
    numbers = data[at + 8 : at + 12]
    coding = (
        Coding(int.from_bytes(numbers[:2], "big"), int.from_bytes(numbers[2:], "big")) if at >= 0 else None
    )
    return _open(data, name, max_pixels, "AVIF", coding)


def _open_heif(data: bytes, name: str, max_pixels: int) -> Picture:
    from mien.pipeline.decode.heif import HeifPicture

    picture = HeifPicture(data)

    def decode(_: int) -> Decoded:
        convert = picture.load()
        return upright(picture, convert, 1)

    return _picture(picture, name, len(data), max_pixels, decode)


def _open_tiff(data: bytes, name: str, max_pixels: int) -> Picture:
    pages = tiff.pages_of(data)
    if tiff.is_raw(pages):
        raise ImageError(f"{name} is a camera raw file; export it as JPEG first.")
    page = tiff.photo_of(pages)
    try:
        return _open(tiff.starting_with(data, page), name, max_pixels, "TIFF")
    except OSError:
        if kind := tiff.kind_of(page):
            raise ImageError(f"{name} is a TIFF with {kind}, which mien does not read; {_CONVERT}.") from None
        raise


def _open_jpeg(data: bytes, name: str, max_pixels: int) -> Picture:
    if jpeg.went_through_text(data):
        raise ImageError(
            f"{name} was changed by a transfer as text; copy or download it again, in binary mode."
        )
    image = _pillow(data, "JPEG")

    def decode(reduction: int) -> Decoded:
        if data.rfind(jpeg.END, jpeg.first_scan(data)) < 0:
            return _mend_jpeg(data, reduction)
        try:
            whole = _jpeg(data, reduction)
        except OSError:
            return _mend_jpeg(data, reduction)
        return upright(whole, converter(whole), orientation_of(whole))

    return _picture(image, name, len(data), max_pixels, decode)


def _jpeg(data: bytes, reduction: int) -> ImageFile.ImageFile:
    """Decode a JPEG picture at a reduced size."""
    image = _pillow(data, "JPEG")
    if reduction > 1:
        image.draft(None, (image.width // reduction, image.height // reduction))
    image.load()
    return image


def _mend_jpeg(data: bytes, reduction: int) -> Decoded:
    """Decode a truncated JPEG with two different fillers; the rows that do not differ are intact."""
    part, ended, coarse = jpeg.picture_of(data)
    if ended:
        raise OSError("the end mark is there, so the data before it are wrong")
    image = _jpeg(part + jpeg.FILLERS[0], reduction)
    orientation = orientation_of(image)
    decoded = upright(image, converter(image), orientation)
    if coarse:  # the whole picture is there, only the last scans are missing
        return replace(decoded, intact=(0, 0, *decoded.pixels.shape[1::-1]))
    other = _jpeg(part + jpeg.FILLERS[1], reduction)
    end = _first_difference(as_stored(decoded.pixels, orientation), other, converter(other))
    if end == 0:
        raise OSError("no row is whole")
    whole = end == image.height
    return replace(decoded, intact=None if whole else rectangle((0, end), *image.size, orientation))


def _first_difference(pixels: Pixels, image: Image.Image, convert: Convert) -> int:
    """The first row in which an image differs from the pixels; the number of rows if none does."""
    for x1, y1, x2, y2 in boxes(*image.size):
        differs = (convert(image.crop((x1, y1, x2, y2))) != pixels[y1:y2, x1:x2]).any((1, 2))
        if differs.any():
            return y1 + int(differs.argmax())
    return image.height


def _pillow(data: bytes, kind: str) -> ImageFile.ImageFile:
    image = Image.open(BytesIO(data), formats=(kind,))
    forget_xmp(image)
    return image


def _picture(image: Any, name: str, size: int, max_pixels: int, decode: Callable[[int], Decoded]) -> Picture:
    (width, height), kind, info = image.size, getattr(image, "format", None), getattr(image, "info", {})
    limit, whole = min(max_pixels, MAX_PIXELS), width * height
    most, reductions = limit, JPEG_REDUCTIONS[:1]
    if kind in ("JPEG", "MPO") and size:  # size 0 is a Pillow image, which must not change
        reductions = tuple(r for r in JPEG_REDUCTIONS if r <= max(1, min(width, height)))
        if "progressive" in info:
            size += BYTES_A_PROGRESSIVE_PIXEL * whole
        else:
            most = BEYOND * limit
    if whole > most:
        raise _too_many_pixels(name, most)
    if whole == 0:
        raise ImageError(f"{name} has no pixels; give a photo of at least 1x1.")
    weight = BYTES_A_WEBP_PIXEL if kind == "WEBP" else BYTES_A_PIXEL
    return Picture(name, width, height, reductions, limit, size, weight, decode)


@contextmanager
def _failures(name: str, most: int) -> Iterator[None]:
    """Turn whatever a decoder raises into one of mien's errors."""
    try:
        with held():
            yield
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise _too_many_pixels(name, most) from None
    except MemoryError:
        raise PhotoTooLargeError(f"{name} needs more memory than there is; scale it down first.") from None
    except Exception as error:  # damaged files make decoders raise errors of any kind
        if "nsupported BMP" in str(error):
            raise ImageError(f"{name} is a BMP of a kind that mien does not read; {_CONVERT}.") from None
        raise ImageError(f"{name} is damaged or cut short; copy or download it again.") from None


def _too_many_pixels(name: str, limit: int) -> PhotoTooLargeError:
    return PhotoTooLargeError(f"{name} has more than {limit / 10**6:g} megapixels; scale it down first.")


_OPENERS = {"PNG": _open_png, "AVIF": _open_avif, "HEIF": _open_heif, "TIFF": _open_tiff, "JPEG": _open_jpeg}
