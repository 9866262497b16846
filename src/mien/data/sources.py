"""Index the data sets that mien knows: each folder becomes a table in the manifest's form.

Sources: UTKFace (Zhang, Song and Qi, CVPR 2017), FairFace (Kärkkäinen and Joo, WACV 2021) and All-Age-Faces
(Cheng et al., CVIU 2019). FairFace and All-Age-Faces pictures have the wider ``padded`` framing.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mien.data.layout import Layout, read_table
from mien.data.manifest import GENDERS, MAX_AGE, check_manifest, read_manifest, usable_rows
from mien.errors import DataError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
RACES = ("White", "Black", "Asian", "Indian", "Others")
FAIRFACE_RACES = {
    "White": "White",
    "Black": "Black",
    "East Asian": "Asian",
    "Southeast Asian": "Asian",
    "Indian": "Indian",
    "Latino_Hispanic": "Others",
    "Middle Eastern": "Others",
}
TERMS = {
    "utkface": "non-commercial research only",
    "fairface": "CC BY 4.0",
    "all-age-faces": "research use",
}
"""Terms of use of the data sets, which weights trained on them inherit."""
_COMPLETE = re.compile(r"^(?P<age>\d{1,3})_(?P<gender>[01])_(?P<race>[0-4])_\d+(?P<end>\s?\.?)jpg")
_SHORT = re.compile(r"^(?P<age>\d{1,3})_\d_\d{8,}\s?\.?jpg")


@dataclass(frozen=True)
class FaceSet:
    """A data set as it was found.

    Attributes:
        table: The manifest's rows, checked.
        left_out: Why a picture is not in the table, by its path; empty for a manifest.
    """

    table: pd.DataFrame
    left_out: dict[str, str] = field(default_factory=dict)


def load_faces(path: Path) -> FaceSet:
    """Read a manifest, or index a data set's folder.

    Raises:
        DataError: If it is neither, or a label is wrong.
    """
    if path.is_dir():
        return index_folder(path)
    return FaceSet(read_manifest(path))


def index_table(path: Path, layout: Layout) -> FaceSet:
    """Index a table of one's own: any columns and words that are understood or that the layout explains.

    Rows that cannot be used, for a label that is missing or wrong or for a picture that is not there, are
    left out.

    Raises:
        DataError: If it cannot be read, a column is missing, or no row can be used.
    """
    table, left_out = usable_rows(read_table(path, layout), str(path), path.parent)
    there = [Path(picture).is_file() for picture in table["path"]]
    left_out |= {picture: "missing" for picture, found in zip(table["path"], there, strict=True) if not found}
    table = table[there].reset_index(drop=True)
    if table.empty:
        what, why = next(iter(left_out.items()), (str(path), "has no rows"))
        raise DataError(f"{path} has no row that can be used; the first: {what}: {why}.")
    return FaceSet(table, left_out)


def index_folder(folder: Path, dataset: str | None = None) -> FaceSet:
    """Index a data set's folder.

    Args:
        folder: Where it was unpacked.
        dataset: ``utkface``, ``fairface`` or ``all-age-faces``; by default what the folder looks like.

    Raises:
        DataError: If the folder is missing or holds nothing of that data set, or its labels are wrong.
    """
    if dataset is not None and dataset not in SOURCES:
        raise DataError(f"{dataset!r} is not a known data set; choose from {', '.join(SOURCES)}.")
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the one the data set was unpacked into.")
    dataset = dataset or _recognise(folder)
    table, left_out = SOURCES[dataset](folder.resolve())
    if table.empty:
        raise DataError(f"{folder} holds no picture with {dataset} labels; give the folder of the pictures.")
    table = check_manifest(table.assign(dataset=dataset), str(folder), folder)
    return FaceSet(table, left_out)


def parse_utkface_name(name: str) -> tuple[int, str, str, str] | None:
    """Read the labels in a UTKFace file name, ``[age]_[gender]_[race]_[date&time].jpg``.

    Five files of the set are misnamed. Two lack the dot or hold a space; their labels are whole. Three have
    two fields where three belong, ``39_1_…`` and twice ``61_1_…``: the first is the age, the second may be
    the gender (female) or the race (Black). One picture looks more like the race, another more like the
    gender, so no one rule can be trusted and both are left open.

    Returns:
        Age, gender, race (empty where not known) and what is wrong with the name (empty where nothing is);
        None if the name holds no labels.

    >>> parse_utkface_name("26_1_2_20170116184024662.jpg.chip.jpg")
    (26, 'female', 'Asian', '')
    """
    match = _COMPLETE.match(name) or _SHORT.match(name)
    if match is None or int(match["age"]) > MAX_AGE:
        return None
    age, fields = int(match["age"]), match.groupdict()
    if "gender" not in fields:
        return age, "", "", "one field short, gender and race unknown"
    problem = "" if fields["end"] == "." else "misspelt extension"
    return age, GENDERS[int(fields["gender"])], RACES[int(fields["race"])], problem


_Indexed = tuple[pd.DataFrame, dict[str, str]]


def _index_utkface(folder: Path) -> _Indexed:
    """Rows sorted by file name; the column ``problem`` says what is odd about a name."""
    rows, left_out = [], {}
    for path in _pictures(folder):
        if labels := parse_utkface_name(path.name):
            rows.append((str(path), *labels))
        else:
            left_out[str(path)] = "no labels in its name"
    return pd.DataFrame(rows, columns=["path", "age", "gender", "race", "problem"]), left_out


def _index_fairface(folder: Path) -> _Indexed:
    """``labels.csv`` with file, age bin, gender and race beside the pictures."""
    labels, left_out = _labels(folder, {"age", "gender", "race"})
    bounds = [_bin(text, folder) for text in labels["age"]]
    table = labels.assign(
        age_low=[low for low, _ in bounds],
        age_high=[high for _, high in bounds],
        race=labels["race"].map(FAIRFACE_RACES).fillna(""),
        framing="padded",
    )
    return table[["path", "age_low", "age_high", "gender", "race", "framing"]], left_out


def _index_all_age_faces(folder: Path) -> _Indexed:
    """``labels.csv`` with file, age and gender beside the pictures."""
    labels, left_out = _labels(folder, {"age", "gender"})
    return labels[["path", "age", "gender"]].assign(framing="padded"), left_out


SOURCES: dict[str, Callable[[Path], _Indexed]] = {
    "utkface": _index_utkface,
    "fairface": _index_fairface,
    "all-age-faces": _index_all_age_faces,
}


def _recognise(folder: Path) -> str:
    if not (folder / "labels.csv").is_file():
        return "utkface"
    return "fairface" if "race" in _read_labels(folder) else "all-age-faces"


def _pictures(folder: Path) -> list[Path]:
    """Every picture below a folder, sorted by file name; not the hidden ones, which other systems leave."""
    files = (p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    return sorted((p for p in files if not p.name.startswith(".")), key=lambda p: p.name)


def _labels(folder: Path, needed: set[str]) -> _Indexed:
    """Rows of ``labels.csv`` whose picture exists, with absolute paths; what lacks a picture or a row."""
    table = _read_labels(folder)
    if missing := ({"file"} | needed) - set(table.columns):
        raise DataError(
            f"{folder / 'labels.csv'} lacks the column '{min(missing)}'; unpack the data set again."
        )
    table = table.assign(path=[str(folder / str(name)) for name in table["file"]])
    pictures = {str(path) for path in _pictures(folder)}
    left_out = {path: "no row in labels.csv" for path in sorted(pictures - set(table["path"]))}
    found = table["path"].isin(pictures)
    left_out |= dict.fromkeys(table["path"][~found], "named in labels.csv but missing")
    return table[found], left_out


def _read_labels(folder: Path) -> pd.DataFrame:
    path = folder / "labels.csv"
    if not path.is_file():
        raise DataError(f"{folder} has no labels.csv; give the folder the data set was unpacked into.")
    try:
        return pd.read_csv(path, dtype=str)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError):
        raise DataError(f"{path} is not a readable CSV file; unpack the data set again.") from None


def _bin(text: object, folder: Path) -> tuple[int, int]:
    """Bounds of an age bin, both inclusive: ``20-29``, ``70+`` or ``more than 70``."""
    words = str(text)
    numbers = [int(n) for n in re.findall(r"\d+", words)]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    if len(numbers) == 1 and ("+" in words or "more" in words):
        return numbers[0], 116
    raise DataError(f"{folder}: labels.csv has {words!r} where an age bin such as 20-29 belongs; mend it.")
