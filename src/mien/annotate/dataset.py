"""An annotated collection on the disk: parts that appear whole, and what is done already."""

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
"""A part is written when it holds so much of the time the run has taken, within these bounds in seconds …"""

MOST = 20_000
"""… or so many rows. Rows that are not in a part yet are what a killed process loses."""

_PART = re.compile(r"part-(\d+)\.parquet")


class Dataset:
    """The tables ``faces`` and ``photos`` of a collection, in parts.

    A photo is done when its row is in ``photos``. Its faces are written first: a part of ``faces`` to which
    there is none of ``photos`` is what a killed run left, and is removed when the next one begins. A film has
    a part of its own, of ``tracks`` as well.

    Args:
        storage: Where they are.
        record: What they are made with.
        faces: Schema of ``faces``.
        photos: Schema of ``photos``.

    Attributes:
        done: Names of the photos that are done.
        counts: Of them.
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
        """Hold the collection for the length of the block, at the end of which all rows are written.

        Args:
            retry_failed: Whether photos that failed are no longer done.

        Raises:
            AnnotationError: If it is another run's or cannot be written.
            DataError: If it was made with other options or files.
        """
        with ExitStack() as stack:
            with self.writing("choose another --output", 2):
                self._check()  # before anything is put into a folder that is something else
                stack.enter_context(self.storage.hold())
                self._check()
                self._read(retry_failed)
                self._write_record()
            try:
                yield self
            except BaseException:  # Ctrl-C among them; a second failure to write says no more than the first
                with suppress(AnnotationError):
                    self.commit()
                raise
            self.commit()
            with self.writing():
                self._write_record(finished=True)

    def add(self, rows: Sequence[Rows]) -> None:
        """Take photos that were looked at; those that are done already are left out."""
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
        """Write what waits as a part.

        Raises:
            AnnotationError: If it cannot be written.
        """
        if self._waiting:
            with self.writing("make room there and run the same command again, which goes on from here", 1):
                name = f"part-{self._next():06d}.parquet"
                faces = [face for photo in self._waiting for face in photo.faces]
                self._write(f"faces/{name}", to_table(faces, self._faces))
                self._write(
                    f"photos/{name}", to_table([photo.photo for photo in self._waiting], self._photos)
                )
                self.parts.append(name)
                self._waiting = []  # before anything else can fail, since the rows are written
                self._write_record()
                self.storage.renew()
        self._written = time.monotonic()

    def add_film(self, row: Mapping[str, Any], tables: Mapping[str, Path]) -> None:
        """Take a film that was looked at: a part of each table, already written.

        Args:
            row: Of the film, in ``photos``.
            tables: The files of ``faces`` and ``tracks``.

        Raises:
            AnnotationError: If they cannot be written.
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
        """The part that a photo, or a film, is in; it has to be done.

        Raises:
            AnnotationError: If a part is damaged.
        """
        for part in self.parts:
            names = self.read("photos", part, ["photo"])["photo"].to_pylist()
            if absolute(photo) in map(absolute, names):
                return part
        raise KeyError(photo)

    def failures(self, most: int) -> Iterator[tuple[str, str]]:
        """Names and errors of photos that failed, so many at most."""
        for part in self.parts:
            table = self.read("photos", part, ["photo", "error"])
            for row in table.filter(compute.is_valid(table["error"])).to_pylist():
                if most <= 0:
                    return
                most -= 1
                yield row["photo"], row["error"]

    def read(self, table: str, part: str, columns: list[str] | None = None) -> pa.Table:
        """A part.

        Raises:
            AnnotationError: If it is damaged.
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
        """Refuse what another run, or something else, has written."""
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
        """Learn what is done, and remove what a killed run left half done."""
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
        """Say in a sentence what keeps the block from writing.

        Args:
            cure: What to do about it.
            status: What the command line ends with.

        Raises:
            AnnotationError: If something cannot be written.
        """
        try:
            yield
        except OSError as error:
            raise AnnotationError(
                f"{self.storage.place} cannot be written ({error.strerror or error}); {cure}.", status
            ) from None
