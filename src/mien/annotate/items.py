"""Photos of a collection before they are looked at: where each is, or its bytes."""

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
"""Of names that are taken for photos in folders and archives; a file given by name is always looked at."""

Wanted: TypeAlias = Callable[[str], bool]
"""Says of a photo's name whether the photo is still to be looked at; the bytes of others are not read."""


def ends_in(name: str, endings: tuple[str, ...]) -> bool:
    """Whether a name ends in one of some endings, and is not hidden."""
    base = name.rpartition("/")[2]
    return base.lower().endswith(endings) and not base.startswith(".")


def is_photo(name: str) -> bool:
    """Whether a name is one of a photo: by its ending, and not hidden.

    >>> is_photo("a/B.JPG"), is_photo("a/._B.jpg"), is_photo("notes.txt")
    (True, False, False)
    """
    return ends_in(name, PHOTO_ENDINGS)


def printable_name(name: str) -> str:
    r"""A name as tables hold it: valid UTF-8; bytes of a path that are none are written as ``\\udce9``.

    >>> printable_name("caf\udce9.jpg")
    'caf\\udce9.jpg'
    """
    return name.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class Item:
    """A photo to be looked at.

    Attributes:
        name: What it is called in the tables; unique in a collection.
        place: Path or address to read it from; None where ``data`` or ``error`` is there.
        data: Its bytes, where they had to be read already.
        error: Why it cannot be read, where that is known already.
    """

    name: str
    place: str | None = None
    data: bytes | None = None
    error: str | None = None

    @property
    def size(self) -> int:
        """Bytes that it carries."""
        return len(self.data or b"")

    def source(self) -> str | EncodedPhoto:
        """What the predictor takes for it.

        Raises:
            ImageError: If it cannot be read.
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
    """Names of photos that are done, kept as the first eight bytes of their hashes.

    Paths to the same place are the same name, as seen from the folder that the program was in when this was
    made. The chance that two of a hundred million names share their eight bytes is about one in three
    thousand.
    """

    def __init__(self) -> None:
        """None yet."""
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
