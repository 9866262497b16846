"""Metrics for all faces together, and by age, gender and race."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mien.data.manifest import GENDERS
from mien.errors import DataError
from mien.evaluation.bootstrap import REPLICATES
from mien.evaluation.metrics import METRICS, Measurement, Metric, cluster_numbers, face_values, measure
from mien.evaluation.thresholds import LEGAL_AGE, THRESHOLD_METRICS, threshold_values

Measurements = Mapping[str, Measurement]

LEAST_RANKED = 30
"""Least number of faces for a group to be ranked as best or worst; smaller groups are ranked by chance."""

CROSSED = ("age, race and gender", "age and race", "age and gender")
"""Names of the finest division into groups; an evaluation has the one for the traits that are labelled."""

CROSSED_WITH = {"race and gender": CROSSED[0]}
"""Names of combinations of age with another trait that are not simply "age and TRAIT"."""

YOUNG = 5
"""Years; younger children are a separate group, since the gender of small children is hard to recognise."""


YOUNG_ADULT = 30
"""Years; younger ages are also grouped in steps of five, because faces change fastest at these ages."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Gap between the best and the worst group in a metric.

    Attributes:
        metric: The metric.
        worst: Name of the group with the worst value.
        best: Name of the group with the best value.
        size: Absolute difference of the two values, in the metric's unit.
    """

    metric: Metric
    worst: str
    best: str
    size: float


@dataclass(frozen=True, slots=True)
class GroupedMeasurements:
    """The same metrics over all faces and over groups of them.

    Attributes:
        metrics: The metrics.
        overall: Measurements over all faces, by metric name.
        groups: Measurements by trait, group and metric name. A trait that is not labelled is missing.
    """

    metrics: Sequence[Metric]
    overall: Measurements
    groups: Mapping[str, Mapping[str, Measurements]]

    @property
    def crossed(self) -> str | None:
        """The name from :data:`CROSSED` that this evaluation has; None without one."""
        return next((trait for trait in CROSSED if trait in self.groups), None)

    def gaps(self, trait: str) -> list[Gap]:
        """Find the worst and the best group in each metric.

        Only groups of at least :data:`LEAST_RANKED` faces count. Metrics in which no two such groups differ
        are left out.
        """
        found = []
        for metric in self.metrics:
            ranked = {
                group: measured[metric.name].value
                for group, measured in self.groups[trait].items()
                if metric.name in measured and measured[metric.name].n >= LEAST_RANKED
            }
            if len(ranked) > 1 and metric.better != "neither":
                ordered = sorted(ranked, key=lambda group: metric.badness(ranked[group]))
                best, worst = ordered[0], ordered[-1]
                if ranked[best] != ranked[worst]:
                    found.append(Gap(metric, worst, best, abs(ranked[worst] - ranked[best])))
        return found

    def to_json(self) -> dict[str, Any]:
        """Return ``overall``, ``groups`` (each measurement as value, low, high and n) and ``gaps``."""
        return {
            "overall": as_json(self.overall),
            "groups": {
                trait: {group: as_json(measured) for group, measured in groups.items()}
                for trait, groups in self.groups.items()
            },
            "gaps": {
                trait: {
                    gap.metric.name: {"worst": gap.worst, "best": gap.best, "gap": gap.size}
                    for gap in self.gaps(trait)
                }
                for trait in self.groups
            },
        }


@dataclass(frozen=True, slots=True)
class Scores(GroupedMeasurements):
    """All figures of an evaluation.

    The traits are ``age``, ``gender``, ``race``, ``race and gender`` and ``age, race and gender`` (or ``age
    and race`` or ``age and gender`` if the other one is not labelled). Groups are in order of age, else of
    name.

    Attributes:
        thresholds: Rates of false adults and false minors; None unless there are both minors and adults.
        young: Measurements of faces with an exact age below 30, by five years of age, such as ``15-19``.
    """

    thresholds: GroupedMeasurements | None = None
    young: Mapping[str, Measurements] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the scores as in ``metrics.json``, with ``thresholds`` (None if missing) and ``young``."""
        thresholds = {"legal_age": LEGAL_AGE, **self.thresholds.to_json()} if self.thresholds else None
        young = {band: as_json(measured) for band, measured in self.young.items()}
        return {**GroupedMeasurements.to_json(self), "thresholds": thresholds, "young": young}


def score(
    labels: pd.DataFrame, predictions: pd.DataFrame, *, replicates: int = REPLICATES, seed: int = 0
) -> Scores:
    """Compare predictions with labels.

    Args:
        labels: n rows as returned by :func:`~mien.data.manifest.read_manifest`.
        predictions: Their n predictions, in the same order; see :func:`~mien.evaluation.metrics.face_values`.
        replicates: Number of bootstrap resamples for each interval.
        seed: Seed of the resampling.

    Raises:
        DataError: If the two are not of the same faces, or no row has a label.
    """
    _check_same_faces(labels, predictions)
    if not (labels["age_low"].notna() | (labels["gender"] != "")).any():
        raise DataError("No face has a label; fill 'age', or 'age_low' and 'age_high', or 'gender'.")
    labels = labels.reset_index(drop=True)
    predictions = predictions.reset_index(drop=True)
    clusters = cluster_numbers(labels["group"])
    traits = _traits(labels)

    def over_groups(values: pd.DataFrame, metrics: Sequence[Metric], traits: Traits) -> GroupedMeasurements:
        measure_some = partial(measure, metrics=metrics, replicates=replicates, seed=seed)
        groups = {
            trait: {
                group: measure_some(values[rows], clusters[rows.to_numpy()])
                for group, rows in ((group, names == group) for group in ordered)
            }
            for trait, (names, ordered) in traits.items()
        }
        return GroupedMeasurements(metrics, measure_some(values, clusters), groups)

    values = face_values(labels, predictions)
    measured = over_groups(values, METRICS, traits)
    young = over_groups(values, METRICS, {"age": _young_bands(labels)}).groups["age"]
    ageless = {trait: groups for trait, groups in traits.items() if not trait.startswith("age")}
    rates = over_groups(threshold_values(labels, predictions), THRESHOLD_METRICS, ageless)
    both_kinds = len(rates.overall) == len(THRESHOLD_METRICS)
    return Scores(METRICS, measured.overall, measured.groups, rates if both_kinds else None, young)


def age_groups(labels: pd.DataFrame) -> "pd.Series[str]":
    """Return each row's decade (``20-29``; the first is halved), or its bin (``70-116``).

    It is NaN where the age is not known.

    >>> age_groups(pd.DataFrame({"age_low": [26.0, 4.0, 5.0, 3], "age_high": [26.0, 4.0, 5.0, 9]})).tolist()
    ['20-29', '0-4', '5-9', '3-9']
    """
    exact = labels["age_low"] == labels["age_high"]
    young = labels["age_low"] < YOUNG
    first = (labels["age_low"] // 10 * 10).where((labels["age_low"] >= 10) | young, YOUNG)
    last = (labels["age_low"] // 10 * 10 + 9).where(~young, YOUNG - 1)
    low, high = labels["age_low"].where(~exact, first), labels["age_high"].where(~exact, last)
    names = [f"{a:.0f}-{b:.0f}" for a, b in zip(low, high, strict=True)]
    return pd.Series(names, index=labels.index, dtype=object).where(labels["age_low"].notna())


def group_order(name: str) -> tuple[int, int, str]:
    """Sort key of groups: by age if the name begins with one, then by name.

    >>> sorted(["10-19, male", "5-9, male", "10-19, female"], key=group_order)
    ['5-9, male', '10-19, female', '10-19, male']
    """
    ages, _, others = name.partition(", ")
    low, dash, high = ages.partition("-")
    if dash and low.isdecimal() and high.isdecimal():
        return int(low), int(high), others
    return 0, 0, name


def dashed(group: str) -> str:
    """Return a group's name with an en dash instead of a hyphen between the ages that it begins with.

    >>> dashed("20-29, Black, female")
    '20–29, Black, female'
    """
    return re.sub(r"^(\d+)-", "\\1\N{EN DASH}", group)


def _check_same_faces(labels: pd.DataFrame, predictions: pd.DataFrame) -> None:
    advice = "score predictions against the manifest (and split) they were made from."
    if len(labels) != len(predictions):
        raise DataError(f"There are {len(labels)} labels but {len(predictions)} predictions; {advice}")
    for row, (labelled, predicted) in enumerate(zip(labels["path"], predictions["path"], strict=True)):
        if Path(labelled).name != Path(predicted).name:
            raise DataError(
                f"Row {row + 2} is labelled for {labelled} but predicted for {predicted}; {advice}"
            )


def _young_bands(labels: pd.DataFrame) -> tuple["pd.Series[str]", Sequence[str]]:
    """Groups of five years of exact age below 30, where decades would hide biases."""
    young = (labels["age_low"] == labels["age_high"]) & (labels["age_low"] < YOUNG_ADULT)
    first = labels["age_low"] // 5 * 5
    names = pd.Series([f"{a:.0f}-{a + 4:.0f}" for a in first], index=labels.index, dtype=object).where(young)
    return names, sorted(names.dropna().unique(), key=group_order)


Traits = Mapping[str, tuple["pd.Series[str]", Sequence[str]]]
"""By trait: each row's group, and the groups in order."""


def _traits(labels: pd.DataFrame) -> Traits:
    """Traits that are labelled in any row."""
    ages = age_groups(labels)
    single = {
        trait: labels[trait].where(labels[trait].isin(names))
        for trait, names in (("gender", GENDERS), ("race", set(labels["race"]) - {""}))
        if labels[trait].isin(names).any()
    }
    groups = dict(single)
    if len(single) == 2:
        groups["race and gender"] = single["race"] + ", " + single["gender"]
    if ages.notna().any():
        finest = list(groups)[2:] or list(groups)
        crossed = {CROSSED_WITH.get(t, f"age and {t}"): ages + ", " + groups[t] for t in finest}
        groups = {"age": ages, **groups, **crossed}
    return {
        trait: (names, sorted(names.dropna().unique(), key=group_order)) for trait, names in groups.items()
    }


def as_json(measured: Measurements) -> dict[str, dict[str, float | None]]:
    """Return each measurement as value, low, high and n; low and high are None without an interval."""
    return {
        name: {key: None if math.isnan(value) else value for key, value in asdict(measurement).items()}
        for name, measurement in measured.items()
    }
