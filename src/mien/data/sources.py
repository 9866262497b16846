"""Index the data sets that mien knows: each folder becomes a table in the manifest's form.

Sources: UTKFace (Zhang, Song and Qi, CVPR 2017), FairFace (Kärkkäinen and Joo, WACV 2021) and All-Age-Faces
(Cheng et al., CVIU 2019). FairFace and All-Age-Faces pictures have the wider ``padded`` framing.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from mien.data.manifest import check_manifest
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
_COMPLETE = re.compile(r"^(?P<age>\d{1,3})_(?P<gender>[01])_(?P<race>[0-4])_\d+\s?\.?jpg")
_SHORT = re.compile(r"^(?P<age>\d{1,3})_(?P<gender>[01])_\d{8,}\s?\.?jpg")


def parse_utkface_name(name: str) -> tuple[int, str, str, str] | None:
    """Read the labels in a UTKFace file name, ``[age]_[gender]_[race]_[date&time].jpg``.

    Five files of the set are misnamed: two lack the dot or hold a space (their labels are whole), three lack
    one field of the three. Of those with two fields, the second is taken for the gender and the race is not
    known.

    Returns:
        Age, gender, race (empty where not known) and what is wrong with the name (empty where nothing is);
        None if the name holds no labels.

    >>> parse_utkface_name("26_1_2_20170116184024662.jpg.chip.jpg")
    (26, 'female', 'Asian', '')
    """
    gender = ("male", "female")
    if match := _COMPLETE.match(name):
        odd = "" if re.match(r"^\d+_\d_\d_\d+\.jpg", name) else "misspelt extension"
        return int(match["age"]), gender[int(match["gender"])], RACES[int(match["race"])], odd
    if match := _SHORT.match(name):
        return int(match["age"]), gender[int(match["gender"])], "", "one field short"
    return None


def index_utkface(folder: Path) -> pd.DataFrame:
    """Index a folder of UTKFace pictures.

    Returns:
        The manifest, sorted by name, with two more columns: ``problem`` says what was odd about a file's
        name. Files without labels in their name are rows of ``table.attrs["skipped"]``.
    """
    rows, skipped = [], []
    for path in _pictures(folder):
        if labels := parse_utkface_name(path.name):
            age, gender, race, problem = labels
            rows.append((str(path), age, gender, race, problem))
        else:
            skipped.append(str(path))
    table = pd.DataFrame(rows, columns=["path", "age", "gender", "race", "problem"]).assign(dataset="utkface")
    table.attrs["skipped"] = skipped
    return table


def index_fairface(folder: Path) -> pd.DataFrame:
    """Index FairFace: ``labels.csv`` with file, age bin, gender and race beside its pictures."""
    labels = _labels(folder, {"age", "gender", "race"})
    bounds = [_bin(str(text), folder) for text in labels["age"]]
    return pd.DataFrame(
        {
            "path": [str(folder / name) for name in labels["file"]],
            "age_low": [low for low, _ in bounds],
            "age_high": [high for _, high in bounds],
            "gender": labels["gender"].str.lower(),
            "race": labels["race"].map(FAIRFACE_RACES).fillna(""),
            "dataset": "fairface",
            "framing": "padded",
        }
    )


def index_all_age_faces(folder: Path) -> pd.DataFrame:
    """Index All-Age-Faces: ``labels.csv`` with file, age and gender beside its pictures."""
    labels = _labels(folder, {"age", "gender"})
    return pd.DataFrame(
        {
            "path": [str(folder / name) for name in labels["file"]],
            "age": labels["age"],
            "gender": labels["gender"].str.lower(),
            "dataset": "all-age-faces",
            "framing": "padded",
        }
    )


SOURCES: dict[str, Callable[[Path], pd.DataFrame]] = {
    "utkface": index_utkface,
    "fairface": index_fairface,
    "all-age-faces": index_all_age_faces,
}


def index(folder: Path, dataset: str = "utkface") -> pd.DataFrame:
    """Index a data set's folder.

    Args:
        folder: Where it was unpacked.
        dataset: ``utkface``, ``fairface`` or ``all-age-faces``.

    Returns:
        A checked manifest; ``attrs["skipped"]`` lists pictures left out because they carry no label.

    Raises:
        DataError: If the folder is missing or holds nothing of that data set, or its labels are wrong.
    """
    if dataset not in SOURCES:
        raise DataError(f"{dataset!r} is not a known data set; choose from {', '.join(SOURCES)}.")
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the one the data set was unpacked into.")
    table = SOURCES[dataset](folder.resolve())
    if table.empty:
        raise DataError(f"{folder} holds no picture with {dataset} labels.")
    skipped = table.attrs.get("skipped", [])
    table = check_manifest(table, str(folder), folder)
    table.attrs["skipped"] = skipped
    return table


def _pictures(folder: Path) -> list[Path]:
    files = (p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    return sorted(files, key=lambda p: p.name)


def _labels(folder: Path, needed: set[str]) -> pd.DataFrame:
    path = folder / "labels.csv"
    if not path.is_file():
        raise DataError(f"{folder} has no labels.csv; give the folder the data set was unpacked into.")
    table = pd.read_csv(path, dtype=str)
    if missing := ({"file"} | needed) - set(table.columns):
        raise DataError(f"{path} lacks the column '{min(missing)}'.")
    return table


def _bin(text: str, folder: Path) -> tuple[int, int]:
    """Bounds of an age bin, both inclusive: ``20-29``, ``70+`` or ``more than 70``."""
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    if len(numbers) == 1 and ("+" in text or "more" in text):
        return numbers[0], 116
    raise DataError(f"{folder}: labels.csv has {text!r} where an age bin such as 20-29 is expected.")
