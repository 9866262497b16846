"""Whom it is measured on: all faces together, and by age, gender and race."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mien.data.manifest import GENDERS
from mien.errors import DataError
from mien.evaluation.bootstrap import REPLICATES
from mien.evaluation.metrics import Measurement, cluster_numbers, face_values, measure

Measurements = Mapping[str, Measurement]


@dataclass(frozen=True, slots=True)
class Scores:
    """Every figure of an evaluation.

    Attributes:
        overall: Metric name to measurement, over all faces.
        groups: ``age``, ``gender``, ``race`` and ``race and gender`` to group to metric name to measurement;
            ages in order, the others by name. A trait that is not labelled is missing.
    """

    overall: Measurements
    groups: Mapping[str, Mapping[str, Measurements]]

    def to_json(self) -> dict[str, Any]:
        """As in ``metrics.json``: ``overall`` and ``groups``, each measurement as value, low, high and n."""
        return {
            "overall": _as_dicts(self.overall),
            "groups": {
                trait: {group: _as_dicts(measured) for group, measured in groups.items()}
                for trait, groups in self.groups.items()
            },
        }


def score(
    labels: pd.DataFrame, predictions: pd.DataFrame, *, replicates: int = REPLICATES, seed: int = 0
) -> Scores:
    """Compare predictions with labels.

    Args:
        labels: n rows as :func:`~mien.data.manifest.read_manifest` gives them.
        predictions: Their n predictions, in the same order; see :func:`~mien.evaluation.metrics.face_values`.
        replicates: Number of bootstrap resamples behind each interval.
        seed: Of the resampling.

    Raises:
        DataError: If the two are not of the same faces, or no row is labelled with an age.
    """
    _check_same_faces(labels, predictions)
    if not labels["age_low"].notna().any():
        raise DataError("No face is labelled with an age; fill 'age', or 'age_low' and 'age_high'.")
    labels = labels.reset_index(drop=True)
    values = face_values(labels, predictions.reset_index(drop=True))
    clusters = cluster_numbers(labels["group"])

    def measure_rows(rows: "pd.Series[bool]") -> Measurements:
        return measure(values[rows], clusters[rows.to_numpy()], replicates=replicates, seed=seed)

    groups = {
        trait: {group: measure_rows(names == group) for group in ordered}
        for trait, (names, ordered) in _traits(labels).items()
        if ordered
    }
    return Scores(measure_rows(pd.Series(True, index=labels.index)), groups)


def age_groups(labels: pd.DataFrame) -> "pd.Series[str]":
    """Each row's decade (``20-29``), or its bin where only a bin is known (``70-116``).

    >>> age_groups(pd.DataFrame({"age_low": [26.0, 3.0], "age_high": [26.0, 9.0]})).tolist()
    ['20-29', '3-9']
    """
    exact = labels["age_low"] == labels["age_high"]
    decade = labels["age_low"] // 10 * 10
    low = labels["age_low"].where(~exact, decade)
    high = labels["age_high"].where(~exact, decade + 9)
    return pd.Series([f"{a:.0f}-{b:.0f}" for a, b in zip(low, high, strict=True)], index=labels.index)


def ordered_age_groups(names: "pd.Series[str]") -> list[str]:
    """The age groups that occur, youngest first."""
    return sorted(names.unique(), key=lambda name: tuple(map(int, name.split("-"))))


def _check_same_faces(labels: pd.DataFrame, predictions: pd.DataFrame) -> None:
    advice = "score predictions against the manifest (and split) they were made from."
    if len(labels) != len(predictions):
        raise DataError(f"There are {len(labels)} labels but {len(predictions)} predictions; {advice}")
    for row, (labelled, predicted) in enumerate(zip(labels["path"], predictions["path"], strict=True)):
        if Path(labelled).name != Path(predicted).name:
            raise DataError(
                f"Row {row + 2} is labelled for {labelled} but predicted for {predicted}; {advice}"
            )


def _traits(labels: pd.DataFrame) -> dict[str, tuple["pd.Series[str]", list[str]]]:
    ages = age_groups(labels)
    races = sorted(set(labels["race"]) - {""})
    genders = [name for name in sorted(GENDERS) if (labels["gender"] == name).any()]
    both = (labels["race"] + ", " + labels["gender"]).where((labels["race"] != "") & (labels["gender"] != ""))
    return {
        "age": (ages, ordered_age_groups(ages)),
        "gender": (labels["gender"], genders),
        "race": (labels["race"], races),
        "race and gender": (both, sorted(both.dropna().unique())),
    }


def _as_dicts(measured: Measurements) -> dict[str, dict[str, float]]:
    return {name: asdict(measurement) for name, measurement in measured.items()}
