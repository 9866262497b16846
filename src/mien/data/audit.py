"""Audit a data set: unreadable pictures, duplicates, contradictory labels, and counts of faces."""

import os.path
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from mien.data.duplicates import Fingerprints, fingerprint, group_labels, near_identical
from mien.data.manifest import relative_path
from mien.data.sources import FaceSet

UNKNOWN = "unknown"


@dataclass(frozen=True)
class DuplicateGroup:
    """A group of duplicate pictures.

    Attributes:
        faces: Path, age, gender and split of each picture, in the order of the manifest.
        conflicts: Which of ``age`` and ``gender`` disagree; two age bins disagree if they do not overlap.
        splits: The parts that the pictures are in, if more than one.
    """

    faces: tuple[dict[str, str], ...]
    conflicts: tuple[str, ...]
    splits: tuple[str, ...]


DuplicateGroups: TypeAlias = tuple[DuplicateGroup, ...]


@dataclass(frozen=True)
class Audit:
    """Results of an audit.

    Attributes:
        folder: The common parent folder of all pictures; paths are relative to it.
        faces: Number of rows.
        counts: Number of faces by value of ``split``, ``gender``, ``race`` and ``age`` (decades or bins).
        common_ages: The five most frequent exact ages, with their number of faces.
        unreadable: Why a picture cannot be read, by path.
        left_out: Why a picture of the folder has no label, by path.
        misnamed: What is wrong with a file name, by path.
        identical: Groups of byte-identical files.
        near_identical: Groups of near-identical pictures in different files.
        reasons: For each row, why its picture cannot be read; empty if it can.
    """

    folder: str
    faces: int
    counts: dict[str, dict[str, int]]
    common_ages: tuple[tuple[str, int], ...]
    unreadable: dict[str, str]
    left_out: dict[str, str]
    misnamed: dict[str, str]
    identical: DuplicateGroups
    near_identical: DuplicateGroups
    reasons: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The audit without ``reasons`` as values for ``json.dumps``; groups with their summary."""
        groups = {"identical": self.identical, "near_identical": self.near_identical}
        known = {name: value for name, value in asdict(self).items() if name != "reasons"}
        return known | {
            name: summary(found) | {"members": [asdict(group) for group in found]}
            for name, found in groups.items()
        }


def audit(faces: FaceSet) -> Audit:
    """Read and compare all pictures of a data set; unreadable ones are listed and not compared."""
    table = faces.table
    folder = Path(os.path.commonpath([Path(path).parent for path in table["path"]]))
    names = [relative_path(path, folder) for path in table["path"]]
    prints = fingerprint(list(table["path"]))
    exact = table["age"].dropna()
    problems = table["problem"].fillna("") if "problem" in table else [""] * len(table)
    return Audit(
        folder=str(folder),
        faces=len(table),
        counts=_counts(table),
        common_ages=tuple((f"{age:g}", n) for age, n in Counter(exact.tolist()).most_common(5)),
        unreadable={names[i]: reason for i, reason in prints.unreadable.items()},
        left_out={relative_path(path, folder): why for path, why in faces.left_out.items()},
        misnamed={name: str(why) for name, why in zip(names, problems, strict=True) if why},
        identical=_identical(table, names, prints),
        near_identical=_near_identical(table, names, prints),
        reasons=tuple(prints.unreadable.get(i, "") for i in range(len(table))),
    )


def summary(found: Iterable[DuplicateGroup]) -> dict[str, int]:
    """Numbers of groups and faces, and of groups with conflicts in age, in gender, or in several splits."""
    found = list(found)
    return {
        "groups": len(found),
        "faces": sum(len(group.faces) for group in found),
        "age_conflicts": sum("age" in group.conflicts for group in found),
        "gender_conflicts": sum("gender" in group.conflicts for group in found),
        "across_splits": sum(bool(group.splits) for group in found),
    }


def age_label(low: float, high: float) -> str:
    """An age as text: ``26``, or ``20-29`` for a bin; empty if unknown."""
    if np.isnan(low):
        return ""
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def _counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    counts = {
        column: dict(sorted(Counter(table[column].replace("", UNKNOWN)).items()))
        for column in ("split", "gender", "race")
    }
    aged = table.dropna(subset="age_low")
    bounds = zip(aged["age_low"].tolist(), aged["age_high"].tolist(), strict=True)
    ages = Counter(
        (low // 10 * 10, low // 10 * 10 + 9) if low == high else (low, high) for low, high in bounds
    )
    known = {age_label(*age): n for age, n in sorted(ages.items())}
    unknown = {UNKNOWN: len(table) - len(aged)} if len(aged) < len(table) else {}
    return counts | {"age": known | unknown}


def _identical(table: pd.DataFrame, names: list[str], prints: Fingerprints) -> DuplicateGroups:
    groups = table.groupby(pd.Series(prints.hashes, index=table.index), sort=False).indices.values()
    return _duplicate_groups(table, names, (list(group) for group in groups if len(group) > 1))


def _near_identical(table: pd.DataFrame, names: list[str], prints: Fingerprints) -> DuplicateGroups:
    labels = group_labels(prints.hashes, near_identical(prints))
    groups = table.groupby(pd.Series(labels, index=table.index), sort=False).indices.values()
    return _duplicate_groups(
        table, names, (list(group) for group in groups if len({prints.hashes[i] for i in group}) > 1)
    )


def _duplicate_groups(table: pd.DataFrame, names: list[str], groups: Iterable[list[int]]) -> DuplicateGroups:
    found = []
    for members in groups:
        rows = table.iloc[members]
        described = zip(
            [names[i] for i in members],
            map(age_label, rows["age_low"], rows["age_high"]),
            rows["gender"],
            rows["split"],
            strict=True,
        )
        keys = ("path", "age", "gender", "split")
        splits = tuple(sorted(set(rows["split"])))
        found.append(
            DuplicateGroup(
                faces=tuple(dict(zip(keys, values, strict=True)) for values in described),
                conflicts=_conflicts(rows),
                splits=splits if len(splits) > 1 else (),
            )
        )
    return tuple(found)


def _conflicts(rows: pd.DataFrame) -> tuple[str, ...]:
    conflicts = []
    if rows["age_low"].max() > rows["age_high"].min():
        conflicts.append("age")
    if len(set(rows["gender"]) - {""}) > 1:
        conflicts.append("gender")
    return tuple(conflicts)
