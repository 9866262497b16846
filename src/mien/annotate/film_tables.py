"""The tables of a film, written as it is looked at: what is in them does not pile up in memory."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from pyarrow import parquet

from mien.annotate.look import face_row
from mien.annotate.schema import PHOTOS, VERSION
from mien.annotate.tracks import Moment, Track
from mien.results import Estimate

ROWS = 2000
"""Written at a time."""

FILMS = pa.schema([*PHOTOS, ("frames", pa.int64())])
"""One row per film: as of a photo, with the number of frames looked at; ``faces`` is of all of them."""

_TRACKS = pa.schema(
    [
        pa.field("photo", pa.string(), nullable=False),
        pa.field("track", pa.int64(), nullable=False),
        pa.field("first", pa.float64(), nullable=False),
        pa.field("last", pa.float64(), nullable=False),
        pa.field("frames", pa.int64(), nullable=False),
        ("best_time", pa.float64()),
        ("best_frame", pa.int64()),
    ]
)


def tracks_schema(faces: pa.Schema) -> pa.Schema:
    """One row per person: times in seconds, number of looks, the best one, and the fused estimate.

    Args:
        faces: Schema of ``faces``, whose columns of the estimate are those here; box, landmarks and the like
            are of the best look.
    """
    own = {*_TRACKS.names, "index", "time", "frame"}
    return pa.schema([*_TRACKS, *(field for field in faces if field.name not in own)])


class FilmTables:
    """The parts ``faces`` and ``tracks`` of one film, as files.

    Args:
        folder: For the files, which are removed at the end.
        faces: Schema of ``faces``.
        name: What the film is called.
    """

    def __init__(self, folder: Path, faces: pa.Schema, name: str) -> None:
        """Nothing is written yet."""
        self.files = {table: folder / f".{table}.partial.parquet" for table in ("faces", "tracks")}
        self.faces = self.tracks = 0
        self._name = name
        self._schemas = {"faces": faces, "tracks": tracks_schema(faces)}
        self._waiting: dict[str, list[Mapping[str, Any]]] = {table: [] for table in self.files}
        self._writers: dict[str, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Begin the files."""
        with ExitStack() as stack:
            for table, path in self.files.items():
                stack.callback(path.unlink, missing_ok=True)
                schema = self._schemas[table].with_metadata({"mien.schema": str(VERSION)})
                self._writers[table] = parquet.ParquetWriter(path, schema, compression="zstd")
                stack.callback(self._writers[table].close)
            self._stack = stack.pop_all()  # had anything failed, or the run been stopped, they were removed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the files."""
        self._stack.close()

    def add_faces(self, moment: Moment, faces: Sequence[Estimate], tracks: Sequence[int]) -> None:
        """Take the faces of a frame, each with its track."""
        for i, (face, track) in enumerate(zip(faces, tracks, strict=True)):
            place = {"time": moment.time, "frame": moment.frame, "track": track}
            self._add("faces", {**face_row(self._name, i, face), **place})
        self.faces += len(faces)

    def add_track(self, track: Track) -> None:
        """Take a person who will not be seen again."""
        self._add(
            "tracks",
            {
                **face_row(self._name, 0, track.looks.estimate()),
                "track": track.number,
                "first": track.first,
                "last": track.last,
                "frames": len(track.looks),
                "best_time": track.best_time,
                "best_frame": track.best_frame,
            },
        )
        self.tracks += 1

    def finish(self) -> None:
        """Write what waits, and end the files, which can be read from now on."""
        for table, writer in self._writers.items():
            self._flush(table)
            writer.close()

    def _add(self, table: str, row: Mapping[str, Any]) -> None:
        self._waiting[table].append(row)
        if len(self._waiting[table]) >= ROWS:
            self._flush(table)

    def _flush(self, table: str) -> None:
        rows = pa.Table.from_pylist(self._waiting[table], self._writers[table].schema)
        self._writers[table].write_table(rows)
        self._waiting[table] = []
