"""The report: one self-contained page, its plots as PNGs, and the figures as JSON."""

import base64
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jinja2
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from mien.data.manifest import GENDERS
from mien.errors import DataError
from mien.evaluation.bootstrap import REPLICATES
from mien.evaluation.groups import (
    LEAST_RANKED,
    YOUNG_ADULT,
    Gap,
    GroupedMeasurements,
    Measurements,
    age_groups,
    dashed,
    group_order,
)
from mien.evaluation.metrics import METRICS, Measurement, Metric
from mien.evaluation.plots import DARK, LIGHT, Theme, age_scatter, confusion, error_by_age, heat_map, to_png
from mien.evaluation.result import Evaluation
from mien.evaluation.thresholds import CHALLENGE_AGES, FALSE_ADULT, FALSE_MINOR, LEGAL_AGE, THRESHOLD_METRICS
from mien.evaluation.worst import WorstFace, worst_faces
from mien.files import written_beside

OUTSIDE = "none"
MEANINGS = {
    "mae": "mean absolute error: how many years the estimate is off, on average",
    "rmse": "root of the mean squared error; large errors weigh more",
    "mse": "mean squared error",
    "cs5": "share of faces whose estimate is at most 5 years off",
    "bias": "mean of predicted minus labelled age; above 0 means estimated too old",
    "bin_accuracy": "share of faces whose estimate, in whole years, falls into the labelled age bin",
    "gender_accuracy": "share of faces whose likelier gender is the labelled one",
    "coverage": "share of labelled ages that lie in the predicted interval",
    "width": "mean width of the predicted age interval",
    "detection_rate": "share of readable pictures in which a face was found",
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of the report, for a light and a dark page.

    Attributes:
        name: Name of its PNG file, without the extension.
        title: Heading.
        alt: Alternative text.
        light: Content of the PNG file for a light page.
        dark: Content of the PNG file for a dark page.
    """

    name: str
    title: str
    alt: str
    light: bytes
    dark: bytes


def write_report(evaluation: Evaluation, folder: Path, worst: int = 0) -> None:
    """Write ``index.html``, ``metrics.json`` and one PNG per plot.

    Args:
        evaluation: The evaluation to report.
        folder: Folder to write to.
        worst: Maximum number of faces to show in each list of worst faces.

    Raises:
        DataError: If a file cannot be written.
    """
    plots = make_plots(evaluation)
    files = {f"{plot.name}.png": plot.light for plot in plots}
    files["metrics.json"] = (json.dumps(evaluation.to_json(), indent=2) + "\n").encode()
    files["index.html"] = render_page(evaluation, plots, worst_faces(evaluation, worst)).encode()
    try:
        for name, content in files.items():
            with written_beside(folder / name) as file:
                file.write_bytes(content)
    except OSError as error:
        raise DataError(f"The report in {folder} cannot be written ({error.strerror}).") from None


def make_plots(evaluation: Evaluation) -> list[Plot]:
    """Draw the plots for which there are labels and predictions."""
    labels, predictions = evaluation.labels, evaluation.predictions
    found = predictions["detected"].to_numpy(bool)
    exact = found & (labels["age_low"] == labels["age_high"]).to_numpy(bool)
    gendered = found & (labels["gender"] != "").to_numpy(bool)
    plots = []
    if exact.any():
        plots.append(_age_plot(labels[exact], predictions[exact]))
        plots.append(_error_plot(evaluation.scores.groups["age"]))
    binned = found & (labels["age_low"] < labels["age_high"]).to_numpy(bool)
    if binned.any() and _disjoint(labels):
        plots.append(_bin_plot(labels[binned], predictions[binned]))
    if gendered.any():
        plots.append(_gender_plot(labels[gendered], predictions[gendered]))
    return plots + _heat_plots(evaluation.scores)


def render_page(
    evaluation: Evaluation, plots: list[Plot], worst: Sequence[tuple[str, Sequence[WorstFace]]] = ()
) -> str:
    """Render the self-contained page."""
    metrics = shown_metrics(evaluation)
    thresholds = evaluation.scores.thresholds
    finest = list(thresholds.groups)[-1] if thresholds and thresholds.groups else ""
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            evaluation=evaluation,
            scores=evaluation.scores,
            metrics=metrics,
            columns=[metric for metric in metrics if metric.name != "mse"],
            least_ranked=LEAST_RANKED,
            legal_age=LEGAL_AGE,
            young_adult=YOUNG_ADULT,
            challenge_ages=CHALLENGE_AGES,
            rates=(FALSE_ADULT, FALSE_MINOR),
            threshold_metrics={metric.name: metric for metric in THRESHOLD_METRICS},
            finest=finest,
            worst_rates={g.metric.name: g.worst for g in thresholds.gaps(finest)}
            if thresholds and finest
            else {},
            meanings=MEANINGS,
            resamples=REPLICATES,
            plots=plots,
            worst=worst,
        )
    )


def page_environment() -> jinja2.Environment:
    """Return the Jinja environment of this package's page templates."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mien.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "figure": format_value,
        "interval": format_interval,
        "difference": format_difference,
        "distance": _distance,
        "dashed": dashed,
        "data_uri": _data_uri,
    }
    return environment


def format_value(measurement: Measurement, metric: Metric) -> str:
    """Format a value; shares get a percent sign.

    >>> format_value(Measurement(4.5, 4.36, 4.71, 10), METRICS[0])
    '4.50'
    """
    unit = "\N{NO-BREAK SPACE}%" if metric.unit == "share" else ""
    return _number(measurement.value, metric) + unit


def format_interval(measurement: Measurement, metric: Metric) -> str:
    """Format the interval around a value.

    >>> format_interval(Measurement(4.5, 4.36, 4.71, 10), METRICS[0])
    '4.36 to 4.71'
    """
    if math.isnan(measurement.low):
        return "\N{EN DASH}"
    return f"{_number(measurement.low, metric)} to {_number(measurement.high, metric)}"


def format_difference(measurement: Measurement, metric: Metric) -> str:
    """Format a difference between two models with its interval; shares are in percentage points.

    >>> format_difference(Measurement(-0.04, -0.11, 0.03, 10), METRICS[0])
    '−0.04 (−0.11 to +0.03)'
    """
    scale, digits = (100, 1) if metric.unit == "share" else (1, 2)
    numbers = (measurement.value, measurement.low, measurement.high)
    value, low, high = (f"{scale * number:+.{digits}f}".replace("-", "\N{MINUS SIGN}") for number in numbers)
    return value if math.isnan(measurement.low) else f"{value} ({low} to {high})"


def _distance(gap: Gap) -> str:
    share = gap.metric.unit == "share"
    return f"{100 * gap.size:.1f} points" if share else f"{gap.size:.2f} {gap.metric.unit}"


def _number(value: float, metric: Metric) -> str:
    if metric.unit == "share":
        return f"{100 * value:.1f}"
    text = f"{value:+.2f}" if metric.name == "bias" else f"{value:.2f}"
    return text.replace("-", "\N{MINUS SIGN}")  # has the width of the plus sign


def shown_metrics(evaluation: Evaluation) -> list[Metric]:
    """Return the metrics that are defined, without the detection rate if faces were not detected."""
    hidden = {"detection_rate"} if evaluation.faces == "aligned" else set()
    return [m for m in METRICS if m.name in evaluation.scores.overall and m.name not in hidden]


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _age_plot(labels: pd.DataFrame, predictions: pd.DataFrame) -> Plot:
    draw = partial(age_scatter, labels["age_low"], predictions["age"])
    alt = "Predicted against labelled age; the nearer to the diagonal, the better."
    return _plot("age_scatter", "Predicted against labelled age", alt, draw)


def _error_plot(groups: Mapping[str, Measurements]) -> Plot:
    alt = "Mean absolute error and bias for each decade of age, with 95 % bootstrap intervals."
    return _plot("error_by_age", "Error by age", alt, partial(error_by_age, groups))


def _disjoint(labels: pd.DataFrame) -> bool:
    """Whether the bins of each data set are disjoint, so that a prediction belongs to one bin only."""
    bins = labels[labels["age_low"] < labels["age_high"]].drop_duplicates(["dataset", "age_low", "age_high"])
    in_order = bins.sort_values("age_low").groupby("dataset", sort=False)
    return not (bins["age_low"] <= in_order["age_high"].shift().reindex(bins.index)).any()


def _bin_plot(labels: pd.DataFrame, predictions: pd.DataFrame) -> Plot:
    labelled = age_groups(labels)
    rows = sorted(labelled.unique(), key=group_order)
    predicted = bins_of(predictions["age"].to_numpy(np.float64), rows)
    columns = [*rows, OUTSIDE] if OUTSIDE in predicted else rows
    counts = tally(list(labelled), predicted, rows, columns)
    alt = "Share of each labelled age bin that was predicted to be in each bin."
    return _plot("age_bins", "Age bins", alt, partial(confusion, counts, rows, columns, "age"))


def _gender_plot(labels: pd.DataFrame, predictions: pd.DataFrame) -> Plot:
    names = sorted(GENDERS)
    predicted = ["female" if p >= 0.5 else "male" for p in predictions["p_female"]]
    counts = tally(list(labels["gender"]), predicted, names, names)
    alt = "Numbers of faces labelled female and male that were predicted to be perceived as each."
    draw = partial(confusion, counts, names, names, "gender")
    return _plot("gender_confusion", "Perceived gender", alt, draw)


def _heat_plots(scores: GroupedMeasurements) -> list[Plot]:
    """Draw heat maps of the age (error, or share of correct bins) and of the gender accuracy by group."""
    groups = scores.groups[scores.crossed] if scores.crossed else {}
    plots = []
    for name, metrics in (("heat_age", ("mae", "bin_accuracy")), ("heat_gender", ("gender_accuracy",))):
        for metric in [m for m in METRICS if m.name in metrics and m.name in scores.overall][:1]:
            values = {group: found[metric.name] for group, found in groups.items() if metric.name in found}
            if sum(value.n >= LEAST_RANKED for value in values.values()) > 1:
                alt = f"{metric.label} of each group of at least {LEAST_RANKED} faces; the darker, the worse."
                draw = partial(heat_map, values, metric, LEAST_RANKED)
                plots.append(_plot(name, f"{metric.label} by {scores.crossed}", alt, draw))
    return plots


def tally(
    labelled: Sequence[str], predicted: Sequence[str], rows: Sequence[str], columns: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Count the faces of each labelled class (rows) by their predicted class (columns).

    >>> tally(["a", "a", "b"], ["a", "b", "b"], "ab", "ab").tolist()
    [[1, 1], [0, 1]]
    """
    pairs = Counter(zip(labelled, predicted, strict=True))
    return np.array([[pairs[row, column] for column in columns] for row in rows], np.int64)


def bins_of(ages: npt.NDArray[np.float64], bins: Sequence[str]) -> list[str]:
    """Return the first bin that contains each age, rounded to whole years as in the metrics, or ``none``.

    >>> bins_of(np.array([2.4, 2.5, 40.0]), ["0-2", "3-9"])
    ['0-2', '3-9', 'none']
    """
    nearest = np.floor(ages + 0.5)
    bounds = [tuple(map(int, name.split("-"))) for name in bins]
    inside = [(low <= nearest) & (nearest <= high) for low, high in bounds]
    return [str(name) for name in np.select(inside, list(bins), OUTSIDE)]


def _plot(name: str, title: str, alt: str, draw: Callable[[Theme], Figure]) -> Plot:
    return Plot(name, title, alt, to_png(draw(LIGHT)), to_png(draw(DARK)))
