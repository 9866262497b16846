"""The manifest: the common table format of all data sets, with one row per face.

Columns: ``path`` (relative to the manifest's folder, or absolute; ``/`` between folders), ``age`` in years or
``age_low`` and ``age_high`` (inclusive bounds of an age bin), and ``gender`` (``male``, ``female`` or empty).
Each row needs an age or a gender. Optional are ``race``, ``group`` (same person or same picture), ``split``,
``framing`` (how the picture is cropped) and ``dataset``. Unknown columns are kept.
"""

from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from mien.data.layout import Layout, read_table
from mien.errors import DataError
from mien.files import path_in, written_beside

MAX_AGE = 130
GENDERS = ("male", "female")
FRAMINGS = ("utkface", "padded", "photo")
_TEXTS = ("gender", "race", "group", "split", "dataset", "framing")
_AGES = ("age", "age_low", "age_high")
_MEND = "correct or remove the row"

_Problem = tuple["pd.Series[bool]", str, str]
"""A mask of invalid rows, what is wrong with them, and what to do about it."""


def read_manifest(path: Path, layout: Layout | None = None) -> pd.DataFrame:
    """Read and check a manifest.

    Args:
        path: A CSV file; synonyms of columns and values are converted, see :mod:`mien.data.layout`.
        layout: Meaning of ambiguous columns and values.

    Returns:
        The rows, with absolute paths in ``path``. ``age_low`` and ``age_high`` are floats, NaN if the age is
        unknown; ``age`` is NaN also if only a bin is known. ``gender``, ``race``, ``group``, ``split`` and
        ``dataset`` are empty strings if unknown; ``framing`` is then ``utkface``.

    Raises:
        DataError: If the file cannot be read, has no rows, a column is missing, or a label is out of range.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; make a manifest of it with 'mien data index'.")
    table = check_manifest(read_table(path, layout), str(path), path.parent)
    if table.empty:
        raise DataError(f"{path} has no rows; add one for each picture.")
    return table


def check_manifest(table: pd.DataFrame, source: str, folder: Path) -> pd.DataFrame:
    """Check that a table is a valid manifest, and fill in its optional columns; see :func:`read_manifest`.

    Genders may be in upper or lower case.

    Raises:
        DataError: If a column is missing, or a label is missing or out of range; the message names a row.
    """
    table, problems = _prepare(table, source)
    for wrong, what, cure in problems:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(f"{source}, row {row + 2}, has {what} ({table['path'][row]}); {cure}.")
    return _with_whole_paths(table, folder)


def usable_rows(table: pd.DataFrame, source: str, folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The valid rows of a table, and what is wrong with each invalid one, by its path and line.

    Raises:
        DataError: If a column is missing.
    """
    table, problems = _prepare(table, source)
    left_out: dict[int, str] = {}
    for wrong, what, _ in problems:
        for row in np.flatnonzero(wrong).tolist():
            left_out.setdefault(row, what)
    named = {f"{table['path'][row]} (row {row + 2})": f"has {what}" for row, what in sorted(left_out.items())}
    return _with_whole_paths(table.drop(index=list(left_out)).reset_index(drop=True), folder), named


def exact_ages(table: pd.DataFrame) -> "pd.Series[bool]":
    """Mask of the rows whose age is exact, not a bin."""
    return table["age_low"] == table["age_high"]


def need_crops(table: pd.DataFrame, source: Path) -> None:
    """Check that a manifest holds face crops only.

    Raises:
        DataError: If the framing of a row is ``photo``.
    """
    photos = int((table["framing"] == "photo").sum())
    if photos:
        raise DataError(
            f"{source} has {photos:,} whole photos (framing 'photo'); cut their faces out with 'mien data "
            f"crop {source} --output DIR'."
        )


def write_manifest(table: pd.DataFrame, path: Path) -> None:
    """Write a manifest; paths below its folder become relative, and all-NaN columns are left out.

    Raises:
        DataError: If the file cannot be written.
    """
    folder = path.parent.resolve()
    try:
        table = table.assign(path=[relative_path(p, folder) for p in table["path"]])
        table = table.dropna(axis="columns", how="all")
        with written_beside(path) as partial:
            table.to_csv(partial, index=False)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); choose another --output.") from None
    except UnicodeEncodeError as error:
        raise DataError(
            f"{path} cannot hold the name {error.object!r}; rename that picture in UTF-8."
        ) from None


def relative_path(path: str | PurePath, folder: PurePath) -> str:
    """A path relative to a folder, or unchanged if it is not below it; with ``/`` on every system."""
    path = type(folder)(path)
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def _need_columns(table: pd.DataFrame, source: str) -> None:
    columns = ", ".join(table.columns)
    if "path" not in table:
        raise DataError(f"{source} has no column 'path'; it has {columns}.")
    if not ({"age", "gender"} & set(table.columns) or {"age_low", "age_high"} <= set(table.columns)):
        raise DataError(
            f"{source} needs a column 'age', or 'age_low' and 'age_high', or 'gender'; it has {columns}."
        )


def _prepare(table: pd.DataFrame, source: str) -> tuple[pd.DataFrame, list[_Problem]]:
    """Normalise a table, and check its rows.

    Raises:
        DataError: If a column is missing.
    """
    table = table.rename(columns=lambda name: str(name).strip()).reset_index(drop=True)
    _need_columns(table, source)
    for column in _TEXTS:
        table[column] = table[column].astype(object).fillna("").astype(str) if column in table else ""
    table["gender"] = table["gender"].str.strip().str.lower()
    table["framing"] = table["framing"].replace("", "utkface")
    problems = [(table["path"].isna() | (table["path"] == ""), "no path", _MEND)]
    meaning = f"say it with 'mien data index {source} --value gender:0=male --value gender:1=female'"
    numbers = table["gender"].str.fullmatch(r"[0-9.]+")
    problems += [
        (numbers, "a number for a gender, whose meaning differs between data sets", meaning),
        (~table["gender"].isin([*GENDERS, ""]), "a gender other than male or female", _MEND),
        (~table["framing"].isin(FRAMINGS), f"a framing not in {', '.join(FRAMINGS)}", _MEND),
    ]
    return table, problems + _fill_ages(table)


def _fill_ages(table: pd.DataFrame) -> list[_Problem]:
    """Convert the columns of ages to numbers, fill the bounds of exact ages, and return the problems."""
    problems = []
    for column in _AGES:
        given = table[column].replace("", np.nan) if column in table else pd.Series(np.nan, table.index)
        table[column] = pd.to_numeric(given, errors="coerce").astype(float)
        no_number = table[column].isna() & given.notna()
        problems.append((no_number, f"a value in '{column}' that is no number", _MEND))
    table["age_low"] = table["age_low"].fillna(table["age"])
    table["age_high"] = table["age_high"].fillna(table["age"])
    half = table["age_low"].isna() != table["age_high"].isna()
    problems.append((half, "one end of an age bin without the other", _MEND))
    neither = table["age_low"].isna() & (table["gender"] == "")
    problems.append((neither, "neither an age nor a gender", _MEND))
    for column in _AGES:
        wrong = table[column].notna() & ~table[column].between(0, MAX_AGE)
        problems.append((wrong, f"an age outside 0 to {MAX_AGE}", _MEND))
    problems.append((table["age_high"] < table["age_low"], "an age_high below its age_low", _MEND))
    return problems


def _with_whole_paths(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    base = folder.resolve()
    return table.assign(path=[str(path_in(base, str(path))) for path in table["path"]])
