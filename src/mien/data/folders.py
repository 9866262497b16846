"""Reading of the pictures and label tables in a data set's folder."""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mien.data.layout import UNREADABLE
from mien.errors import DataError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def label_files(folder: Path) -> list[Path]:
    """The CSV and text files directly in a folder, which may hold its labels."""
    return [path for pattern in ("*.csv", "*.txt") for path in folder.glob(pattern)]


def find_pictures(folder: Path) -> tuple[list[Path], dict[str, str]]:
    """Find every picture below a folder except hidden files, which some systems add.

    Links to folders are followed, but each folder is read only once.

    Returns:
        The pictures sorted by file name, and why a folder was not read, by its path.
    """
    pictures: list[Path] = []
    skipped: dict[str, str] = {}
    seen: dict[tuple[int, int], str] = {}

    def unreadable(error: OSError) -> None:
        skipped[str(error.filename)] = f"cannot be read ({error.strerror})"

    for here, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        folders.sort()
        for name in list(folders):
            path = Path(here, name)
            state = path.stat()
            first = seen.setdefault((state.st_dev, state.st_ino), str(path))
            if first != str(path) or path.samefile(folder):
                skipped[str(path)] = "a link to a folder that is read already"
                folders.remove(name)
        wanted = (Path(here, name) for name in files if Path(name).suffix.lower() in IMAGE_SUFFIXES)
        pictures += (path for path in wanted if path.is_file() and not path.name.startswith("."))
    return sorted(pictures, key=lambda path: path.name), skipped


def labelled_pictures(
    folder: Path, needed: set[str], sides: Mapping[Path, str]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Join the label tables of a folder with its pictures.

    Args:
        folder: The folder of the pictures.
        needed: Columns that each table must have besides ``file``.
        sides: The tables, with the value of ``split`` for each.

    Returns:
        The rows whose picture exists, with absolute paths in ``path``; and why a picture or a row is left
        out, by the picture's path.

    Raises:
        DataError: If a table cannot be read or lacks a column.
    """
    tables = []
    for file, split in sides.items():
        table = read_labels(file)
        if missing := ({"file"} | needed) - set(table.columns):
            raise DataError(f"{file} lacks the column '{min(missing)}'; unpack the data set again.")
        tables.append(table.assign(split=split))
    table = pd.concat(tables, ignore_index=True)
    table = table.assign(path=[str(folder / str(name)) for name in table["file"]])
    where = " or ".join(file.name for file in sides)
    found, left_out = find_pictures(folder)
    pictures = {str(path) for path in found}
    left_out |= {path: f"no row in {where}" for path in sorted(pictures - set(table["path"]))}
    there = table["path"].isin(pictures)
    left_out |= dict.fromkeys(table["path"][~there], f"named in {where} but missing")
    return table[there], left_out


def read_labels(path: Path, sep: str = ",") -> pd.DataFrame:
    """Read a table of labels, with all values as texts.

    Raises:
        DataError: If the file is missing or is not a CSV file.
    """
    if not path.is_file():
        raise DataError(f"{path.parent} has no {path.name}; give the folder the data set was unpacked into.")
    try:
        return pd.read_csv(path, sep=sep, dtype=str, keep_default_na=False)
    except UNREADABLE:
        raise DataError(f"{path} is not a readable CSV file; unpack the data set again.") from None
