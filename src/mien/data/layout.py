"""Reading of tables of faces whose column names, cases, separators and words differ from a manifest's.

Unambiguous differences are converted and reported; :class:`Layout` explains the others.
"""

import lzma
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from mien.errors import DataError

SYNONYMS = {
    "path": (
        "image",
        "file",
        "filename",
        "file_name",
        "filepath",
        "file_path",
        "image_path",
        "image_file",
        "img",
    ),
    "age": ("age_years", "age_in_years"),
    "age_low": ("age_min", "min_age"),
    "age_high": ("age_max", "max_age"),
    "gender": ("sex",),
    "race": ("ethnicity",),
    "group": ("person", "person_id", "subject", "subject_id", "identity"),
    "split": ("subset", "partition", "set"),
    "dataset": (),
    "framing": (),
    "born": ("dob", "birth_date", "birthdate", "date_of_birth"),
    "taken": ("photo_taken", "photo_date", "date_taken"),
}
"""Unambiguous synonyms of the manifest's columns, and of the two dates from which an age can be computed."""

WORDS = {
    "gender": {"m": "male", "man": "male", "f": "female", "woman": "female"},
    "split": {
        "training": "train",
        "val": "validation",
        "valid": "validation",
        "dev": "validation",
        "testing": "test",
    },
}
"""Unambiguous synonyms of a column's values, in lower case."""

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "unknown", "?"})
"""Words for an unknown age, gender or split; in other columns they are ordinary values."""

OLDEST = 116.0
"""Upper end in years of an open age bin, such as 60+."""

UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
"""Exceptions of pandas for a file that is not a table, or is not compressed as its name says."""

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True)
class Layout:
    """The meaning of a table's columns and values that are ambiguous.

    Attributes:
        columns: The table's name of a column, by the manifest's name.
        values: The meaning of a value, by the manifest's name of its column and the value in lower case.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def parse(cls, columns: Iterable[str], values: Iterable[str]) -> Self:
        """Parse the options of the command line.

        Args:
            columns: Texts such as ``path=image_file``.
            values: Texts such as ``gender:0=male``.

        Raises:
            DataError: If a text has another form, or names a column that a manifest does not have.

        >>> Layout.parse(["path=image_file"], ["gender:0=male"])
        Layout(columns={'path': 'image_file'}, values={('gender', '0'): 'male'})
        """
        named = [_match(r"(?P<column>\w+)=(?P<own>.+)", text, "path=image_file") for text in columns]
        meant = [
            _match(r"(?P<column>\w+):(?P<own>.+)=(?P<value>.*)", text, "gender:0=male") for text in values
        ]
        return cls(
            {match["column"]: match["own"] for match in named},
            {(match["column"], match["own"].strip().lower()): match["value"] for match in meant},
        )


def read_table(path: Path, layout: Layout | None = None) -> pd.DataFrame:
    """Read a CSV file, convert its columns and values to those of a manifest, and print the conversions.

    Args:
        path: A file in UTF-8, separated by commas, semicolons or tabs; it may be compressed.
        layout: Meaning of ambiguous columns and values.

    Returns:
        The rows as texts, empty where unknown; ranges in ``age`` are moved to ``age_low`` and ``age_high``.

    Raises:
        DataError: If the file cannot be read, a column of the layout is missing, or a column is ambiguous.
    """
    layout = layout or Layout()
    separator, names = _find_columns(path, layout)
    table = _read_csv(path, sep=separator)
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path} has rows with more fields than its header; correct them.")
    table.columns = pd.Index([str(name).strip() for name in table.columns])
    table = table.rename(columns=names)
    if (twice := table.columns[table.columns.duplicated()]).any():
        raise DataError(f"{path} has several columns {twice[0]!r}; rename or remove all but one.")
    understood = [f"{own!r} as {column}" for own, column in names.items() if own != column]
    if separator != ",":
        understood.insert(0, f"{SEPARATORS[separator]} between fields")
    for column in ("age", "age_low", "age_high", "gender", "split"):
        if column in table:
            understood += _understand_values(table, column, layout)
    for column, own in (
        (c, o) for c, o in layout.values if c in ("race", "group", "dataset", "framing") and c in table
    ):
        table[column] = table[column].mask(
            table[column].str.strip().str.lower() == own, layout.values[column, own]
        )
    if {"born", "taken"} <= set(table) and not {"age", "age_low"} & set(table):
        table["age"] = [
            _age_at(born, taken) for born, taken in zip(table["born"], table["taken"], strict=True)
        ]
    if "age" in table:
        understood += _understand_ages(table)
    if understood:
        _say_once(f"{path}: understood {', '.join(understood)}.")
    return table


def understand_columns(own: Sequence[str], layout: Layout, source: str) -> dict[str, str]:
    """The manifest's names of a table's columns, by the table's names, without unknown columns.

    Raises:
        DataError: If two columns may be the same one of the manifest, or a column of the layout is missing.
    """
    names = {}
    for column, synonyms in SYNONYMS.items():
        given = layout.columns.get(column)
        if given is not None and given not in own:
            raise DataError(f"{source} has no column {given!r}; it has {', '.join(own)}.")
        for candidates in ([given], [column], _alike(own, [column]), _alike(own, synonyms)):
            found = [name for name in candidates if name is not None and name in own]
            if len(found) > 1:
                raise DataError(
                    f"{source} has several columns that may be the {column}, {' and '.join(found)}; say "
                    f"which with 'mien data index {source} --column {column}={found[0]}'."
                )
            if found:
                names[found[0]] = column
                break
    return names


def part_name(text: str) -> str:
    """The manifest's word for a part of a data set.

    >>> part_name("Val"), part_name("fold1")
    ('validation', 'fold1')
    """
    return WORDS["split"].get(text.strip().lower(), text)


def parse_age(text: str) -> tuple[float, float]:
    """Parse an age or an age range: ``26``, ``25-32``, ``(25, 32)``, ``60+``, ``more than 70``.

    Returns:
        The bounds in years, both inclusive; NaN twice if the text is not an age.

    >>> parse_age("26"), parse_age("(25, 32)"), parse_age("more than 70")
    ((26.0, 26.0), (25.0, 32.0), (70.0, 116.0))
    """
    text = text.strip().lower()
    if re.fullmatch(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", text):
        age = float(text.replace(",", "."))
        return age, age
    number = r"(\d+(?:\.\d+)?)"
    if match := re.fullmatch(rf"[(\[]?\s*{number}\s*(?:-|–|—|,|to|_)\s*{number}\s*[)\]]?", text):
        return float(match[1]), float(match[2])
    if match := re.fullmatch(rf"{number}\s*\+|(?:more than|over|>=?)\s*{number}", text):
        low = float(match[1] or match[2])
        return low, max(low, OLDEST)
    return np.nan, np.nan


def _find_columns(path: Path, layout: Layout) -> tuple[str, dict[str, str]]:
    """The separator that gives the most known columns, and the manifest's names of these columns."""
    best: tuple[str, dict[str, str]] = (",", {})
    for separator in SEPARATORS:
        own = [str(name).strip() for name in _read_csv(path, sep=separator, nrows=0).columns]
        try:
            names = understand_columns(own, layout, str(path))
        except DataError:
            if len(own) > 1:
                raise
            continue
        if len(names) > len(best[1]):
            best = separator, names
    return best


def _read_csv(path: Path, *, sep: str, nrows: int | None = None) -> pd.DataFrame:
    try:
        return pd.read_csv(
            path,
            sep=sep,
            nrows=nrows,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            encoding="utf-8-sig",
        )
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; make a manifest with 'mien data index'.") from None
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is not a CSV file in UTF-8 ({reason}); save it as one.") from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
        raise DataError(
            f"{path} is not compressed as its name says ({error}); save it as plain CSV."
        ) from None
    except OSError as error:
        if error.strerror is None:  # raised by gzip
            raise DataError(
                f"{path} is not compressed as its name says ({error}); save it as plain CSV."
            ) from None
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None


def _alike(own: Sequence[str], names: Sequence[str]) -> list[str]:
    wanted = set(names)
    return [name for name in own if re.sub(r"[\s-]+", "_", name.lower()) in wanted]


def _understand_values(table: pd.DataFrame, column: str, layout: Layout) -> list[str]:
    """Replace synonyms in a column by the manifest's words; return descriptions of the replacements."""
    words = WORDS.get(column, {})
    meant, understood = {}, []
    for own in table[column].unique():
        key = own.strip().lower()
        value = layout.values.get((column, key), words.get(key, "" if key in MISSING else own.strip()))
        if column in WORDS and value == own.strip() and key in (*words.values(), "train", "test"):
            value = key  # the manifest's word in other case
        if key in words:
            understood.append(f"{column} {own.strip()!r} as {value}")
        meant[own] = value
    table[column] = table[column].map(meant)
    return understood


def _understand_ages(table: pd.DataFrame) -> list[str]:
    """Move age ranges to ``age_low`` and ``age_high``; return a description of the conversion."""
    bounds = {own: parse_age(own) for own in table["age"].unique()}
    exact = {own: repr(low) for own, (low, high) in bounds.items() if low == high}
    ranges = {own: pair for own, pair in bounds.items() if pair[0] < pair[1]}
    chosen = table["age"].isin(ranges)
    for i, column in enumerate(("age_low", "age_high")):
        if column not in table:
            table[column] = ""
        ends = table["age"].map({own: f"{pair[i]:g}" for own, pair in ranges.items()})
        table[column] = table[column].mask(chosen, ends)
    table["age"] = table["age"].mask(chosen, "").replace(exact)
    if not ranges:
        return []
    own, (low, high) = next(iter(ranges.items()))
    return [f"{len(ranges)} age ranges such as {own!r} as {low:g} to {high:g}"]


def _age_at(born: str, taken: str) -> str:
    """Age in whole years at the date of a photo; a date with only a year counts as 1 July. Empty if unknown.

    >>> _age_at("1980-09-24", "2010"), _age_at("1980", "2010-03-01"), _age_at("1980", "")
    ('29', '29', '')
    """
    days = []
    for text in (born, taken):
        match = re.match(r"\s*(\d{4})(?:[-/.](\d{1,2})[-/.](\d{1,2})|\s*$)", text)
        if match is None:
            return ""
        days.append((int(match[1]), int(match[2] or 7), int(match[3] or 1)))
    (birth_year, *birthday), (year, *day) = days
    return str(year - birth_year - (day < birthday))


def _match(pattern: str, text: str, example: str) -> "re.Match[str]":
    match = re.fullmatch(pattern, text)
    if match is None:
        raise DataError(f"{text!r} does not have the expected form; write it like {example}.")
    if match["column"] not in SYNONYMS:
        raise DataError(
            f"{match['column']!r} is not a column of a manifest; choose from {', '.join(SYNONYMS)}."
        )
    return match


@cache
def _say_once(sentence: str) -> None:
    print(sentence, file=sys.stderr)
