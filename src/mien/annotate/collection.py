"""Reading an annotated collection: a folder of tables, or a single file of faces."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from mien.annotate.locations import local_path, open_binary
from mien.annotate.record import NAME
from mien.annotate.schema import VERSION, faces_schema
from mien.annotate.single_file import folder_of, is_single
from mien.annotate.storage import Storage, storage_at
from mien.errors import DataError

ROWS = 4096
"""Number of rows read at a time."""

_PART = re.compile(r"part-\d+\.parquet")

_FACES = pa.schema(
    [
        faces_schema().field(name).with_nullable(True)
        for name in ("photo", "box", "age", "low", "high", "coverage", "p_female", "label", "flags")
    ]
)
"""Columns that are read for each face, besides ``distribution`` where the table has it."""

FACES: list[str] = _FACES.names
"""Names of those columns."""

_DISTRIBUTION = pa.field("distribution", pa.list_(pa.float32()))

_PHOTOS = ["photo", "faces", "error", "seconds"]


@dataclass(frozen=True, slots=True)
class Collection:
    """An annotated collection.

    Attributes:
        place: Path or address as the user gave it.
        record: Content of ``run.json``; None for a single file without the folder of its run.
        storage: Folder of the tables; None for a single file without the folder of its run.
    """

    place: str
    record: Mapping[str, Any] | None = None
    storage: Storage | None = None

    @property
    def films(self) -> bool:
        """Whether the collection is of films; then each tracked person counts once, not each face."""
        return self.record is not None and "every" in self.record["options"]

    @property
    def unfinished(self) -> bool:
        """Whether the run that wrote the collection was stopped or is still running."""
        return self.record is not None and not self.record.get("finished", True)

    def photos(self) -> Iterator[pa.Table]:
        """Yield the rows of the photos or films in batches; nothing for a single file of faces.

        Raises:
            DataError: If a part cannot be read.
        """
        yield from self._parts("photos", _PHOTOS)

    def faces(self) -> Iterator[pa.Table]:
        """Yield the rows of the faces, or of the people in films, in batches of at most :data:`ROWS`.

        Raises:
            DataError: If a part or the file cannot be read or is not a table of faces.
        """
        if self.storage is not None:
            table, more = ("tracks", ["best_time"]) if self.films else ("faces", [])
            yield from self._parts(table, [*FACES, *more])
            return
        with _said(self.place), open_binary(local_path(self.place)) as file:
            if self.place.lower().endswith(".parquet"):
                yield from _of_parquet(file, FACES)
                return
            with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
                rows = _csv_rows if self.place.lower().endswith(".csv") else _json_rows
                yield from _of_text(rows(text))

    def _parts(self, table: str, columns: list[str]) -> Iterator[pa.Table]:
        if self.storage is None:
            return
        names = [name for name in self.storage.names("photos") if _PART.fullmatch(name)]
        if table == "tracks":  # a film that could not be read has no tracks
            names = sorted({*names} & {*self.storage.names(table)})
        for name in names:  # parts that "photos" lacks come from a killed run
            with _said(f"{self.storage.place}/{table}/{name}"), self.storage.open(f"{table}/{name}") as file:
                yield from _of_parquet(file, columns)


def open_collection(place: str) -> Collection:
    """Open what ``mien annotate --output PLACE`` has written.

    For a single file, the folder of its run is read if it is still beside the file, since it also holds the
    table of photos.

    Raises:
        DataError: If the place is not an annotated collection, or has another version of the schema.
    """
    storage = storage_at(folder_of(place))
    with _said(place):
        if storage.exists(NAME):
            with storage.open(NAME) as file:
                record = _record(file.read(), place)
            return Collection(place, record, storage)
        if is_single(place) and storage_at(place).exists():
            return Collection(place)
    raise DataError(f"{place} is no annotated collection; name what 'mien annotate --output' has written.")


def _csv_rows(file: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The faces of a CSV file; its lists and numbers are parsed as JSON."""
    texts = {"photo", "label"}
    reader = csv.DictReader(file, strict=True)
    _refuse_other(reader.fieldnames or ())
    for row in reader:
        yield {name: text if name in texts else json.loads(text or "null") for name, text in row.items()}


def _json_rows(file: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The faces of a JSON Lines file."""
    return (dict(json.loads(line)) for line in file)


@contextmanager
def _said(place: str) -> Iterator[None]:
    """Turn an error of reading in the block into an error message for the user.

    Raises:
        DataError: If something cannot be read, or does not have the expected content.
    """
    try:
        yield
    except OSError as error:
        raise DataError(f"{place} cannot be read ({error.strerror or error}).") from None
    except (pa.ArrowException, csv.Error, KeyError, ValueError, TypeError, AttributeError):
        raise DataError(
            f"{place} is damaged or not a table of an annotation; name what 'mien annotate --output' has "
            "written."
        ) from None


def _record(content: bytes, place: str) -> Mapping[str, Any]:
    record: Mapping[str, Any] = json.loads(content)
    if record["kind"] != "annotation":
        raise KeyError("kind")
    if not isinstance(record["options"], dict):
        raise TypeError("options")
    if record["schema"] != VERSION:
        raise DataError(
            f"{place} has version {record['schema']} of the schema and this is version {VERSION}; use the "
            "mien that wrote it."
        )
    return record


def _of_parquet(file: Any, columns: list[str]) -> Iterator[pa.Table]:
    table = parquet.ParquetFile(file)
    found = table.schema_arrow.names
    _refuse_other(found, columns)
    also = [name for name in ("distribution",) if name in found and "age" in columns]
    for batch in table.iter_batches(ROWS, columns=[*columns, *also]):
        yield _checked(pa.Table.from_batches([batch]))


def _of_text(rows: Iterator[dict[str, Any]]) -> Iterator[pa.Table]:
    while batch := list(islice(rows, ROWS)):
        _refuse_other(batch[0])
        schema = _FACES.append(_DISTRIBUTION) if batch[0].get("distribution") else _FACES
        yield _checked(pa.Table.from_pylist(batch, schema))


def _refuse_other(found: Iterable[str], wanted: Iterable[str] = FACES) -> None:
    """Refuse a table without the columns of an annotation.

    Raises:
        KeyError: If one is missing.
    """
    if missing := set(wanted) - set(found):
        raise KeyError(*missing)


def _checked(table: pa.Table) -> pa.Table:
    """Check the ranges of the estimates in a table, and return the table.

    Raises:
        ValueError: If an age, interval, coverage or probability is out of range, or a box lacks four numbers.
    """
    if "age" in table.column_names:
        names = ("age", "low", "high", "coverage", "p_female")
        age, low, high, coverage, p_female = (np.array(table[name].to_pylist(), float) for name in names)
        sound = (low >= 0) & (low <= age) & (age <= high) & np.isfinite(high)
        sound &= (coverage > 0) & (coverage < 1) & (p_female >= 0) & (p_female <= 1)
        boxes = compute.list_value_length(table["box"]).to_pylist()
        if not sound.all() or any(length != 4 for length in boxes):
            raise ValueError("an estimate is out of range")
    return table
