"""The manifest: a table of faces, one row each, that every data set is turned into.

Columns: ``path`` (relative to the manifest's folder, or absolute), ``age`` in years or ``age_low`` and
``age_high`` (inclusive bounds of an age bin), ``gender`` (``male``, ``female`` or empty), and optionally
``race``, ``group`` (same person or same picture), ``split``, ``framing`` (how the picture is cropped) and
``dataset``. Unknown columns are kept.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from mien.errors import DataError

MAX_AGE = 130
GENDERS = ("male", "female")
FRAMINGS = ("utkface", "padded")


def read_manifest(path: Path) -> pd.DataFrame:
    """Read and check a manifest.

    Args:
        path: A CSV file.

    Returns:
        Its rows, with absolute paths in ``path``, float ``age_low`` and ``age_high`` always filled, ``age``
        NaN where only a bin is known, and empty strings where ``gender``, ``race``, ``group``, ``split`` or
        ``dataset`` are not known.

    Raises:
        DataError: If the file cannot be read, a column is missing, or a label is out of range.
    """
    try:
        table = pd.read_csv(path, dtype={"path": str, "group": str, "race": str, "split": str})
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; make a manifest with 'mien data index'.") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path} is not a readable CSV file ({error}).") from None
    return check_manifest(table, str(path), path.parent)


def check_manifest(table: pd.DataFrame, source: str, folder: Path) -> pd.DataFrame:
    """Check a table against the manifest's form and fill what is optional; see :func:`read_manifest`."""
    if "path" not in table:
        raise DataError(f"{source} has no column 'path'; it has {', '.join(map(str, table.columns))}.")
    if "age" not in table and not {"age_low", "age_high"} <= set(table.columns):
        raise DataError(f"{source} needs a column 'age', or 'age_low' and 'age_high'.")
    table = table.reset_index(drop=True).copy()
    for column in ("gender", "race", "group", "split", "dataset"):
        table[column] = table[column].fillna("").astype(str) if column in table else ""
    table["framing"] = table["framing"].fillna("utkface") if "framing" in table else "utkface"
    for column in ("age", "age_low", "age_high"):
        table[column] = _numbers(table[column], source) if column in table else np.nan
    table["age_low"] = table["age_low"].fillna(table["age"])
    table["age_high"] = table["age_high"].fillna(table["age"])
    wrong = ~(table["age_low"].between(0, MAX_AGE) & table["age_high"].between(0, MAX_AGE))
    _refuse(table, wrong | (table["age_high"] < table["age_low"]), source, f"an age outside 0 to {MAX_AGE}")
    _refuse(table, table["path"].isna(), source, "no path")
    _refuse(table, ~table["gender"].isin([*GENDERS, ""]), source, "a gender other than male or female")
    _refuse(table, ~table["framing"].isin(FRAMINGS), source, f"a framing not in {', '.join(FRAMINGS)}")
    base = folder.resolve()
    table["path"] = [str(base / p) for p in table["path"]]
    return table


def write_manifest(table: pd.DataFrame, path: Path) -> None:
    """Write a manifest; paths below its folder become relative to it.

    Raises:
        DataError: If the file cannot be written.
    """
    folder = path.parent.resolve()
    table = table.copy()
    table["path"] = [_relative(Path(p), folder) for p in table["path"]]
    table = table.dropna(axis="columns", how="all")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}).") from None


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _numbers(column: "pd.Series[float]", source: str) -> "pd.Series[float]":
    try:
        return pd.to_numeric(column).astype(float)
    except (ValueError, TypeError):
        raise DataError(f"{source} has a value in '{column.name}' that is not a number.") from None


def _refuse(table: pd.DataFrame, wrong: "pd.Series[bool]", source: str, what: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{source}, row {row + 2}, has {what} ({table['path'][row]}); mend or remove the row.")
