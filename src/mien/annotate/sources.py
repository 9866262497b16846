"""Sources of photos: folders, patterns, lists, archives, tables and addresses, all read lazily."""

import glob
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import BinaryIO, Protocol

from pyarrow import fs

from mien.annotate.archives import TAR_ENDINGS, ZIP_ENDING, TarSource, ZipSource
from mien.annotate.items import PHOTO_ENDINGS, Item, Wanted, ends_in, is_photo, item_at, printable_name
from mien.annotate.locations import is_address, local_path, resolve
from mien.annotate.tables import TableSource
from mien.errors import DataError

TABLE_ENDING = ".parquet"
CONTAINER_ENDINGS = (ZIP_ENDING, *TAR_ENDINGS, TABLE_ENDING)

_MAGIC = re.compile(r"[*?[]")


class Source(Protocol):
    """A source of photos."""

    def count(self) -> int | None:
        """Number of photos; None if it cannot be known before the photos are read."""

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """Yield the photos whose names ``wanted`` accepts."""


@dataclass(frozen=True, slots=True)
class PlaceSource:
    """Photos at known places: paths and addresses, given one by one."""

    places: tuple[str, ...]

    def count(self) -> int:
        """See :class:`Source`."""
        return len(self.places)

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """See :class:`Source`."""
        return (item for item in map(item_at, self.places) if wanted(item.name))


@dataclass(frozen=True, slots=True)
class FolderSource:
    """The files with certain extensions in a folder and its subfolders, except hidden files and folders.

    Links to folders are followed, but no folder is read twice.

    Attributes:
        folder: Path of the folder.
        endings: The extensions.
    """

    folder: str
    endings: tuple[str, ...] = PHOTO_ENDINGS

    def count(self) -> int:
        """See :class:`Source`."""
        return sum(1 for _ in self._walk())

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """See :class:`Source`; an unreadable folder becomes an item with an error."""
        return (item for item in self._walk() if wanted(item.name))

    def _walk(self) -> Iterator[Item]:
        failed: list[OSError] = []
        seen = set()
        for root, folders, files in os.walk(self.folder, followlinks=True, onerror=failed.append):
            real = os.path.realpath(root)
            folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
            if real not in seen:
                seen.add(real)
                found = (name for name in sorted(files) if ends_in(name, self.endings))
                yield from (item_at(os.path.join(root, name)) for name in found)
            while failed:
                yield _unreadable(failed.pop())
        yield from map(_unreadable, failed)


@dataclass(frozen=True, slots=True)
class StoreSource:
    """The files with certain extensions below an address, except hidden files and folders.

    Attributes:
        address: Address of the folder.
        pattern: Pattern that each file's address must match; * matches any text, slashes included.
        endings: The extensions.
    """

    address: str
    pattern: str = "*"
    endings: tuple[str, ...] = PHOTO_ENDINGS

    def count(self) -> int:
        """See :class:`Source`."""
        return sum(1 for _ in self.places())

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """See :class:`Source`."""
        return (item for item in map(item_at, self.places()) if wanted(item.name))

    def places(self) -> Iterator[str]:
        """Yield the addresses of the files; memory holds the listing of one folder per level.

        Raises:
            DataError: If the store cannot be read.
        """
        try:
            file_system, path = resolve(self.address)
            for found in _below(file_system, path):
                address = self.address.rstrip("/") + found[len(path.rstrip("/")) :]
                if fnmatchcase(address, self.pattern) and ends_in(found, self.endings):
                    yield address
        except OSError as error:
            raise DataError(f"{self.address} cannot be read ({error.strerror or error}).") from None


@dataclass(frozen=True, slots=True)
class PatternSource:
    """The photos that match a pattern on this machine, and those in matching folders and archives."""

    pattern: str

    def count(self) -> int:
        """See :class:`Source`; a match counts as one photo."""
        return sum(1 for _ in self._places())

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """See :class:`Source`."""
        for source in find_sources(self._places(), listed=True):
            yield from source.items(wanted)

    def _places(self) -> Iterator[str]:
        recursive = "**" in self.pattern  # then the files in a matching folder match on their own
        for place in glob.iglob(self.pattern, recursive=True):
            if not (recursive and (os.path.isdir(place) or not is_photo(place))):
                yield place


@dataclass(frozen=True, slots=True)
class ListSource:
    """A list of paths and addresses, one per line or NUL-terminated; ``-`` is standard input.

    A line that names a folder or an archive contributes the photos in it.
    """

    path: str
    separator: bytes = b"\n"

    def count(self) -> int | None:
        """See :class:`Source`; a line counts as one photo."""
        if self.path == "-" or not os.path.isfile(self.path):  # a pipe can be read only once
            return None
        return sum(1 for _ in self.lines())

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """See :class:`Source`."""
        for line in self.lines():
            for source in find_sources([line], listed=True):
                yield from source.items(wanted)

    def lines(self) -> Iterator[str]:
        """Yield the paths and addresses."""
        if self.path == "-":
            yield from _split(sys.stdin.buffer, self.separator)
            return
        with open(self.path, "rb") as file:
            yield from _split(file, self.separator)


def _split(file: BinaryIO, separator: bytes) -> Iterator[str]:
    rest = b""
    while chunk := file.read(2**16):
        *lines, rest = (rest + chunk).split(separator)
        yield from filter(None, map(_decoded, lines))
    yield from filter(None, [_decoded(rest)])


def _decoded(line: bytes) -> str:
    return os.fsdecode(line.removesuffix(b"\r"))


def find_sources(texts: Iterable[str], *, separator: bytes = b"\n", listed: bool = False) -> Iterator[Source]:
    """Turn the source arguments of a command into sources.

    Args:
        texts: The arguments as given.
        separator: Separator between the entries of lists.
        listed: Whether the texts come from a list. Then none is read as a pattern or another list, and a
            missing file becomes a photo that cannot be read.

    Raises:
        DataError: If a source does not exist, or cannot hold photos.
    """
    for text in texts:
        if not listed and (text == "-" or (text.startswith("@") and not os.path.lexists(text))):
            yield _list(text.removeprefix("@"), separator)
        else:
            yield from _at(local_path(text), listed)


def _list(path: str, separator: bytes) -> ListSource:
    if path == "-" and sys.stdin is None:
        raise DataError("Standard input is closed; name a list.")
    if path != "-":
        _refuse_unreadable(path)
    return ListSource(path, separator)


def _at(place: str, listed: bool) -> Iterator[Source]:
    if is_address(place):
        yield from _at_address(place, listed)
    elif not listed and _MAGIC.search(place) and not os.path.lexists(place):
        yield from _matching(place)
    elif os.path.isdir(place):
        yield FolderSource(os.path.normpath(place))
    elif listed and not os.path.isfile(place):
        yield PlaceSource((os.path.normpath(place),))
    else:
        if not listed:
            _refuse_unreadable(place)
        yield _file(os.path.normpath(place))


def _at_address(address: str, listed: bool) -> Iterator[Source]:
    ending = address.lower()
    if not listed and (magic := _MAGIC.search(address)):
        folder = address[: magic.start()].rpartition("/")[0]
        if ending.endswith(CONTAINER_ENDINGS):
            places = StoreSource(folder, address, CONTAINER_ENDINGS).places()
            yield from (_file(place) for place in places)
        else:
            yield StoreSource(folder, address)
    elif listed or ending.endswith((*CONTAINER_ENDINGS, *PHOTO_ENDINGS)):
        yield _file(address)
    else:
        yield StoreSource(address)


def _file(place: str) -> Source:
    """The source for one file: an archive, a table, or else a photo, whatever its name."""
    ending = place.lower()
    if ending.endswith(ZIP_ENDING):
        return ZipSource(place)
    if ending.endswith(TAR_ENDINGS):
        return TarSource(place)
    if ending.endswith(TABLE_ENDING):
        return TableSource(place)
    return PlaceSource((place,))


def _matching(pattern: str) -> Iterator[Source]:
    """One source for the pattern; for archives one per match, so that they can be read in parallel."""
    if next(glob.iglob(pattern, recursive=True), None) is None:
        raise DataError(f"Nothing matches {printable_name(pattern)}; check the pattern.")
    if pattern.lower().endswith(CONTAINER_ENDINGS):
        yield from find_sources(sorted(glob.iglob(pattern, recursive=True)), listed=True)
    else:
        yield PatternSource(pattern)


def _below(file_system: fs.FileSystem, path: str) -> Iterator[str]:
    entries = sorted(file_system.get_file_info(fs.FileSelector(path)), key=lambda entry: entry.path)
    for entry in entries:
        if entry.type == fs.FileType.Directory:
            if not entry.base_name.startswith("."):
                yield from _below(file_system, entry.path)
        else:
            yield entry.path


def _refuse_unreadable(path: str) -> None:
    name = printable_name(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise DataError(f"{name} does not exist; check the path.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{name} cannot be read ({getattr(error, 'strerror', error)}).") from None
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        raise DataError(f"{name} is neither a file nor a folder; name photos, a folder or an archive.")
    if not os.access(path, os.R_OK):
        raise DataError(f"{name} may not be opened; check its permissions.")


def _unreadable(error: OSError) -> Item:
    name = printable_name(os.fsdecode(error.filename))
    return Item(name, error=f"The folder {name} cannot be read ({error.strerror}).")
