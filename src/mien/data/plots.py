"""Plot the distributions of ages and genders in a data set and its parts."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.data.audit import UNKNOWN
from mien.data.manifest import GENDERS
from mien.errors import DataError
from mien.files import written_beside

PARTS = ("train", "validation", "test")
_COLOURS = {"train": "#4477aa", "validation": "#ccbb44", "test": "#ee6677"}
_WHOLE = "#4477aa"
_STEP = 5
_GENDERS = sorted(GENDERS)
_AGE = "age in years"


def distribution_figure(table: pd.DataFrame, title: str) -> Figure:
    """Draw the ages and genders of all faces and, if there is more than one part, of each part.

    Args:
        table: A checked manifest.
        title: A line above the plots.
    """
    parts = [part for part in PARTS if (table["split"] == part).any()]
    compare = len(parts) > 1
    figure = Figure(figsize=(11, 7 if compare else 3.8), layout="constrained")
    axes = figure.subplots(2 if compare else 1, 2, width_ratios=(3, 1), squeeze=False)
    figure.suptitle(literally(title))
    _plot_ages(axes[0, 0], table)
    _plot_genders(axes[0, 1], table)
    if compare:
        by_part = {part: table[table["split"] == part] for part in parts}
        _plot_ages_of_parts(axes[1, 0], by_part)
        _plot_genders_of_parts(axes[1, 1], by_part)
    return figure


def literally(text: str) -> str:
    r"""Escape dollar signs, since Matplotlib reads text between two of them as TeX.

    >>> print(literally("my$faces"))
    my\$faces
    """
    return text.replace("$", r"\$")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's extension.

    Raises:
        DataError: If the format is unknown, or the file cannot be written.
    """
    try:
        with written_beside(path) as partial:
            figure.savefig(partial, dpi=120)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror or error}); choose another --output."
        ) from None
    except ValueError:
        raise DataError(f"{path} does not end like a picture; name it .png, .svg or .pdf.") from None


def faces_by_year(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Number of faces at each year of age from 0; a face with an age bin is spread evenly over the bin.

    Returns:
        (highest age + 1,) array that sums to the number of faces whose age is known.
    """
    table = table.dropna(subset="age_low")
    low = np.floor(table["age_low"].to_numpy()).astype(int)
    high = np.floor(table["age_high"].to_numpy()).astype(int)
    edges = np.zeros(int(high.max(initial=0)) + 2)
    share = 1 / (high - low + 1)
    np.add.at(edges, low, share)
    np.add.at(edges, high + 1, -share)
    return np.cumsum(edges)[:-1]


def _plot_ages(axes: Axes, table: pd.DataFrame) -> None:
    years = faces_by_year(table)
    axes.stairs(years, np.arange(len(years) + 1) - 0.5, fill=True, color=_WHOLE)
    binned = bool((table["age_low"] < table["age_high"]).any())
    axes.set(title="Ages", xlabel=_AGE + ", bins spread evenly" * binned, ylabel="faces a year")
    _tidy(axes)


def _plot_ages_of_parts(axes: Axes, parts: dict[str, pd.DataFrame]) -> None:
    for part, table in parts.items():
        years = faces_by_year(table)
        years = np.pad(years, (0, -len(years) % _STEP)).reshape(-1, _STEP).sum(1) / len(table)
        edges = np.arange(len(years) + 1) * _STEP
        axes.stairs(100 * years, edges, color=_COLOURS[part], linewidth=1.8, label=f"{part} ({len(table):,})")
    axes.set(title="Ages by part", xlabel=_AGE, ylabel=f"% of the part in {_STEP} years")
    axes.legend(frameon=False)
    _tidy(axes)


def _plot_genders(axes: Axes, table: pd.DataFrame) -> None:
    counts = table["gender"].replace("", UNKNOWN).value_counts().sort_index()
    bars = axes.bar(list(counts.index), counts.to_numpy(), color=_WHOLE)
    axes.bar_label(bars, fmt="{:,.0f}", fontsize=8, padding=2)
    axes.set(title="Genders", ylabel="faces")
    axes.margins(y=0.12)
    _tidy(axes)


def _plot_genders_of_parts(axes: Axes, parts: dict[str, pd.DataFrame]) -> None:
    width = 0.8 / len(parts)
    for i, (part, table) in enumerate(parts.items()):
        shares = [100 * float((table["gender"] == gender).mean()) for gender in _GENDERS]
        at = np.arange(len(_GENDERS)) + (i - (len(parts) - 1) / 2) * width
        bars = axes.bar(at, shares, width * 0.92, color=_COLOURS[part])
        axes.bar_label(bars, fmt="%.1f", fontsize=8, padding=2)
    axes.set_xticks(np.arange(len(_GENDERS)), _GENDERS)
    axes.set(title="Genders by part", ylabel="% of the part")
    axes.margins(y=0.12)
    _tidy(axes)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
