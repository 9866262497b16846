"""Photos in a Parquet file: their bytes, as Hugging Face ``datasets`` writes them, or their paths."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from mien.annotate.items import Item, Wanted, item_at, printable_name
from mien.annotate.locations import open_binary
from mien.errors import DataError

ROWS = 16
"""Number of rows read at a time; each may hold a photo of many megabytes."""

NAMES = (
    "image",
    "photo",
    "img",
    "picture",
    "path",
    "file",
    "file_name",
    "filename",
    "filepath",
    "file_path",
    "url",
)
"""Names of columns with photos or their paths, in order of preference."""


@dataclass(frozen=True, slots=True)
class TableSource:
    """The photos of a Parquet file.

    A photo whose bytes are in the table is named after its row, ``faces.parquet/12``; a photo given by its
    path is named after the path.
    """

    path: str

    def count(self) -> int | None:
        """See :class:`~mien.annotate.sources.Source`."""
        try:
            with open_binary(self.path) as file:
                return int(parquet.ParquetFile(file).metadata.num_rows)
        except (OSError, pa.ArrowException):
            return None

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """See :class:`~mien.annotate.sources.Source`; a damaged table gives an error item."""
        name = printable_name(self.path)
        try:
            with open_binary(self.path) as file:
                table = parquet.ParquetFile(file, buffer_size=2**20)  # not whole columns at once
                column = photo_column(table.schema_arrow, name)
                row = 0
                for batch in table.iter_batches(ROWS, columns=[column]):
                    for value in batch.column(0).to_pylist():
                        item = _item(value, f"{name}/{row}")
                        if wanted(item.name):
                            yield item
                        row += 1
        except DataError as error:
            yield Item(name, error=str(error))
        except (OSError, pa.ArrowException) as error:
            yield Item(name, error=f"{name} is damaged or no Parquet file ({error}); copy it again.")


def photo_column(schema: pa.Schema, name: str) -> str:
    """Name of the column of a table that holds photos or paths of photos.

    Args:
        schema: Schema of the table.
        name: Name of the table, for messages.

    Raises:
        DataError: If no column has one of the :data:`NAMES` and not exactly one column holds photos.

    >>> photo_column(pa.schema([("id", pa.int64()), ("image", pa.binary())]), "a.parquet")
    'image'
    """
    fitting = [field.name for field in schema if _holds_photos(field.type) or _holds_texts(field.type)]
    named = [name for name in NAMES if name in fitting]
    photos = [field.name for field in schema if _holds_photos(field.type)]
    if named or len(photos) == 1:
        return named[0] if named else photos[0]
    raise DataError(
        f"{name} has no column of photos among {', '.join(schema.names) or 'none'}; call the one with the "
        "photos, or with their paths, 'image'."
    )


def _holds_photos(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool({"bytes", "path"} & set(kind.names))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _holds_texts(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _item(value: Any, row: str) -> Item:
    """The photo in a cell, from its bytes or its path."""
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path")
        value = path if data is None else data
    if isinstance(value, bytes):
        return Item(row, data=value)
    if isinstance(value, str) and value:
        return item_at(value)
    return Item(row, error=f"{row} is empty: the table has no photo in that row.")
