"""Divide a manifest into train, validation and test."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from mien.data.duplicates import THUMBNAIL, file_hash, group_labels, near_identical_pairs, thumbnail
from mien.errors import DataError


def assign_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Fill the column ``group`` so that byte-identical and near-identical pictures share a value.

    Raises:
        DataError: If a picture cannot be read.
    """
    paths = [Path(p) for p in table["path"]]
    vectors = [thumbnail(p) for p in paths]
    for path, vector in zip(paths, vectors, strict=True):
        if vector is None:
            raise DataError(f"{path} is not a readable picture; remove its row ('mien data audit' lists all).")
    stacked = np.asarray(vectors, np.float32).reshape(-1, THUMBNAIL**2)
    return table.assign(group=group_labels([file_hash(p) for p in paths], near_identical_pairs(stacked)))


def split_validation(table: pd.DataFrame, share: float = 0.1) -> pd.DataFrame:
    """Mark whole groups of the training rows as ``validation``; the rest become ``train``.

    The choice depends on the group's name alone (its SHA-256 as a fraction, against ``share``), so it stays
    the same when pictures are added, moved or reordered.

    Args:
        table: A manifest with ``group`` filled; rows whose ``split`` is ``test`` stay as they are.
        share: Expected share of groups, in (0, 1).

    Raises:
        DataError: If ``share`` is out of range or a group is empty.
    """
    if not 0 < share < 1:
        raise DataError(f"the validation share must lie between 0 and 1, got {share}.")
    if (table["group"] == "").any():
        raise DataError("every row needs a group before a validation part can be carved out.")
    chosen = table["group"].map(_fraction) < share
    free = table["split"] != "test"
    split = table["split"].mask(free & chosen, "validation").mask(free & ~chosen, "train")
    return table.assign(split=split)


def _fraction(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
