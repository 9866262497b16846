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
from mien.files import written_beside

MAX_AGE = 130
GENDERS = ("male", "female")
FRAMINGS = ("utkface", "padded")
_TEXTS = ("gender", "race", "group", "split", "dataset", "framing")
_AGES = ("age", "age_low", "age_high")


def read_manifest(path: Path) -> pd.DataFrame:
    """Read and check a manifest.

    Args:
        path: A CSV file.

    Returns:
        Its rows, with absolute paths in ``path``, float ``age_low`` and ``age_high`` always filled, ``age``
        NaN where only a bin is known, and empty strings where ``gender``, ``race``, ``group``, ``split`` or
        ``dataset`` are not known.

    Raises:
        DataError: If the file cannot be read, has no rows, a column is missing, or a label is out of range.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; make a manifest of it with 'mien data index'.")
    try:
        table = pd.read_csv(path, dtype={"path": str, **dict.fromkeys(_TEXTS, str)}, low_memory=False)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; make a manifest with 'mien data index'.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is not a CSV file in UTF-8 ({reason}); save it as one.") from None
    table = check_manifest(table, str(path), path.parent)
    if table.empty:
        raise DataError(f"{path} has no rows; add one for each picture.")
    return table


def check_manifest(table: pd.DataFrame, source: str, folder: Path) -> pd.DataFrame:
    """Check a table against the manifest's form and fill what is optional; see :func:`read_manifest`.

    Genders are taken in upper or lower case.
    """
    table = table.rename(columns=lambda name: str(name).strip()).reset_index(drop=True)
    _need_columns(table, source)
    _refuse(table, table["path"].isna(), source, "no path")
    for column in _TEXTS:
        table[column] = table[column].astype(object).fillna("").astype(str) if column in table else ""
    table["gender"] = table["gender"].str.strip().str.lower()
    table["framing"] = table["framing"].replace("", "utkface")
    coded = table["gender"].str.fullmatch(r"[0-9.]+")
    _refuse(table, coded, source, "a number for a gender, whose meaning differs between data sets")
    _refuse(table, ~table["gender"].isin([*GENDERS, ""]), source, "a gender other than male or female")
    _refuse(table, ~table["framing"].isin(FRAMINGS), source, f"a framing not in {', '.join(FRAMINGS)}")
    base = folder.resolve()
    return _fill_ages(table, source).assign(path=[str(base / p) for p in table["path"]])


def write_manifest(table: pd.DataFrame, path: Path) -> None:
    """Write a manifest; paths below its folder become relative to it.

    Raises:
        DataError: If the file cannot be written.
    """
    folder = path.parent.resolve()
    table = table.assign(path=[relative_path(p, folder) for p in table["path"]])
    table = table.dropna(axis="columns", how="all")
    try:
        with written_beside(path) as partial:
            table.to_csv(partial, index=False)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); choose another --output.") from None
    except UnicodeEncodeError as error:
        raise DataError(
            f"{path} cannot hold the name {error.object!r}; rename that picture in UTF-8."
        ) from None


def relative_path(path: str | Path, folder: Path) -> str:
    """A path as seen from a folder, or as it is where it does not lie below it."""
    path = Path(path)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _need_columns(table: pd.DataFrame, source: str) -> None:
    columns = ", ".join(table.columns)
    if "path" not in table:
        raise DataError(f"{source} has no column 'path'; it has {columns}.")
    if "age" not in table and not {"age_low", "age_high"} <= set(table.columns):
        raise DataError(f"{source} needs a column 'age', or 'age_low' and 'age_high'; it has {columns}.")


def _fill_ages(table: pd.DataFrame, source: str) -> pd.DataFrame:
    for column in _AGES:
        table[column] = _numbers(table, column, source) if column in table else np.nan
    table["age_low"] = table["age_low"].fillna(table["age"])
    table["age_high"] = table["age_high"].fillna(table["age"])
    _refuse(table, table["age_low"].isna() | table["age_high"].isna(), source, "no age")
    for column in _AGES:
        wrong = table[column].notna() & ~table[column].between(0, MAX_AGE)
        _refuse(table, wrong, source, f"an age outside 0 to {MAX_AGE}")
    _refuse(table, table["age_high"] < table["age_low"], source, "an age_high below its age_low")
    return table


def _numbers(table: pd.DataFrame, column: str, source: str) -> "pd.Series[float]":
    numbers = pd.to_numeric(table[column], errors="coerce").astype(float)
    _refuse(table, numbers.isna() & table[column].notna(), source, f"a value in '{column}' that is no number")
    return numbers


def _refuse(table: pd.DataFrame, wrong: "pd.Series[bool]", source: str, what: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{source}, row {row + 2}, has {what} ({table['path'][row]}); mend or remove the row."
        )
