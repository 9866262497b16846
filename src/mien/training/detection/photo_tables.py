"""Tables that list the training photos of the detector."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mien.data.boxes import read_box_table
from mien.data.duplicates import fingerprint, group_labels, near_identical
from mien.data.split import split_validation
from mien.errors import DataError

TABLES = {
    "boxes.csv": {"image", "x1", "y1", "x2", "y2"},
    "no-face.csv": {"image"},
    "unlabelled.csv": {"image"},
}
"""Names and required columns of the tables in folders of photos. The last table is optional."""


@dataclass(frozen=True, slots=True)
class PhotoTables:
    """Photos of a run; ``image`` is an absolute path, ``split`` is ``train`` or ``validation``.

    Attributes:
        boxes: One row per labelled face: image, x1, y1, x2, y2 in pixels, optionally the landmark columns
            :data:`~mien.data.boxes.POINTS`, split. A missing box is derived from the landmarks.
        empty: One row per picture without a face: image, split.
        unlabelled: One row per photo whose faces only the teachers label: image, split.
    """

    boxes: pd.DataFrame
    empty: pd.DataFrame
    unlabelled: pd.DataFrame

    def of(self, split: str) -> "PhotoTables":
        """Return the rows of one split, ``train`` or ``validation``."""
        parts = (self.boxes, self.empty, self.unlabelled)
        return PhotoTables(*(part[part["split"] == split] for part in parts))


def read_photo_tables(folders: Sequence[Path]) -> PhotoTables:
    """Read and join the tables ``boxes.csv``, ``no-face.csv`` and ``unlabelled.csv`` of the folders.

    A table keeps its own ``split`` column. A table without one gets a random split: a tenth of the pictures
    for validation, with near-identical pictures on the same side.

    Raises:
        DataError: If ``boxes.csv`` or ``no-face.csv`` is missing or empty in all folders, or if a table
            cannot be read or lacks a column.
    """
    tables = {name: _joined(folders, name) for name in TABLES}
    for name in ("boxes.csv", "no-face.csv"):
        if tables[name].empty:
            raise DataError(f"{folders[0] / name} is missing or is no table; give the folder of {name}.")
    return PhotoTables(tables["boxes.csv"], tables["no-face.csv"], tables["unlabelled.csv"])


def _joined(folders: Sequence[Path], name: str) -> pd.DataFrame:
    parts = [_read_table(folder, name) for folder in folders if (folder / name).exists()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"image": [], "split": []})


def _read_table(folder: Path, name: str) -> pd.DataFrame:
    table = read_box_table(folder / name, TABLES[name])
    table["image"] = [str(Path(image).resolve()) for image in table["image"]]
    if "split" in table.columns:
        return table
    images = pd.DataFrame({"path": table["image"].drop_duplicates()})
    prints = fingerprint(list(images["path"]))
    images["group"] = group_labels(prints.hashes, near_identical(prints))
    images = split_validation(images.assign(split="train"), 0.1)
    return table.merge(images.rename(columns={"path": "image"})[["image", "split"]], on="image")
