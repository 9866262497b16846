"""The faces of a collection as one file: Parquet, CSV or JSON Lines."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet
from pyarrow.fs import FileType

from mien.annotate.dataset import Dataset
from mien.annotate.locations import is_address, local_path, resolve
from mien.errors import AnnotationError
from mien.files import written_beside

Write: TypeAlias = Callable[[pa.Table], None]


def folder_of(output: str) -> str:
    """The folder that the tables are in: the output itself, or beside a single file one named after it.

    >>> folder_of("out"), folder_of("faces.csv")
    ('out', 'faces.csv.run')
    """
    return f"{output}.run" if is_single(output) else output


def is_single(output: str) -> bool:
    """Whether an output is one file, by its ending."""
    return output.lower().endswith(tuple(_WRITERS))


def refuse_strangers(output: str, dataset: Dataset) -> None:
    """Refuse to write over a file that is not the one of this run.

    Raises:
        AnnotationError: If the file exists, and no folder of a run beside it; or a folder is in its place.
    """
    files, path = resolve(local_path(output))
    if files.get_file_info(path).type == FileType.Directory:
        raise AnnotationError(f"{output} is a folder; name a file, or a folder without this ending.")
    if files.get_file_info(path).is_file and not dataset.storage.names():
        raise AnnotationError(
            f"{output} exists, and {dataset.storage.place}, the folder of its run, does not; name another "
            "--output."
        )


def write_single(output: str, dataset: Dataset, schema: pa.Schema) -> None:
    """Write all faces to one file, part by part; it appears when it is whole.

    Args:
        output: Ends in .parquet, .csv or .jsonl.
        dataset: Whose faces.
        schema: Of them.

    Raises:
        AnnotationError: If it cannot be written.
    """
    writer = next(writer for ending, writer in _WRITERS.items() if output.lower().endswith(ending))
    try:
        with _sink(local_path(output)) as sink, writer(sink, schema) as write:
            for part in dataset.parts:
                write(dataset.read("faces", part))
    except OSError as error:
        raise AnnotationError(
            f"{output} cannot be written ({error.strerror or error}); make room there and run the same "
            "command again.",
            1,
        ) from None


@contextmanager
def _sink(output: str) -> Iterator[Any]:
    if is_address(output):
        files, path = resolve(output)
        with files.open_output_stream(path) as stream:
            yield stream
    else:
        with written_beside(Path(output)) as partial, partial.open("wb") as stream:
            yield stream


@contextmanager
def _parquet(sink: Any, schema: pa.Schema) -> Iterator[Write]:
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        yield lambda table: writer.write_table(table.cast(schema))


@contextmanager
def _csv(sink: Any, schema: pa.Schema) -> Iterator[Write]:
    """Lists are written as JSON, as a table of texts has none."""
    flat = pa.schema([(field.name, pa.string() if _is_list(field) else field.type) for field in schema])
    with csv.CSVWriter(sink, flat) as writer:
        yield lambda table: writer.write_table(_flattened(table, flat))


@contextmanager
def _json_lines(sink: Any, schema: pa.Schema) -> Iterator[Write]:
    def write(table: pa.Table) -> None:
        for row in table.to_pylist():
            sink.write(json.dumps(_rounded(row), ensure_ascii=False).encode() + b"\n")

    yield write


_WRITERS = {".parquet": _parquet, ".csv": _csv, ".jsonl": _json_lines}


def _is_list(field: pa.Field) -> bool:
    return bool(pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type))


def _flattened(table: pa.Table, flat: pa.Schema) -> pa.Table:
    columns = [
        pa.array(
            [None if value is None else json.dumps(_rounded(value)) for value in column.to_pylist()],
            pa.string(),
        )
        if _is_list(table.schema.field(i))
        else column
        for i, column in enumerate(table.columns)
    ]
    return pa.table(columns, schema=flat)


def _rounded(value: Any) -> Any:
    """As JSON takes it, floats without the digits that a float32 does not have."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.7g}") if isinstance(value, float | np.floating) else value
