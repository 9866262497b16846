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
"""Of memory that a photo takes while it is decoded and looked at; docs/prediction.md has the measurements."""

BYTES_A_WEBP_PIXEL = 18
"""Pillow decodes WebP into several whole copies."""

BYTES_A_PROGRESSIVE_PIXEL = 6
"""What libjpeg holds of a whole progressive picture, however small it is decoded."""

JPEG_REDUCTIONS: tuple[int, ...] = (1, 2, 4, 8)
"""libjpeg decodes a picture at these parts of its sides, which takes less time and memory."""

BEYOND = 4
"""A picture that is decoded at a part of its size may have so many times the pixels of another."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What is known from the header.

    Attributes:
        name: To call it by.
        width: In pixels, as the file stores them.
        height: Likewise.
        reductions: How many times smaller it can be decoded, each way, the least first.
        max_pixels: More are not decoded.
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
        """The greatest that is at most ``most``; a greater one where the limit on pixels asks for it."""
        possible = [r for r in self.reductions if self.pixels(r) <= self.max_pixels]
        return max((r for r in possible if r <= most), default=min(possible, default=1))

    def pixels(self, reduction: int) -> int:
        """How many are decoded."""
        return -(-self.width // reduction) * -(-self.height // reduction)

    def cost(self, reduction: int) -> int:
        """Bytes of memory that decoding it and looking at it take, about."""
        return self._bytes + self.pixels(reduction) * self._bytes_a_pixel

    def check(self, reduction: int) -> None:
        """See whether it may be decoded.

        Raises:
            PhotoTooLargeError: If that would give too many pixels.
        """
        if self.pixels(reduction) > self.max_pixels:
            raise _too_many_pixels(self.name, self.max_pixels)

    def decode(self, reduction: int = 1) -> Decoded:
        """The upright pixels, so many times fewer each way.

        Raises:
            ImageError: If nothing can be read of it.
        """
        with _failures(self.name, MAX_PIXELS):
            return self._decode(reduction)


def open_file(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read the header of a picture file.

    Args:
        data: All its bytes.
        name: To call it by.
        max_pixels: Files with more are refused.

    Raises:
        ImageError: If it is no picture that mien reads, or is damaged.
        PhotoTooLargeError: If it has too many pixels.
    """
    if not data:
        raise ImageError(f"{name} is empty; copy or download it again.")
    kind = format_of(data, name)
    most = min(max_pixels, MAX_PIXELS) * (BEYOND if kind == "JPEG" else 1)
    with _failures(name, most):
        return _OPENERS.get(kind, partial(_open, kind=kind))(data, name, max_pixels)


def open_image(image: Image.Image, name: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """A Pillow image, which is left as it is.

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
    at = data.find(b"colrnclx")  # Pillow does not tell
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
    """A JPEG picture, decoded at a part of its size."""
    image = _pillow(data, "JPEG")
    if reduction > 1:
        image.draft(None, (image.width // reduction, image.height // reduction))
    image.load()
    return image


def _mend_jpeg(data: bytes, reduction: int) -> Decoded:
    """What there is of a JPEG picture without its end: the pixels that stay, whatever stands for the rest."""
    part, ended, coarse = jpeg.picture_of(data)
    if ended:
        raise OSError("the end mark is there, so the data before it are wrong")
    image = _jpeg(part + jpeg.FILLERS[0], reduction)
    orientation = orientation_of(image)
    decoded = upright(image, converter(image), orientation)
    if coarse:  # all of it is there, without the last scans
        return replace(decoded, intact=(0, 0, *decoded.pixels.shape[1::-1]))
    other = _jpeg(part + jpeg.FILLERS[1], reduction)
    end = _first_difference(as_stored(decoded.pixels, orientation), other, converter(other))
    if end == 0:
        raise OSError("no row is whole")
    whole = end == image.height
    return replace(decoded, intact=None if whole else rectangle((0, end), *image.size, orientation))


def _first_difference(pixels: Pixels, image: Image.Image, convert: Convert) -> int:
    """The first row in which an image is not what the pixels are; their number where it is all the same."""
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
    if kind in ("JPEG", "MPO") and size:  # a file, not a Pillow image, which is left as it is
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
    """Whatever a decoder raises becomes the sentence."""
    try:
        with held():
            yield
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise _too_many_pixels(name, most) from None
    except MemoryError:
        raise PhotoTooLargeError(f"{name} needs more memory than there is; scale it down first.") from None
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
        if "nsupported BMP" in str(error):
            raise ImageError(f"{name} is a BMP of a kind that mien does not read; {_CONVERT}.") from None
        raise ImageError(f"{name} is damaged or cut short; copy or download it again.") from None


def _too_many_pixels(name: str, limit: int) -> PhotoTooLargeError:
    return PhotoTooLargeError(f"{name} has more than {limit / 10**6:g} megapixels; scale it down first.")


_OPENERS = {"PNG": _open_png, "AVIF": _open_avif, "HEIF": _open_heif, "TIFF": _open_tiff, "JPEG": _open_jpeg}
