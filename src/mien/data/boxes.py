"""Tables of labelled faces in photos, for training and evaluating detectors."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from mien.data.layout import UNREADABLE
from mien.errors import DataError
from mien.files import path_in

BOX = ("x1", "y1", "x2", "y2")
POINTS = tuple(
    f"{point}_{axis}"
    for point in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
    for axis in "xy"
)
"""Columns of the five landmarks in pixels, ordered as in :class:`~mien.results.Face`."""


def read_box_table(path: Path, needed: Collection[str] = ("image",)) -> pd.DataFrame:
    """Read a table with one row per labelled face, or per picture.

    Args:
        path: A CSV file with ``image``, a path relative to the file. The columns :data:`BOX`, in pixels, and
            :data:`POINTS` are optional. A row without a box is a picture without a face, or a face whose box
            follows from its landmarks.
        needed: Required columns.

    Returns:
        The rows, with resolved paths of the pictures, and boxes and landmarks as numbers.

    Raises:
        DataError: If the file cannot be read, lacks a column, or has an invalid box or landmark.
    """
    try:
        table = pd.read_csv(path)
    except UNREADABLE:
        raise DataError(
            f"{path} is missing or not a table; give a CSV file with {', '.join(('image', *BOX))}."
        ) from None
    if lacking := sorted(set(needed) - set(table.columns)):
        columns = "column" if len(lacking) == 1 else "columns"
        raise DataError(f"{path} lacks the {columns} {', '.join(lacking)}.")
    table["image"] = [str(path_in(path.parent, str(image))) for image in table["image"]]
    for column in {*BOX, *POINTS} & set(table.columns):
        numbers = pd.to_numeric(table[column], errors="coerce")
        if (numbers.isna() & table[column].notna()).any():
            raise DataError(f"{path} has a {column} that is no number.")
        table[column] = numbers
    _refuse_half_boxes(table.reindex(columns=BOX), path)
    return table


def _refuse_half_boxes(boxes: pd.DataFrame, path: Path) -> None:
    empty = boxes.isna()
    half = empty.any(axis=1) & ~empty.all(axis=1)
    wrong = half | (boxes["x2"] <= boxes["x1"]) | (boxes["y2"] <= boxes["y1"])
    if wrong.any():
        raise DataError(f"{path} has an empty or half box in line {int(np.flatnonzero(wrong)[0]) + 2}.")
