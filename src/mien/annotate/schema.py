"""The columns and rows of the tables of an annotated collection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

VERSION = 1
"""Version of the schema. It rises when a column changes its meaning, but not for new columns."""

_POINT = pa.list_(pa.float32())

PHOTOS = pa.schema(
    [
        pa.field("photo", pa.string(), nullable=False),
        ("width", pa.int32()),
        ("height", pa.int32()),
        pa.field("faces", pa.int32(), nullable=False),
        ("error", pa.string()),
        ("seconds", pa.float32()),
    ]
)
"""One row per photo.

``width`` and ``height`` are those of the upright photo in pixels; they are null where ``error`` is not.
"""

_FACES = [
    pa.field("photo", pa.string(), nullable=False),
    pa.field("index", pa.int32(), nullable=False),
    ("time", pa.float64()),
    ("frame", pa.int64()),
    ("track", pa.int64()),
    ("box", pa.list_(pa.float32())),
    ("landmarks", pa.list_(_POINT)),
    ("detection_score", pa.float64()),
    ("age", pa.float64()),
    ("low", pa.float64()),
    ("high", pa.float64()),
    ("coverage", pa.float64()),
    ("p_female", pa.float64()),
    ("label", pa.string()),
    ("flags", pa.list_(pa.string())),
    ("sharpness", pa.float32()),
    ("size", pa.float32()),
]


def faces_schema(thresholds: Sequence[int] = (), ages: int | None = None) -> pa.Schema:
    """The schema of ``faces``, one row per face.

    Args:
        thresholds: Ages; for each there is a column such as ``at_least_18``.
        ages: Length of the lists in the column ``distribution``, the probabilities of the ages 0, 1, …; None
            for no such column.
    """
    asked = [pa.field(f"at_least_{threshold}", pa.float64()) for threshold in thresholds]
    if ages is not None:
        asked.append(pa.field("distribution", pa.list_(pa.float16(), ages)))
    return pa.schema([*_FACES, *asked])


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one photo in the tables.

    Attributes:
        photo: Its row in ``photos``.
        faces: Its rows in ``faces``.
    """

    photo: Mapping[str, Any]
    faces: Sequence[Mapping[str, Any]] = field(default=())

    @property
    def name(self) -> str:
        """The photo's name."""
        return str(self.photo["photo"])

    @property
    def failed(self) -> bool:
        """Whether the photo could not be read."""
        return self.photo["error"] is not None


def failed_rows(name: str, error: str, seconds: float | None = None) -> Rows:
    """The rows of a photo that could not be read."""
    return Rows(
        {"photo": name, "width": None, "height": None, "faces": 0, "error": error, "seconds": seconds}
    )


def to_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Convert rows to a table, with the version of the schema in its metadata."""
    return pa.Table.from_pylist(list(rows), schema.with_metadata({"mien.schema": str(VERSION)}))
