"""The report's plots, as matplotlib figures that do not use pyplot's global state."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from mien.data.plots import literally
from mien.evaluation.groups import dashed
from mien.evaluation.metrics import Measurement, Metric

SIZE = (5.8, 5.2)
"""Size of all figures in inches; equal, so that the letters of neighbouring plots have the same size."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a figure, in CSS notation."""

    paper: str
    ink: str
    faint: str
    first: str
    second: str


LIGHT = Theme(paper="#ffffff", ink="#1d2430", faint="#dfe3ea", first="#2463c4", second="#c2521b")
DARK = Theme(paper="#171b22", ink="#e4e8ef", faint="#363d49", first="#79aef7", second="#f0965e")


def age_scatter(age: npt.ArrayLike, predicted: npt.ArrayLike, theme: Theme = LIGHT) -> Figure:
    """Plot predicted against labelled age, one dot per face, with the median of every five years of age.

    Args:
        age: (n,) labelled years.
        predicted: (n,) predicted years.
        theme: Colours.
    """
    x, y = np.asarray(age, np.float64), np.asarray(predicted, np.float64)
    figure, axes = _figure(theme)
    end = max(10.0, float(np.ceil(max(x.max(), y.max()) / 10)) * 10)
    axes.plot([0, end], [0, end], color=theme.ink, linewidth=1, linestyle=(0, (5, 4)), label="perfect")
    jitter = np.random.default_rng(0).uniform(-0.4, 0.4, len(x))  # else dots at whole years overlap
    opacity = float(np.clip(25 / np.sqrt(len(x)), 0.12, 0.8))
    axes.scatter(x + jitter, y, s=9, alpha=opacity, color=theme.first, linewidths=0, label="a face")
    middle = pd.Series(y).groupby(5 * np.floor(x / 5) + 2).agg(["median", "size"])
    middle = middle[middle["size"] >= 5]
    axes.plot(middle.index, middle["median"], color=theme.second, linewidth=2, label="median of five years")
    axes.set(xlim=(-1, end), ylim=(-1, end), aspect="equal")
    axes.set(xlabel="Labelled age (years)", ylabel="Predicted apparent age (years)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MultipleLocator(10 if end <= 100 else 20))
    legend = axes.legend(loc="upper left", frameon=False, labelcolor=theme.ink)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
    return figure


def error_by_age(groups: Mapping[str, Mapping[str, Measurement]], theme: Theme = LIGHT) -> Figure:
    """Plot the mean absolute error and bias of each age group, with their intervals.

    Args:
        groups: Measurements by age group, youngest first; groups without ``mae`` are left out.
        theme: Colours.
    """
    shown = {name: measured for name, measured in groups.items() if "mae" in measured}
    figure, axes = _figure(theme)
    places = np.arange(len(shown))
    axes.axhline(0, color=theme.ink, linewidth=1)
    for metric, label, shift, marker, colour in (
        ("mae", "mean absolute error", -0.1, "o", theme.first),
        ("bias", "bias (predicted minus labelled)", 0.1, "D", theme.second),
    ):
        values = [measured[metric] for measured in shown.values()]
        centre = np.array([v.value for v in values])
        ends = np.array([[v.low for v in values], [v.high for v in values]])
        axes.errorbar(
            places + shift,
            centre,
            yerr=np.abs(ends - centre),
            fmt=marker,
            color=colour,
            capsize=3,
            markersize=5.5,
            label=label,
        )
    names = [f"{dashed(name)}  ({m['mae'].n:,})" for name, m in shown.items()]
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.grid(axis="x", visible=False)
    axes.set(xlabel="Labelled age in years (faces)", ylabel="Years")
    axes.legend(frameon=False, labelcolor=theme.ink, loc="best")
    return figure


def confusion(
    counts: npt.ArrayLike, rows: Sequence[str], columns: Sequence[str], trait: str, theme: Theme = LIGHT
) -> Figure:
    """Plot a confusion matrix; the shade of a cell is its share of the row.

    Args:
        counts: (rows, columns) numbers of faces.
        rows: Labelled classes.
        columns: Predicted classes.
        trait: The classified trait, e.g. ``gender``.
        theme: Colours.
    """
    table = np.asarray(counts, np.int64)
    shares = table / np.maximum(1, table.sum(axis=1, keepdims=True))
    few = len(columns) <= 3
    figure, axes = _figure(theme)
    shades = LinearSegmentedColormap.from_list("shades", [theme.paper, theme.first])
    axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
    axes.grid(visible=False)
    for (i, j), count in np.ndenumerate(table):
        colour = _readable_on(shades(shares[i, j]), theme)
        share = f"{100 * shares[i, j]:.1f} %\n{count:,}" if few else f"{100 * shares[i, j]:.0f}"
        axes.text(j, i, share if count or few else "", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(columns)), [dashed(name) for name in columns], rotation=0 if few else 45)
    axes.set_yticks(range(len(rows)), [dashed(name) for name in rows])
    axes.set(xlabel=f"Predicted {trait}", ylabel=f"Labelled {trait}" + ("" if few else " (% of the row)"))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def heat_map(values: Mapping[str, Measurement], metric: Metric, least: int, theme: Theme = LIGHT) -> Figure:
    """Plot a metric by age (rows) and the rest of a group's name (columns); darker cells are worse.

    Args:
        values: Measurements by group, such as ``20-29, Black, female``, in order of age. At least one group
            has ``least`` faces or more.
        metric: The metric.
        least: Least number of faces of a shaded cell.
        theme: Colours.
    """
    cells = {tuple(name.split(", ", 1)): measured for name, measured in values.items()}
    rows, columns = list(dict.fromkeys(row for row, _ in cells)), sorted({column for _, column in cells})
    badness = np.full((len(rows), len(columns)), np.nan)
    for (row, column), measured in cells.items():
        if measured.n >= least:
            badness[rows.index(row), columns.index(column)] = metric.badness(measured.value)
    mixed = LinearSegmentedColormap.from_list("shades", [theme.paper, theme.second])
    shades = mixed.with_extremes(bad=theme.paper)
    least_bad, worst = np.nanmin(badness), np.nanmax(badness)
    shown = (badness - least_bad) / max(worst - least_bad, 1e-9)
    figure, axes = _figure(theme)
    axes.imshow(shown, cmap=shades, vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    for (row, column), measured in cells.items():
        i, j = rows.index(row), columns.index(column)
        shaded = bool(np.isfinite(badness[i, j]))
        colour = _readable_on(shades(shown[i, j]), theme) if shaded else theme.ink
        text = f"{100 * measured.value:.0f}" if metric.unit == "share" else f"{measured.value:.1f}"
        opacity = 1 if shaded else 0.4
        axes.text(j, i, text, ha="center", va="center", color=colour, alpha=opacity, fontsize=9)
    names = [literally(name) for name in columns]
    axes.set_xticks(range(len(columns)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), [dashed(name) for name in rows])
    unit = "%" if metric.unit == "share" else metric.unit
    axes.set(xlabel=f"{metric.label}, {unit} (grey: fewer than {least} faces)", ylabel="Labelled age (years)")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def to_png(figure: Figure) -> bytes:
    """Render a figure as the content of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    return file.getvalue()


def _readable_on(shade: tuple[float, float, float, float], theme: Theme) -> str:
    """Return ink or paper, whichever differs more from the shade in luminance (ITU-R BT.601)."""

    def brightness(colour: str | tuple[float, float, float, float]) -> float:
        return float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114)))

    return max((theme.ink, theme.paper), key=lambda text: abs(brightness(text) - brightness(shade)))


def _figure(theme: Theme) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained", facecolor=theme.paper)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor=theme.paper)
    axes.tick_params(colors=theme.ink)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(theme.faint)
    axes.grid(color=theme.faint, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes
