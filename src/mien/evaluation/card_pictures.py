"""Plots of a model card as SVG: metrics with their confidence intervals.

Embedded in a page, they use the colours and the typeface of its CSS variables. As separate files they use
colours that are readable on both white and black.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mien.evaluation.groups import dashed

Json = Mapping[str, Any]

FEWEST = 10
"""Least number of faces of a group in a plot; the wide intervals of smaller groups would hide the others."""

STEPS = (1, 2, 5, 10, 20, 25, 50)
MOST_TICKS = 7
WIDTH, LEFT, RIGHT, TOP, ROW = 380, 66, 364, 74, 27
"""Width of a picture, left, right and upper edge of its plot area, and height of a row, in pixels."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Content of a picture.

    Attributes:
        title: Heading.
        unit: Description and unit of the values.
        metric: Name of the metric in an evaluation.
        by_age: True for age bands as rows and data sets as series; False for races as rows and genders as
            series.
        share: Whether values are shares, to be shown in percent.
        line: A reference value, if any; ``aim`` is the intended coverage of the intervals.
    """

    title: str
    unit: str
    metric: str
    by_age: bool = True
    share: bool = False
    line: float | str | None = None


PICTURES: Mapping[str, Picture] = {
    "error-by-age": Picture("Error by age", "mean absolute error, years", "mae", line=0),
    "bias-by-age": Picture(
        "Too young or too old", "mean of estimated minus labelled age, years", "bias", line=0
    ),
    "coverage-by-age": Picture(
        "Does the interval hold the age?",
        "faces whose labelled age lies in it, %",
        "coverage",
        share=True,
        line="aim",
    ),
    "gender-by-age": Picture(
        "Perceived gender by age", "faces labelled as people did, %", "gender_accuracy", share=True
    ),
    "error-by-group": Picture("Error by group", "mean absolute error, years", "mae", by_age=False, line=0),
    "gender-by-group": Picture(
        "Perceived gender by group",
        "faces labelled as people did, %",
        "gender_accuracy",
        by_age=False,
        share=True,
    ),
}

Series = Mapping[str, Json]
"""Measurement by row."""


def draw_pictures(evaluations: Mapping[str, Json], titles: Mapping[str, str]) -> dict[str, str]:
    """Draw all pictures for which some evaluation has the metric.

    Args:
        evaluations: Content of the ``metrics.json`` of each data set, by its name. The first one with the
            metric determines the rows.
        titles: Titles of data sets by name.

    Returns:
        SVG by the picture's name.
    """
    drawn = {}
    for name, picture in PICTURES.items():
        series = _by_age(picture, evaluations, titles) if picture.by_age else _by_group(picture, evaluations)
        if any(series.values()):
            aims = [e["interval_coverage_aimed_at"] for e in evaluations.values()]
            drawn[name] = _draw(picture, series, next(filter(None, aims), None))
    return drawn


def _by_age(
    picture: Picture, evaluations: Mapping[str, Json], titles: Mapping[str, str]
) -> dict[str, Series]:
    """Series of the data sets that have no other age bands than the first."""
    all_series = {
        titles.get(name, name): _measured(e, "age", picture.metric) for name, e in evaluations.items()
    }
    known = {name: series for name, series in all_series.items() if series}
    rows = next(iter(known.values()), {})
    return {name: series for name, series in known.items() if series.keys() <= rows.keys()}


def _by_group(picture: Picture, evaluations: Mapping[str, Json]) -> dict[str, Series]:
    """Series of the genders in the first data set with labels of race and gender."""
    for evaluation in evaluations.values():
        if crossed := _measured(evaluation, "race and gender", picture.metric):
            genders = dict.fromkeys(name.rpartition(", ")[2] for name in crossed)
            return {
                gender: {
                    name.rpartition(", ")[0]: m for name, m in crossed.items() if name.endswith(f", {gender}")
                }
                for gender in genders
            }
    return {}


def _measured(evaluation: Json, trait: str, metric: str) -> Series:
    groups = evaluation["groups"].get(trait, {})
    return {
        name: figures[metric]
        for name, figures in groups.items()
        if metric in figures and figures[metric]["n"] >= FEWEST and figures[metric]["low"] is not None
    }


def _draw(picture: Picture, series: Mapping[str, Series], aim: float | None) -> str:
    factor = 100 if picture.share else 1
    line = aim if picture.line == "aim" else picture.line
    rows = list(dict.fromkeys(row for values in series.values() for row in values))
    ends = [factor * m[end] for values in series.values() for m in values.values() for end in ("low", "high")]
    ticks = _ticks(min(ends), max(ends), None if line is None else factor * float(line))
    scale = (RIGHT - LEFT) / (ticks[-1] - ticks[0])

    def x(value: float) -> float:
        return round(LEFT + (factor * value - ticks[0]) * scale, 1)

    marks = [
        {
            "kind": kind,
            "x": [x(m["low"]), x(m["value"]), x(m["high"])],
            "y": TOP + ROW * rows.index(row) + ROW / 2 + 12 * ((kind + 0.5) / len(series) - 0.5),
        }
        for kind, values in enumerate(series.values())
        for row, m in values.items()
    ]
    svg: str = _template().render(
        picture=picture,
        said=_said(picture, series, factor),
        names=list(series),
        rows=[dashed(row) for row in rows],
        ticks=[(x(tick / factor), f"{tick:g}".replace("-", "−")) for tick in ticks],
        line=None if line is None else x(float(line)),
        marks=marks,
        width=WIDTH,
        left=LEFT,
        top=TOP,
        row=ROW,
    )
    return svg


def _ticks(low: float, high: float, line: float | None) -> list[int]:
    """Round axis ticks that span all values and the reference line."""
    if line is not None:
        low, high = min(low, line), max(high, line)
    step = next((step for step in STEPS if (high - low) / step <= MOST_TICKS - 2), STEPS[-1])
    return [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _said(picture: Picture, series: Mapping[str, Series], factor: int) -> str:
    """Describe the picture in words, for screen readers."""
    parts = [
        f"{name}: " + ", ".join(f"{dashed(row)} {factor * m['value']:.1f}" for row, m in values.items())
        for name, values in series.items()
    ]
    return f"{picture.title}: {picture.unit}. {'; '.join(parts)}."


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("mien.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("intervals.svg.j2")
