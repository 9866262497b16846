"""Photos of a collection before annotation: the path, address or bytes of each."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from mien.annotate.locations import absolute, is_address, read
from mien.errors import ImageError
from mien.pipeline.images import MAX_BYTES, EncodedPhoto

PHOTO_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".jpf", ".jpx"),
)
"""Extensions of photos in folders and archives; a file given by name may have any extension."""

Wanted: TypeAlias = Callable[[str], bool]
"""Tells whether the photo of a name is still to be annotated; the bytes of other photos are not read."""


def ends_in(name: str, endings: tuple[str, ...]) -> bool:
    """Whether a name has one of the extensions, in any case, and is not hidden."""
    base = name.rpartition("/")[2]
    return base.lower().endswith(endings) and not base.startswith(".")


def is_photo(name: str) -> bool:
    """Whether a name has the extension of a photo and is not hidden.

    >>> is_photo("a/B.JPG"), is_photo("a/._B.jpg"), is_photo("notes.txt")
    (True, False, False)
    """
    return ends_in(name, PHOTO_ENDINGS)


def printable_name(name: str) -> str:
    r"""A name as valid UTF-8, as the tables need it; invalid bytes of a path become escapes like ``\\udce9``.

    >>> printable_name("caf\udce9.jpg")
    'caf\\udce9.jpg'
    """
    return name.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class Item:
    """A photo to be annotated.

    Attributes:
        name: Name in the tables; unique in a collection.
        place: Path or address of the photo; None if ``data`` or ``error`` is set.
        data: The encoded photo, if its bytes had to be read already.
        error: Why the photo cannot be read, if that is known already.
    """

    name: str
    place: str | None = None
    data: bytes | None = None
    error: str | None = None

    @property
    def size(self) -> int:
        """Number of bytes in ``data``."""
        return len(self.data or b"")

    def source(self) -> str | EncodedPhoto:
        """The photo as input of the predictor: a path, or a name with bytes.

        Raises:
            ImageError: If the photo cannot be read.
        """
        if self.error is not None:
            raise ImageError(self.error)
        if self.data is not None:
            return EncodedPhoto(self.name, self.data)
        assert self.place is not None
        return EncodedPhoto(self.name, _fetch(self.place)) if is_address(self.place) else self.place


def item_at(place: str) -> Item:
    """The photo at a path or an address."""
    return Item(printable_name(place), place)


def _fetch(address: str) -> bytes:
    try:
        data = read(address, MAX_BYTES + 1)
    except FileNotFoundError:
        raise ImageError(f"{address} does not exist; check the address.") from None
    except OSError as error:
        raise ImageError(f"{address} cannot be read ({error.strerror or error}).") from None
    if len(data) > MAX_BYTES:
        raise ImageError(f"{address} is larger than {MAX_BYTES // 2**20} MB; export it as JPEG first.")
    return data


class Names:
    """A set of names of photos, stored as 8-byte hashes to save memory.

    Paths to the same file count as one name. Relative paths start from the working directory at construction.
    Among a hundred million names, the probability of any collision is about 1 in 3700.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._folder = os.getcwd()
        self._keys: set[int] = set()

    def __contains__(self, name: str) -> bool:
        """Whether a name was added."""
        return self._key(name) in self._keys

    def add(self, name: str) -> None:
        """Remember a name."""
        self._keys.add(self._key(name))

    def _key(self, name: str) -> int:
        same = absolute(name, self._folder).encode("utf-8", "backslashreplace")
        digest = hashlib.blake2b(same, digest_size=8).digest()
        return int.from_bytes(digest, "little")
