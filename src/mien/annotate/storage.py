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
"""Seconds after which a lock in object storage counts as abandoned unless its run renews it."""


class Storage(ABC):
    """A folder in which each file is written atomically.

    Args:
        place: Path or address of the folder.

    Raises:
        AnnotationError: If the folder cannot be reached.
    """

    def __init__(self, place: str) -> None:
        """Nothing is written yet."""
        self.place = place
        try:
            self._files, self._root = resolve(place)
        except OSError as error:
            raise AnnotationError(f"{place} cannot be reached ({error.strerror or error}).") from None

    def names(self, folder: str = "") -> list[str]:
        """The sorted names in a folder; empty if there is no such folder."""
        selector = fs.FileSelector(self._path(folder), allow_not_found=True)
        return sorted(entry.base_name for entry in self._files.get_file_info(selector))

    def exists(self, name: str = "") -> bool:
        """Whether the file exists; without a name, whether a file is in the place of the folder."""
        return bool(self._files.get_file_info(self._path(name)).type == fs.FileType.File)

    def open(self, name: str) -> Any:
        """Open a file for reading with random access."""
        return self._files.open_input_file(self._path(name))

    def delete(self, name: str) -> None:
        """Remove a file."""
        self._files.delete_file(self._path(name))

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file; create its folder if needed."""

    @abstractmethod
    def scratch(self) -> AbstractContextManager[Path]:
        """A folder on this machine for incomplete hidden files, ``.NAME.partial.parquet``."""

    @abstractmethod
    def hold(self) -> AbstractContextManager[None]:
        """Lock the folder against other runs for the length of the block.

        Raises:
            AnnotationError: If another run holds the lock.
        """

    @abstractmethod
    def renew(self) -> None:
        """Renew the lock, to show that this run is still alive."""

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}".rstrip("/") if name else self._root

    def _taken(self, then: str) -> AnnotationError:
        return AnnotationError(f"Another run is writing to {self.place}; wait for it{then}.")


class LocalStorage(Storage):
    """A folder on this machine."""

    def write(self, name: str, data: bytes) -> None:
        """See :class:`Storage`: write a temporary file and rename it."""
        with written_beside(Path(self._path(name))) as partial:
            partial.write_bytes(data)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """See :class:`Storage`: the folder itself, on the disk that must have room for the output anyway."""
        yield Path(self._root)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """See :class:`Storage`: a file lock, which the operating system releases when the process ends."""
        Path(self._root).mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(Path(self._root) / LOCK, timeout=0):
                yield
        except filelock.Timeout:
            raise self._taken(" or name another --output") from None

    def renew(self) -> None:
        """See :class:`Storage`: nothing to do, since the operating system holds the lock."""


class RemoteStorage(Storage):
    """A folder in object storage, which shows a file only once it is completely written."""

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
        """See :class:`Storage`: a file that holds the time of its last renewal."""
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
