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
    """The folder of the tables: the output itself, or for a single file the folder ``FILE.run`` beside it.

    >>> folder_of("out"), folder_of("faces.csv")
    ('out', 'faces.csv.run')
    """
    return f"{output}.run" if is_single(output) else output


def is_single(output: str) -> bool:
    """Whether an output is a single file, by its extension."""
    return output.lower().endswith(tuple(_WRITERS))


def refuse_strangers(output: str, dataset: Dataset) -> None:
    """Refuse to overwrite a file that no run has written.

    Raises:
        AnnotationError: If the file exists without the folder of its run, or if the output is a folder.
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
    """Write all faces to one file, part by part; the file appears when it is complete.

    Args:
        output: A path or an address that ends in .parquet, .csv or .jsonl.
        dataset: The collection of the faces.
        schema: Schema of ``faces``.

    Raises:
        AnnotationError: If the file cannot be written, or a part is damaged.
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
    """Write lists as JSON, since CSV has no lists."""
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
    """A value for JSON, with floats rounded to the 7 significant digits of a float32."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.7g}") if isinstance(value, float | np.floating) else value
