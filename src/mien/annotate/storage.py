"""The folder that a collection's tables are written to, on this machine or in object storage."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import filelock
from pyarrow import fs

from mien.annotate.locations import is_address, local_path, resolve
from mien.errors import AnnotationError
from mien.files import written_beside

LOCK = ".lock"

STALE = 120
"""Seconds after which a lock in object storage that was not renewed is of a run that was killed."""


class Storage(ABC):
    """A folder of files that appear whole or not at all.

    Args:
        place: Its path or address.

    Raises:
        AnnotationError: If it cannot be reached.
    """

    def __init__(self, place: str) -> None:
        """Nothing is written yet."""
        self.place = place
        try:
            self._files, self._root = resolve(place)
        except OSError as error:
            raise AnnotationError(f"{place} cannot be reached ({error.strerror or error}).") from None

    def names(self, folder: str = "") -> list[str]:
        """The names in a folder, in their order; none where there is no such folder."""
        selector = fs.FileSelector(self._path(folder), allow_not_found=True)
        return sorted(entry.base_name for entry in self._files.get_file_info(selector))

    def exists(self, name: str = "") -> bool:
        """Whether there is such a file; without a name, whether a file is where the folder should be."""
        return bool(self._files.get_file_info(self._path(name)).type == fs.FileType.File)

    def open(self, name: str) -> Any:
        """A file, open for reading at any position."""
        return self._files.open_input_file(self._path(name))

    def delete(self, name: str) -> None:
        """Remove a file."""
        self._files.delete_file(self._path(name))

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file, its folder included."""

    @abstractmethod
    def scratch(self) -> AbstractContextManager[Path]:
        """A folder on this machine for hidden files that are not whole yet, ``.NAME.partial.parquet``."""

    @abstractmethod
    def hold(self) -> AbstractContextManager[None]:
        """Keep other runs away for the length of the block.

        Raises:
            AnnotationError: If another one is there.
        """

    @abstractmethod
    def renew(self) -> None:
        """Say that this run is still there."""

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}".rstrip("/") if name else self._root

    def _taken(self, then: str) -> AnnotationError:
        return AnnotationError(f"Another run is writing to {self.place}; wait for it{then}.")


class LocalStorage(Storage):
    """A folder on this machine."""

    def write(self, name: str, data: bytes) -> None:
        """See :class:`Storage`: written beside and renamed."""
        with written_beside(Path(self._path(name))) as partial:
            partial.write_bytes(data)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """See :class:`Storage`: the folder itself, where there is room for the output."""
        yield Path(self._root)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """See :class:`Storage`: a file lock, which the system releases however the process ends."""
        Path(self._root).mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(Path(self._root) / LOCK, timeout=0):
                yield
        except filelock.Timeout:
            raise self._taken(" or name another --output") from None

    def renew(self) -> None:
        """See :class:`Storage`: the system knows."""


class RemoteStorage(Storage):
    """A folder in object storage, where a file that was written appears as a whole."""

    def write(self, name: str, data: bytes) -> None:
        """See :class:`Storage`."""
        if not isinstance(self._files, fs.S3FileSystem | fs.GcsFileSystem):
            self._files.create_dir(self._path(name).rpartition("/")[0], recursive=True)
        with self._files.open_output_stream(self._path(name)) as stream:
            stream.write(data)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """See :class:`Storage`."""
        with TemporaryDirectory(prefix="mien-") as folder:
            yield Path(folder)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """See :class:`Storage`: a file that is renewed, as nothing tells of a process on another machine."""
        if self.exists(LOCK) and time.time() - self._renewed() < STALE:
            raise self._taken(f"; if it was killed, try again in {STALE // 60} minutes")
        self.renew()
        try:
            yield
        finally:
            self.delete(LOCK)

    def renew(self) -> None:
        """See :class:`Storage`."""
        self.write(LOCK, str(time.time()).encode())

    def _renewed(self) -> float:
        with self.open(LOCK) as file:
            return float(file.read())


def storage_at(place: str) -> Storage:
    """The folder at a path or an address."""
    place = local_path(place)
    return RemoteStorage(place) if is_address(place) else LocalStorage(place)
