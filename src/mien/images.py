"""Photos in, upright RGB out: the one decoder of mien."""

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from mien.errors import ImageError, PhotoTooLargeError

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 100_000_000
"""Photos with more pixels are refused from their header; decoded, the limit is 300 MB."""

MAX_BYTES = 512 * 2**20
"""Files and streams with more bytes are refused."""

_WHITE = (255, 255, 255, 255)

# What Pillow's and libheif's decoders raise for files that are damaged in one way or another.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)

_quiet = threading.Lock()


@dataclass(frozen=True, slots=True)
class EncodedPhoto:
    """The bytes of a picture file under a name to report it by: an upload, or standard input."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photo.

    Attributes:
        name: The path as given, or ``"<bytes>"``, ``"<image>"`` for data without one.
        pixels: (height, width, 3) upright RGB.
    """

    name: str
    pixels: Pixels

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])


PhotoSource: TypeAlias = (
    str | os.PathLike[str] | bytes | EncodedPhoto | Image.Image | npt.NDArray[np.uint8] | Photo
)
"""Whatever :func:`read_photo` takes."""


def read_photo(source: PhotoSource, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo, turn it upright and bring it to 8-bit RGB.

    Files may be JPEG, PNG, WebP, GIF (its first frame), BMP, TIFF, HEIC, AVIF or whatever else Pillow reads.
    16-bit greys are scaled to 8 bits, transparent parts show white.

    Args:
        source: A path, the bytes of a file (with a name: :class:`EncodedPhoto`), a Pillow image, or a uint8
            array, (height, width, 3) RGB or (height, width) grey, taken as upright.
        max_pixels: Files and Pillow images with more are refused; at most :data:`MAX_PIXELS`.

    Raises:
        ImageError: If it cannot be read, is damaged, or is no picture.
        PhotoTooLargeError: If it is too large.
    """
    if isinstance(source, Photo):
        return source
    name = name_of(source)
    if isinstance(source, np.ndarray):
        return Photo(name, _from_array(source, name))
    if isinstance(source, Image.Image):
        return Photo(name, _from_image(source, name, max_pixels))
    if isinstance(source, EncodedPhoto):
        return Photo(name, _from_bytes(source.data, name, max_pixels))
    if isinstance(source, bytes):
        return Photo(name, _from_bytes(source, name, max_pixels))
    if isinstance(source, str | os.PathLike):
        return Photo(name, _from_bytes(read_file(source), name, max_pixels))
    raise ImageError(f"A photo must be a path, bytes, a Pillow image or a uint8 array, not {name}.")


def name_of(source: object) -> str:
    """What a photo is called in results and messages."""
    if isinstance(source, Photo | EncodedPhoto):
        return source.name
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    if isinstance(source, bytes):
        return "<bytes>"
    if isinstance(source, Image.Image | np.ndarray):
        return "<image>"
    return f"<{type(source).__name__}>"


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, whatever they are.

    Raises:
        ImageError: If it cannot be read.
        PhotoTooLargeError: If it has more than :data:`MAX_BYTES`.
    """
    name = os.fsdecode(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ImageError(f"{name} does not exist; check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder; name the photos in it, for example {name}/*.jpg.") from None
    except PermissionError:
        raise ImageError(f"{name} may not be opened; check its permissions.") from None
    except OSError as error:
        raise ImageError(f"{name} cannot be opened ({error.strerror}).") from None
    except ValueError:  # a null character
        raise ImageError(f"{name!r} is not a path; check it.") from None
    if len(data) > MAX_BYTES:
        raise PhotoTooLargeError(f"{name} is larger than {MAX_BYTES // 2**20} MB; export it as JPEG first.")
    return data


def _from_bytes(data: bytes, name: str, max_pixels: int) -> Pixels:
    if not data:
        raise ImageError(f"{name} is empty; copy or download it again.")
    try:
        image = _open(data)
    except Image.DecompressionBombError:
        raise _too_many_pixels(name, max_pixels) from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{name} is not a picture in a format mien reads; convert it to JPEG or PNG."
        ) from None
    except _DAMAGE:
        raise _damaged(name) from None
    with image:
        return _from_image(image, name, max_pixels)


def _open(data: bytes) -> Image.Image:
    """Read a picture's header only."""
    _register_heif()
    with _quiet_pillow():
        return Image.open(io.BytesIO(data))


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings of odd headers; one thread at a time, as it changes the whole process."""
    with _quiet, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@cache
def _register_heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()


def _from_image(image: Image.Image, name: str, max_pixels: int) -> Pixels:
    """Decode, bring to RGB and turn upright; the given image is left as it is."""
    if image.width * image.height > min(max_pixels, MAX_PIXELS):
        raise _too_many_pixels(name, max_pixels)
    if image.width * image.height == 0:
        raise ImageError(f"{name} has no pixels; give a photo of at least 1x1.")
    try:
        with _quiet_pillow() if image.format == "TIFF" else nullcontext():  # only TIFFs warn this late
            image.load()
        pixels = np.asarray(_to_rgb(image), np.uint8)
        orientation = _orientation(image)
    except _DAMAGE:
        raise _damaged(name) from None
    return _upright(pixels, orientation)


def _from_array(array: npt.NDArray[np.uint8], name: str) -> Pixels:
    if array.dtype != np.uint8:
        raise ImageError(
            f"An array must hold uint8 values from 0 to 255, not {array.dtype}; convert it first."
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ImageError(
            f"An array must have the shape (height, width, 3), or (height, width) if grey, not {array.shape}."
        )
    if array.size == 0:
        raise ImageError(f"{name} has no pixels; give a photo of at least 1x1.")
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    return np.ascontiguousarray(array)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB, without clipping deep pictures and without the colours behind transparency."""
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_to_eight_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, _WHITE)
        canvas.alpha_composite(image.convert("RGBA"))
        return canvas.convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(grey: npt.NDArray[np.generic]) -> Pixels:
    """Scale deep grey values to 0 to 255.

    16-bit values are taken to fill their range, floats up to 1 to lie in [0, 1]. Others have no agreed range:
    their largest value becomes white.
    """
    values = np.nan_to_num(grey.astype(np.float32), posinf=0, neginf=0)
    peak = float(values.max())
    white = max(peak, 1.0 if np.issubdtype(grey.dtype, np.floating) else 65535.0)
    return np.asarray(np.rint(values.clip(0, white) * (255 / white)), np.uint8)


def _orientation(image: Image.Image) -> int:
    """The EXIF (or XMP) orientation, 1 to 8; 1, upright, where there is none or it cannot be read.

    Read after the pixels: Pillow has by then turned TIFFs itself and says so.
    """
    try:
        with _quiet_pillow():
            value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGE:  # damaged EXIF data is no reason to refuse a photo
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation (EXIF 2.3, section 4.6.4, tag 0x0112)."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _damaged(name: str) -> ImageError:
    return ImageError(f"{name} is damaged or cut short; copy or download it again.")


def _too_many_pixels(name: str, limit: int) -> PhotoTooLargeError:
    megapixels = min(limit, MAX_PIXELS) / 10**6
    return PhotoTooLargeError(f"{name} has more than {megapixels:g} megapixels; scale it down first.")
