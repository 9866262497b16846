"""Index known data sets: convert each folder to a manifest.

Sources: UTKFace (Zhang, Song and Qi, CVPR 2017), FairFace (Kärkkäinen and Joo, WACV 2021), All-Age-Faces
(Cheng et al., CVIU 2019) and Adience (Eidinger, Enbar and Hassner, TIFS 2014), as published; FairFace and
All-Age-Faces also with one ``labels.csv``. FairFace, and All-Age-Faces with ``labels.csv``, have the wider
framing ``padded``. All-Age-Faces as published and Adience are not aligned like a face crop and have the
framing ``photo``.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from mien.data.folders import find_pictures, labelled_pictures, read_labels
from mien.data.layout import WORDS, Layout, parse_age, read_table
from mien.data.manifest import GENDERS, MAX_AGE, check_manifest, read_manifest, usable_rows
from mien.data.pixels import write_pictures
from mien.errors import DataError

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
    "adience": "research use",
}
"""Terms of use of the data sets, which weights trained on them inherit."""
_ENDING = r"(?:\s?\(\d+\))?(?P<end>\s?\.?)(?:jpe?g|png|webp|bmp)"
_COMPLETE = re.compile(rf"^(?P<age>\d{{1,3}})_(?P<gender>[01]?)_(?P<race>[0-4])_\d+{_ENDING}", re.IGNORECASE)
_SHORT = re.compile(rf"^(?P<age>\d{{1,3}})_\d_\d{{8,}}{_ENDING}", re.IGNORECASE)
_ALL_AGE_FACES = re.compile(r"^(?P<number>\d{5})A(?P<age>\d{2})\.")
LONGEST_AGE = 12
"""Maximum length of a folder's name that may be an age."""

ARCHIVES = {".tar", ".tgz", ".gz", ".zip", ".7z", ".rar"}
LAST_FEMALE = 7380
"""In All-Age-Faces, people with numbers up to this one are women, the others men."""


@dataclass(frozen=True)
class FaceSet:
    """The usable rows of a data set, and the rest.

    Attributes:
        table: The rows as a checked manifest.
        left_out: Why a picture is not in the table, by its path; empty for a manifest.
    """

    table: pd.DataFrame
    left_out: dict[str, str] = field(default_factory=dict)


def load_faces(path: Path) -> FaceSet:
    """Read a manifest, or index a data set's folder.

    Raises:
        DataError: If the path is neither, or a label is invalid.
    """
    if path.is_dir():
        return index_folder(path)
    return FaceSet(read_manifest(path))


def index_table(path: Path, layout: Layout, pictures: Path | None = None) -> FaceSet:
    """Index any table of faces; its columns and words may be synonyms or be explained by the layout.

    Rows with a missing or invalid label or a missing picture are left out.

    Args:
        path: The table.
        layout: Meaning of ambiguous columns and values.
        pictures: Folder for pictures that the table holds as numbers in a column ``pixels``.

    Raises:
        DataError: If the table cannot be read, a column is missing, or no row can be used.
    """
    if path.suffix.lower() in ARCHIVES and ".csv" not in path.name.lower():
        raise DataError(f"{path} is an archive; unpack it and give the folder.")
    rows = read_table(path, layout)
    without: dict[str, str] = {}
    if "pixels" in rows and "path" not in rows:
        if pictures is None:
            raise DataError(f"{path} holds pixels and no pictures' paths; 'mien data index' writes them.")
        rows, without = write_pictures(rows, pictures)
        rows = _with_utkface_words(rows)
    table, left_out = usable_rows(rows, str(path), path.parent)
    left_out |= without
    there = [Path(picture).is_file() for picture in table["path"]]
    left_out |= {picture: "missing" for picture, found in zip(table["path"], there, strict=True) if not found}
    table = table[there].reset_index(drop=True)
    if table.empty:
        what, why = next(iter(left_out.items()), (str(path), "has no rows"))
        raise DataError(f"{path} has no row that can be used; the first: {what}: {why}.")
    return FaceSet(table, left_out)


def _with_utkface_words(rows: pd.DataFrame) -> pd.DataFrame:
    """Replace the codes of genders and races in ``age_gender.csv``, a known table of 23,705 UTKFace faces.

    Other tables are returned unchanged.
    """
    if not {"gender", "race", "img_name"} <= set(rows.columns):
        return rows
    codes = {"gender": GENDERS, "race": RACES}
    words = {column: {str(i): word for i, word in enumerate(names)} for column, names in codes.items()}
    return rows.replace(words).assign(dataset="utkface")


def index_folder(folder: Path, dataset: str | None = None) -> FaceSet:
    """Index a data set's folder.

    Args:
        folder: The folder that the data set was unpacked into.
        dataset: A name of :data:`SOURCES`; by default recognised from the folder's content.

    Raises:
        DataError: If the name is unknown, the folder is missing or holds no picture of that data set, or a
            label is invalid.
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

    Five files of the set are misnamed. Two lack the dot or contain a space; their labels are complete. Three
    have two label fields instead of three, ``39_1_…`` and twice ``61_1_…``: the first is the age, the second
    may be the gender (female) or the race (Black). The pictures suggest the race in one case and the gender
    in another, so both are left unknown. Pictures of the in-the-wild set may lack the gender (``53__0_…``).
    Pictures converted to another format, and copies such as ``… (1).jpg``, keep their labels.

    Returns:
        Age in years, gender and race (empty if unknown), and what is wrong with the name (empty if nothing);
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
    gender = GENDERS[int(fields["gender"])] if fields["gender"] else ""
    return age, gender, RACES[int(fields["race"])], problem if gender else "gender missing"


_Indexed = tuple[pd.DataFrame, dict[str, str]]


def _index_utkface(folder: Path) -> _Indexed:
    """Index UTKFace by file names; the column ``problem`` says what is wrong with a name."""
    rows = []
    pictures, left_out = find_pictures(folder)
    for path in pictures:
        if labels := parse_utkface_name(path.name):
            rows.append((str(path), *labels))
        else:
            left_out[str(path)] = "no labels in its name"
    return pd.DataFrame(rows, columns=["path", "age", "gender", "race", "problem"]), left_out


def _index_fairface(folder: Path) -> _Indexed:
    """Index FairFace, with labels in ``labels.csv`` or, as published, in one table per side."""
    published = sorted(folder.glob("fairface_label_*.csv"))
    parts = {"train": "train", "val": "validation"}
    sides = {path: parts.get(path.stem.removeprefix("fairface_label_"), "") for path in published}
    labels, left_out = labelled_pictures(
        folder, {"age", "gender", "race"}, sides or {folder / "labels.csv": ""}
    )
    bounds = [_bin(text, folder) for text in labels["age"]]
    table = labels.assign(
        age_low=[low for low, _ in bounds],
        age_high=[high for _, high in bounds],
        race=labels["race"].map(FAIRFACE_RACES).fillna(""),
        framing="padded",
    )
    return table[["path", "age_low", "age_high", "gender", "race", "split", "framing"]], left_out


def _index_all_age_faces(folder: Path) -> _Indexed:
    """Index All-Age-Faces, with labels in ``labels.csv`` or, as published, in the file names."""
    if (folder / "labels.csv").is_file():
        labels, left_out = labelled_pictures(folder, {"age", "gender"}, {folder / "labels.csv": ""})
        return labels[["path", "age", "gender"]].assign(framing="padded"), left_out
    rows = []
    pictures, left_out = find_pictures(folder)
    for path in pictures:
        if match := _ALL_AGE_FACES.match(path.name):
            gender = "female" if int(match["number"]) <= LAST_FEMALE else "male"
            rows.append((str(path), int(match["age"]), gender, "photo", path.name[:8]))
        else:
            left_out[str(path)] = "no labels in its name"
    return pd.DataFrame(rows, columns=["path", "age", "gender", "framing", "group"]), left_out


def _index_adience(folder: Path) -> _Indexed:
    """Index Adience, with labels in a tab-separated table per fold, ``fold_0_data.txt``."""
    tables = []
    for file in sorted(folder.glob("fold_*_data.txt")):
        table = read_labels(file, sep="\t")
        if missing := {"user_id", "original_image", "face_id", "age", "gender"} - set(table.columns):
            raise DataError(f"{file} lacks the column '{min(missing)}'; unpack the data set again.")
        tables.append(table.assign(fold=file.name.split("_data")[0]))
    if not tables:
        raise DataError(f"{folder} has no fold_0_data.txt; give the folder the data set was unpacked into.")
    labels = pd.concat(tables, ignore_index=True)
    keys = (labels["user_id"] + "/" + labels["face_id"] + "." + labels["original_image"]).tolist()
    pictures, left_out = find_pictures(folder)
    known = {_adience_key(path): str(path) for path in pictures}
    labels["path"] = [known.get(key, "") for key in keys]
    left_out |= {key: "named in a fold but missing" for key in keys if key not in known}
    left_out |= {str(path): "in no fold" for path in pictures if _adience_key(path) not in set(keys)}
    bounds = [parse_age(age) for age in labels["age"]]
    labels = labels.assign(
        age_low=[low for low, _ in bounds],
        age_high=[high for _, high in bounds],
        gender=labels["gender"].map({"m": "male", "f": "female"}).fillna(""),
        framing="photo",
    )
    unknown = (labels["path"] != "") & labels["age_low"].isna()
    left_out |= dict.fromkeys(labels["path"][unknown], "no age in its fold")
    labels = labels[(labels["path"] != "") & ~unknown].reset_index(drop=True)
    return labels[["path", "age_low", "age_high", "gender", "framing", "fold"]], left_out


def _index_folders(folder: Path) -> _Indexed:
    """Index pictures in a folder per age or age range, as ``026/123.png``, per gender, or in nested ones."""
    rows = []
    pictures, left_out = find_pictures(folder)
    for path in pictures:
        low, high, gender = _labels_of_folders(path.relative_to(folder).parts[:-1])
        if np.isnan(low) and not gender:
            left_out[str(path)] = "in no folder of an age or a gender"
        else:
            rows.append((str(path), low, high, gender))
    return pd.DataFrame(rows, columns=["path", "age_low", "age_high", "gender"]), left_out


def _labels_of_folders(names: Sequence[str]) -> tuple[float, float, str]:
    """Bounds of an age (NaN if unknown) and a gender (empty if unknown), from the names of parent folders.

    If several folders name an age or a gender, the innermost counts.
    """
    words = WORDS["gender"] | {gender: gender for gender in GENDERS}
    genders = (words[name.lower()] for name in reversed(names) if name.lower() in words)
    ages = (parse_age(name) for name in reversed(names) if len(name) < LONGEST_AGE)
    low, high = next(((low, high) for low, high in ages if low >= 0 and high <= MAX_AGE), (np.nan, np.nan))
    return low, high, next(genders, "")


def _adience_key(path: Path) -> str:
    """The key of a picture: ``USER/2174.9523333835_o.jpg`` for ``USER/NAME.2174.9523333835_o.jpg``."""
    return f"{path.parent.name}/{path.name.partition('.')[2]}"


SOURCES: dict[str, Callable[[Path], _Indexed]] = {
    "utkface": _index_utkface,
    "fairface": _index_fairface,
    "all-age-faces": _index_all_age_faces,
    "adience": _index_adience,
    "folders": _index_folders,
}


def _recognise(folder: Path) -> str:
    if any(folder.glob("fold_*_data.txt")):
        return "adience"
    if any(folder.glob("fairface_label_*.csv")):
        return "fairface"
    if (folder / "labels.csv").is_file():
        return "fairface" if "race" in read_labels(folder / "labels.csv") else "all-age-faces"
    pictures, _ = find_pictures(folder)
    if pictures and _ALL_AGE_FACES.match(pictures[0].name):
        return "all-age-faces"
    named = any(parse_utkface_name(path.name) for path in pictures)
    labels = (_labels_of_folders(path.relative_to(folder).parts[:-1]) for path in pictures)
    return "folders" if not named and any(low >= 0 or gender for low, _, gender in labels) else "utkface"


def _bin(text: str, folder: Path) -> tuple[float, float]:
    """Bounds of an age bin, both inclusive: ``20-29``, ``70+`` or ``more than 70``."""
    low, high = parse_age(text)
    if low < high:
        return low, high
    raise DataError(f"{folder}: the labels have {text!r} where an age bin such as 20-29 belongs; correct it.")
