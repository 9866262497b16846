"""An annotated collection in storage: tables in parts, and the photos that are done."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute, parquet

from mien.annotate.items import Names
from mien.annotate.locations import absolute
from mien.annotate.record import NAME, Counts, Record
from mien.annotate.schema import PHOTOS, Rows, to_table
from mien.annotate.storage import LOCK, Storage
from mien.errors import AnnotationError

SHARE, SHORTEST, LONGEST = 0.02, 0.5, 30.0
"""The next part is due after this fraction of the run time so far, within these bounds in seconds …"""

MOST = 20_000
"""… or once this many rows wait. A killed process loses the rows that are not in a part yet."""

_PART = re.compile(r"part-(\d+)\.parquet")


class Dataset:
    """The tables ``faces`` and ``photos`` of a collection, in parts.

    A photo is done when its row is in ``photos``. Its faces are written first. A part of ``faces`` without a
    part of ``photos`` of the same name comes from a killed run; the next run removes it. Each film has a part
    of its own, also in the table ``tracks``.

    Args:
        storage: The folder of the tables.
        record: Options, files and versions of this run.
        faces: Schema of ``faces``.
        photos: Schema of ``photos``.

    Attributes:
        done: Names of the photos that are done.
        counts: Counts of those photos and their faces.
        parts: Names of the parts.
    """

    def __init__(
        self, storage: Storage, record: Record, faces: pa.Schema, photos: pa.Schema = PHOTOS
    ) -> None:
        """Nothing is read yet."""
        self.storage = storage
        self.done = Names()
        self.counts = Counts()
        self.parts: list[str] = []
        self._record = record
        self._faces, self._photos = faces, photos
        self._waiting: list[Rows] = []
        self._began = self._written = time.monotonic()

    @contextmanager
    def opened(self, *, retry_failed: bool = False) -> Iterator["Dataset"]:
        """Lock the collection for the length of the block; write all rows at its end.

        Args:
            retry_failed: Whether to drop the rows of failed photos, so that they are tried again.

        Raises:
            AnnotationError: If another run is writing to the collection, or it cannot be written.
            DataError: If the collection was made with other options or files.
        """
        with ExitStack() as stack:
            with self.writing("choose another --output", 2):
                self._check()  # before a lock is written into a folder that is no collection
                stack.enter_context(self.storage.hold())
                self._check()
                self._read(retry_failed)
                self._write_record()
            try:
                yield self
            except BaseException:  # includes Ctrl-C; a failure to write must not hide the first error
                with suppress(AnnotationError):
                    self.commit()
                raise
            self.commit()
            with self.writing():
                self._write_record(finished=True)

    def add(self, rows: Sequence[Rows]) -> None:
        """Add the rows of photos that are not done yet; write a part when one is due."""
        for photo in rows:
            if photo.name not in self.done:
                self.done.add(photo.name)
                self.counts.add(len(photo.faces), photo.failed)
                self._waiting.append(photo)
        now = time.monotonic()
        patience = min(max(SHARE * (now - self._began), SHORTEST), LONGEST)
        if now - self._written >= patience or sum(1 + len(photo.faces) for photo in self._waiting) >= MOST:
            self.commit()

    def commit(self) -> None:
        """Write the waiting rows as a part.

        Raises:
            AnnotationError: If the part cannot be written.
        """
        if self._waiting:
            with self.writing("make room there and run the same command again to continue from here", 1):
                name = f"part-{self._next():06d}.parquet"
                faces = [face for photo in self._waiting for face in photo.faces]
                self._write(f"faces/{name}", to_table(faces, self._faces))
                self._write(
                    f"photos/{name}", to_table([photo.photo for photo in self._waiting], self._photos)
                )
                self.parts.append(name)
                self._waiting = []  # at once: if a later step fails, these rows must not be written again
                self._write_record()
                self.storage.renew()
        self._written = time.monotonic()

    def add_film(self, row: Mapping[str, Any], tables: Mapping[str, Path]) -> None:
        """Add an annotated film as one part of each table.

        Args:
            row: Row of the film in ``photos``.
            tables: Local Parquet files with its rows of ``faces`` and ``tracks``, by table.

        Raises:
            AnnotationError: If the parts cannot be written.
        """
        with self.writing():
            name = f"part-{self._next():06d}.parquet"
            for table, path in tables.items():
                with pa.memory_map(str(path)) as file:
                    self.storage.write(f"{table}/{name}", file.read_buffer())
            self._write(f"photos/{name}", to_table([row], self._photos))
            self.parts.append(name)
            self.done.add(row["photo"])
            self.counts.add(row["faces"], failed=False)
            self._write_record()

    def part_of(self, photo: str) -> str:
        """Name of the part that holds a photo or a film.

        Raises:
            AnnotationError: If a part is damaged.
            KeyError: If the photo is not done.
        """
        for part in self.parts:
            names = self.read("photos", part, ["photo"])["photo"].to_pylist()
            if absolute(photo) in map(absolute, names):
                return part
        raise KeyError(photo)

    def failures(self, most: int) -> Iterator[tuple[str, str]]:
        """Yield the names and errors of the first ``most`` failed photos."""
        for part in self.parts:
            table = self.read("photos", part, ["photo", "error"])
            for row in table.filter(compute.is_valid(table["error"])).to_pylist():
                if most <= 0:
                    return
                most -= 1
                yield row["photo"], row["error"]

    def read(self, table: str, part: str, columns: list[str] | None = None) -> pa.Table:
        """Read a part of a table; all columns by default.

        Raises:
            AnnotationError: If the part is damaged.
        """
        try:
            with self.storage.open(f"{table}/{part}") as file:
                return parquet.read_table(file, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise AnnotationError(
                f"{self.storage.place}/{table}/{part} is damaged ({error}); remove the parts of this name "
                "from faces and photos, and run the same command again."
            ) from None

    def _check(self) -> None:
        """Refuse a folder that holds something else, or a collection made with other options or files.

        Raises:
            AnnotationError: If the folder is a file, or is not empty and not a collection.
            DataError: If the collection was made with other options or files.
        """
        if self.storage.exists():
            raise AnnotationError(
                f"{self.storage.place} is a file; name a folder, or a file that ends in .parquet, .csv or "
                ".jsonl."
            )
        if self.storage.exists(NAME):
            with self.storage.open(NAME) as file:
                self._record.check_against(file.read(), self.storage.place)
        elif any(name != LOCK for name in self.storage.names()):
            raise AnnotationError(
                f"{self.storage.place} is not empty and no annotated collection; name another --output."
            )

    def _read(self, retry_failed: bool) -> None:
        """Read which photos are done, and remove incomplete files of a killed run."""
        self.parts = [name for name in self.storage.names("photos") if _PART.fullmatch(name)]
        for folder in ("faces", "tracks", "photos", ""):
            for name in self.storage.names(folder):
                orphan = folder in ("faces", "tracks") and _PART.fullmatch(name) and name not in self.parts
                if orphan or (name.startswith(".") and ".partial" in name):
                    self.storage.delete(f"{folder}/{name}".lstrip("/"))
        for part in self.parts:
            if retry_failed:
                self._forget_failures(part)
            table = self.read("photos", part, ["photo", "faces", "error"])
            failed = compute.is_valid(table["error"]).to_pylist()
            for name, faces, error in zip(
                table["photo"].to_pylist(), table["faces"].to_pylist(), failed, strict=True
            ):
                self.done.add(name)
                self.counts.add(faces, error)

    def _forget_failures(self, part: str) -> None:
        table = self.read("photos", part)
        kept = table.filter(compute.is_null(table["error"]))
        if len(kept) < len(table):
            self._write(f"photos/{part}", kept)

    def _next(self) -> int:
        return max((int(name[5:-8]) for name in self.parts), default=-1) + 1

    def _write(self, name: str, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        parquet.write_table(table, sink, compression="zstd")
        self.storage.write(name, sink.getvalue().to_pybytes())

    def _write_record(self, *, finished: bool = False) -> None:
        self.storage.write(NAME, self._record.to_json(self.counts, finished=finished))

    @contextmanager
    def writing(
        self, cure: str = "make room there and run the same command again", status: int = 1
    ) -> Iterator[None]:
        """Turn an OSError in the block into an error message for the user.

        Args:
            cure: Advice that ends the message.
            status: Exit status of the command.

        Raises:
            AnnotationError: If something cannot be written.
        """
        try:
            yield
        except OSError as error:
            raise AnnotationError(
                f"{self.storage.place} cannot be written ({error.strerror or error}); {cure}.", status
            ) from None
