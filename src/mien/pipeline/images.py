"""Decode photos to upright RGB; all of mien uses this decoder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.errors import ImageError, PhotoTooLargeError
from mien.pipeline.decode.arrays import from_array, refuse_other
from mien.pipeline.decode.memory import MEMORY
from mien.pipeline.decode.picture import Picture, open_file, open_image
from mien.pipeline.decode.settings import MAX_PIXELS as MAX_PIXELS
from mien.pipeline.decode.texts import missing, name_of_text, other_forms, quoted, refuse_text

Pixels = npt.NDArray[np.uint8]

MAX_BYTES = 512 * 2**20
"""Files and streams with more bytes are refused."""


@dataclass(frozen=True, slots=True)
class EncodedPhoto:
    """The bytes of a picture file (an upload, standard input) with a name for results and errors."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photo.

    Attributes:
        name: The path as given, or ``"<bytes>"``, ``"<image>"`` or ``"<file>"`` for data without one.
        pixels: (height, width, 3) upright RGB.
        intact: The part of a damaged photo that could be read, as (x1, y1, x2, y2) in pixels of the whole
            photo; None if all of it could be read.
        reduction: Factor by which ``pixels`` has less width and height than the whole photo.
        size: Width and height of the whole photo in pixels; None if they are those of ``pixels``.
    """

    name: str
    pixels: Pixels
    intact: tuple[int, int, int, int] | None = None
    reduction: int = 1
    size: tuple[int, int] | None = None

    @property
    def width(self) -> int:
        """Width of the whole photo in pixels."""
        return self.size[0] if self.size else int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height of the whole photo in pixels."""
        return self.size[1] if self.size else int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class OpenPhoto:
    """A photo of which only the header has been read.

    Attributes:
        name: As in :class:`Photo`.
        size: Its two sides in pixels. Which of them is the width is known only after reading.
    """

    name: str
    size: tuple[int, int]
    _source: Photo | Picture

    def reduction(self, most: float) -> int:
        """The greatest available reduction of both sides that is at most ``most``.

        It is greater than ``most`` if only then the pixels are within the limit.
        """
        return self._source.reduction if isinstance(self._source, Photo) else self._source.reduction(most)

    @contextmanager
    def reading(self, reduction: int = 1, *, damaged: bool = False) -> Iterator[Photo]:
        """Read the photo, and count it in the memory budget for the length of the block.

        See :func:`reading`; the errors are those of :func:`read_photo`.

        Args:
            reduction: A result of :meth:`reduction`, or 1.
            damaged: As in :func:`read_photo`.
        """
        if isinstance(self._source, Photo):
            yield self._source
            return
        self._source.check(reduction)
        with MEMORY.hold(self._source.cost(reduction)):
            yield _decode(self._source, reduction, damaged)


class BinaryFile(Protocol):
    """An open file in binary mode, or another object with such a ``read`` method."""

    def read(self, size: int = ..., /) -> bytes:
        """Read at most this many bytes."""
        ...


PhotoSource: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryFile
    | EncodedPhoto
    | Image.Image
    | npt.NDArray[np.uint8]
    | Photo
)
"""Everything that :func:`read_photo` accepts."""

ImageFormat = Literal["RGB", "BGR"]
"""Channel order of an array; OpenCV uses BGR."""


def read_photo(
    source: PhotoSource,
    *,
    max_pixels: int = MAX_PIXELS,
    damaged: bool = False,
    image_format: ImageFormat = "RGB",
) -> Photo:
    """Decode a photo, turn it upright and convert it to 8-bit sRGB.

    Files may be JPEG, PNG, WebP, GIF (first frame), BMP, TIFF (largest full page), HEIC, AVIF or JPEG 2000.
    Colour profiles and high dynamic range are converted to sRGB, 16-bit greys are scaled to 8 bits, and
    transparent parts become white. Waits while photos of other threads fill the memory budget.

    Args:
        source: A path, the bytes of a file (with a name: :class:`EncodedPhoto`), an open file in binary mode,
            a Pillow image, or an upright uint8 array: (height, width, 3) RGB, (height, width, 4) RGBA, or
            (height, width) grey.
        max_pixels: Files and Pillow images with more pixels are refused; :data:`MAX_PIXELS` is the maximum.
        damaged: Whether to return the readable part of a truncated file; see :attr:`Photo.intact`.
        image_format: Channel order of an array: ``RGB``, or ``BGR`` as in OpenCV.

    Raises:
        ImageError: If the photo cannot be read, is damaged, or is not a picture.
        PhotoTooLargeError: If it has too many pixels or bytes, or does not fit into memory.
        ValueError: If ``image_format`` is neither ``RGB`` nor ``BGR``.
    """
    with reading(source, max_pixels=max_pixels, damaged=damaged, image_format=image_format) as photo:
        return photo


@contextmanager
def reading(
    source: PhotoSource,
    *,
    max_pixels: int = MAX_PIXELS,
    damaged: bool = False,
    image_format: ImageFormat = "RGB",
) -> Iterator[Photo]:
    """Read a photo, and count it in the memory budget for the length of the block.

    All photos being processed share the budget :data:`mien.pipeline.decode.memory.MEMORY`; a photo that does
    not fit waits. Do not read another photo within the block. Arguments and errors are those of
    :func:`read_photo`.
    """
    opened = open_photo(source, max_pixels=max_pixels, image_format=image_format)
    with opened.reading(damaged=damaged) as photo:
        yield photo


def open_photo(
    source: PhotoSource, *, max_pixels: int = MAX_PIXELS, image_format: ImageFormat = "RGB"
) -> OpenPhoto:
    """Read a photo's header. Arguments and errors are those of :func:`read_photo`."""
    check_image_format(image_format)
    if isinstance(source, np.ndarray):
        source = Photo(name_of(source), from_array(source, image_format))
    opened = source if isinstance(source, Photo) else _open(source, max_pixels)
    return OpenPhoto(opened.name, (opened.width, opened.height), opened)


def take_over(source: PhotoSource, image_format: ImageFormat = "RGB") -> PhotoSource:
    """Copy a photo, so that the caller may change or close the original.

    Arrays, images, buffers and open files are read and copied. Paths are returned as they are.

    Raises:
        ImageError: If an array, image or open file cannot be read.
    """
    if isinstance(source, Photo):
        return replace(source, pixels=source.pixels.copy())
    if isinstance(source, np.ndarray):
        return Photo(name_of(source), from_array(source.copy(), image_format))
    if isinstance(source, Image.Image):
        return read_photo(source)
    return _encoded(source) or source


def check_image_format(image_format: str) -> None:
    """Refuse an unknown channel order.

    Raises:
        ValueError: If it is neither ``RGB`` nor ``BGR``.
    """
    if image_format not in get_args(ImageFormat):
        raise ValueError(f"image_format must be RGB or BGR; got {image_format!r}")


def _open(source: PhotoSource, max_pixels: int) -> Picture:
    name = name_of(source)
    if isinstance(source, Image.Image):
        return open_image(source, name, max_pixels)
    if isinstance(source, str | os.PathLike):
        return open_file(read_file(source), name, max_pixels)
    encoded = _encoded(source)
    if encoded is None:
        raise refuse_other(source)
    return open_file(encoded.data, encoded.name, max_pixels)


def _encoded(source: object) -> EncodedPhoto | None:
    """The bytes and the name of a source of bytes; None for any other source."""
    if isinstance(source, EncodedPhoto):
        return source
    if isinstance(source, bytes | bytearray | memoryview):
        return EncodedPhoto(name_of(source), bytes(source))
    if not callable(read := getattr(source, "read", None)) or isinstance(source, Image.Image | os.PathLike):
        return None
    name = name_of(source)
    try:
        data = read(MAX_BYTES + 1)
    except (OSError, ValueError, TypeError) as error:  # closed, or not open for reading
        raise ImageError(f"{name} cannot be read ({error}).") from None
    if not isinstance(data, bytes):
        raise ImageError(f"{name} gives text; open it in binary mode: open(path, 'rb').")
    if len(data) > MAX_BYTES:
        raise _too_long(name)
    return EncodedPhoto(name, data)


def _too_long(name: str) -> PhotoTooLargeError:
    return PhotoTooLargeError(f"{name} is larger than {MAX_BYTES // 2**20} MB; export it as JPEG first.")


def _decode(picture: Picture, reduction: int, damaged: bool) -> Photo:
    decoded = picture.decode(reduction)
    if decoded.intact is not None and not damaged:
        raise ImageError(f"{picture.name} is damaged or cut short; copy or download it again.")
    if reduction == 1:
        return Photo(picture.name, decoded.pixels, decoded.intact)
    size = (picture.height, picture.width) if decoded.sideways else (picture.width, picture.height)
    x1, y1, x2, y2 = (reduction * end for end in decoded.intact or (0, 0, 0, 0))
    intact = (x1, y1, min(x2, size[0]), min(y2, size[1])) if decoded.intact else None
    return Photo(picture.name, decoded.pixels, intact, reduction, size)


def name_of(source: object) -> str:
    """The name of a photo in results and messages."""
    if isinstance(source, Photo | EncodedPhoto):
        return source.name
    if isinstance(source, str | os.PathLike):
        return name_of_text(os.fsdecode(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if isinstance(source, Image.Image | np.ndarray):
        return "<image>"
    if callable(getattr(source, "read", None)):
        name = getattr(source, "name", None)
        return name_of_text(name) if isinstance(name, str) else "<file>"
    return f"<{type(source).__name__}>"


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of a file of any kind.

    If the path does not exist, the other Unicode form of its name (NFC or NFD) is tried, and for a
    ``file://`` URL the path in it.

    Raises:
        ImageError: If it cannot be read.
        PhotoTooLargeError: If it has more than :data:`MAX_BYTES`.
    """
    given = os.fsdecode(path)
    name = quoted(given)
    try:
        data = _read(given)
    except IsADirectoryError:
        raise ImageError(
            f"{name} is a folder; name the photos in it, for example {name}/*.jpg, or use 'mien annotate'."
        ) from None
    except PermissionError:
        raise ImageError(f"{name} may not be opened; check its permissions.") from None
    except OSError as error:
        refuse_text(given)  # a text too long for a path
        raise ImageError(f"{name} cannot be opened ({error.strerror}).") from None
    except ValueError:  # a null character
        raise ImageError(f"{name!r} is not a path; check it.") from None
    if len(data) > MAX_BYTES:
        raise _too_long(name)
    return data


def _read(given: str) -> bytes:
    for path in filter(None, (given, *other_forms(given))):
        try:
            with Path(path).open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            continue
    refuse_text(given)
    raise missing(given)
