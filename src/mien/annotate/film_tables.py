"""The tables of a film, written during its annotation, so that memory does not grow with its length."""

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
"""Number of rows written at a time."""

FILMS = pa.schema([*PHOTOS, ("frames", pa.int64())])
"""One row per film: the columns of a photo, and the number of annotated frames; ``faces`` counts over all."""

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
    """The schema of ``tracks``, one row per tracked person.

    A row holds the first and last time in seconds, the number of frames, the time and index of the best
    frame, and the fused estimate. Bounding box, landmarks and the like are from the best frame.

    Args:
        faces: Schema of ``faces``, which gives the columns of the estimate.
    """
    own = {*_TRACKS.names, "index", "time", "frame"}
    return pa.schema([*_TRACKS, *(field for field in faces if field.name not in own)])


class FilmTables:
    """The rows of one film in ``faces`` and ``tracks``, as temporary Parquet files.

    Args:
        folder: Folder for the files; they are removed at the end.
        faces: Schema of ``faces``.
        name: Name of the film.
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
        """Create the files."""
        with ExitStack() as stack:
            for table, path in self.files.items():
                stack.callback(path.unlink, missing_ok=True)
                schema = self._schemas[table].with_metadata({"mien.schema": str(VERSION)})
                self._writers[table] = parquet.ParquetWriter(path, schema, compression="zstd")
                stack.callback(self._writers[table].close)
            self._stack = stack.pop_all()  # an error before this line removes the files
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the files."""
        self._stack.close()

    def add_faces(self, moment: Moment, faces: Sequence[Estimate], tracks: Sequence[int]) -> None:
        """Add the faces of a frame, each with the number of its track."""
        for i, (face, track) in enumerate(zip(faces, tracks, strict=True)):
            place = {"time": moment.time, "frame": moment.frame, "track": track}
            self._add("faces", {**face_row(self._name, i, face), **place})
        self.faces += len(faces)

    def add_track(self, track: Track) -> None:
        """Add a track that has ended."""
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
        """Write the waiting rows and complete the files, which can be read from then on."""
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
