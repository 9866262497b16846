"""Extract pictures that a table holds as numbers in a column ``pixels``."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from mien.errors import DataError
from mien.files import written_beside
from mien.progress import progress


def write_pictures(table: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Write each row's pixels as a PNG.

    Args:
        table: Rows with ``pixels``: grey values from 0 to 255 of a square, row by row, separated by spaces.
        folder: Folder for the pictures, which are named by the row's index.

    Returns:
        The rows that have a picture, with ``path`` in place of ``pixels``; and why another row has none, by
        its line in the file.

    Raises:
        DataError: If a picture cannot be written.
    """
    paths, left_out = [], {}
    for i, text in enumerate(progress(table["pixels"], "Writing faces", len(table))):
        path = folder.resolve() / f"{i:06}.png"
        grey = _square(text)
        if grey is None:
            left_out[f"row {i + 2}"] = "pixels that are no square of numbers from 0 to 255"
        else:
            _save(grey, path)
        paths.append("" if grey is None else str(path))
    table = table.drop(columns="pixels").assign(path=paths)
    return table[table["path"] != ""].reset_index(drop=True), left_out


def _square(text: str) -> npt.NDArray[np.uint8] | None:
    try:
        values = np.array(text.split(), np.uint8)
    except (ValueError, OverflowError):
        return None
    side = math.isqrt(len(values))
    return values.reshape(side, side) if side and side**2 == len(values) else None


def _save(grey: npt.NDArray[np.uint8], path: Path) -> None:
    try:
        with written_beside(path) as partial:
            Image.fromarray(grey).save(partial)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); choose another --output.") from None
