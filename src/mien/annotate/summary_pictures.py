"""Charts of a summary as SVG, for embedding in a page whose style sheet sets the colours."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2
import numpy as np

from mien.annotate.age_mass import Floats
from mien.annotate.tally import Tally

STEP = 5
"""Years per bar."""

WIDTH = 440
TOP, BAR, GAP = 34, 15, 4
"""Top of a pyramid, height of its bars, and gap between bars."""

MIDDLE = 56
"""Width of the pyramid's column of ages."""

MARGIN = 12
"""Space for half of the last tick label, on both sides of a pyramid and to the right of a histogram."""

LEFT, PLOT_TOP, PLOT_BOTTOM = 46, 34, 270
"""Edges of the histogram's plot."""

ROUND = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class _Bar:
    """A rectangle, with its CSS class and its tooltip."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    said: str


def banded(years: Floats) -> Floats:
    """(…, n) sums over bands of ages, from (…, ages)."""
    missing = -years.shape[-1] % STEP
    whole = np.pad(years, [(0, 0)] * (years.ndim - 1) + [(0, missing)])
    bands: Floats = whole.reshape(*whole.shape[:-1], -1, STEP).sum(-1)
    return bands


def age_pyramid(tally: Tally) -> str:
    """SVG of the faces by apparent age, one perceived gender per side; age distributions are summed."""
    bands = _shown(banded(tally.masses))
    female, male, likely_female, likely_male = bands
    ticks = _ticks(max((female + likely_female).max(), (male + likely_male).max()), 3)
    left, right = (WIDTH - MIDDLE) / 2, (WIDTH + MIDDLE) / 2
    scale = (left - MARGIN) / ticks[-1]
    ys = [TOP + i * (BAR + GAP) for i in reversed(range(bands.shape[1]))]
    bars = []
    for i, y in enumerate(ys):
        for start, way, kind, sure, unsure in (
            (left, -1, "female", female[i], likely_female[i]),
            (right, 1, "male", male[i], likely_male[i]),
        ):
            for name, offset, value in ((kind, 0, sure), ("uncertain", sure, unsure)):
                near, far = (start + way * scale * end for end in (offset, offset + value))
                told = f"{_band(i)} years, {name}: {value:.1f}"
                bars.append(_Bar(round(min(near, far), 1), y, round(scale * value, 1), BAR, name, told))
    series = {"female": female, "male": male, "uncertain": likely_female + likely_male}
    return _render(
        "pyramid.svg.j2",
        bars=[bar for bar in bars if bar.width],
        lines=[
            (round(x, 1), f"{tick:,g}") for tick in ticks for x in (left - scale * tick, right + scale * tick)
        ],
        rows=[(y + BAR / 2 + 4, _band(i)) for i, y in enumerate(ys)],
        width=WIDTH,
        top=TOP,
        bottom=TOP + len(ys) * (BAR + GAP),
        sides=(left, right),
        said=_said("By apparent age and perceived gender", series),
    )


def age_histogram(tally: Tally) -> str:
    """SVG of the faces by apparent age: bars sum the age distributions, an outline counts the estimates."""
    both = _shown(np.stack([banded(tally.masses.sum(0)), banded(tally.points())]))
    spread, points = both
    ticks = _ticks(both.max(), 4)
    scale, step = (PLOT_BOTTOM - PLOT_TOP) / ticks[-1], (WIDTH - LEFT - MARGIN) / both.shape[1]

    def y(value: float) -> float:
        return round(PLOT_BOTTOM - scale * value, 1)

    bars = [
        _Bar(
            round(LEFT + i * step + 1, 1),
            y(value),
            round(step - 2, 1),
            round(scale * value, 1),
            "spread",
            f"{_band(i)} years: {value:.1f}, by the estimates alone {points[i]:.0f}",
        )
        for i, value in enumerate(spread)
    ]
    outline = f"M{LEFT} {PLOT_BOTTOM}" + "".join(
        f"V{y(value)}H{round(LEFT + (i + 1) * step, 1)}" for i, value in enumerate(points)
    )
    every = 10 if both.shape[1] <= 12 else 20
    return _render(
        "histogram.svg.j2",
        bars=bars,
        outline=f"{outline}V{PLOT_BOTTOM}",
        lines=[(y(tick), f"{tick:,g}") for tick in ticks],
        ages=[(round(LEFT + age / STEP * step, 1), age) for age in range(0, STEP * both.shape[1] + 1, every)],
        width=WIDTH,
        left=LEFT,
        bottom=PLOT_BOTTOM,
        said=_said("By apparent age", {"faces": spread}),
    )


def _shown(bands: Floats) -> Floats:
    """The bands up to the last one with more than 0.2 % of the total."""
    last = np.flatnonzero(bands.sum(0) > 0.002 * bands.sum())
    return bands[:, : int(last[-1]) + 1]


def _band(i: int) -> str:
    return f"{STEP * i}\N{EN DASH}{STEP * i + STEP - 1}"


def _ticks(most: float, parts: int) -> list[float]:
    """Multiples of a round step, at least 1, from 0 to ``most`` or just above, in at most ``parts`` steps."""
    size = 10 ** np.floor(np.log10(most / parts))
    step = next((s * size for s in ROUND if s * size * parts >= most), 10 * size)
    step = max(float(step), 1.0)
    return [step * i for i in range(int(np.ceil(most / step - 1e-9)) + 1)]


def _said(title: str, series: dict[str, Floats]) -> str:
    """A chart in words, for screen readers."""
    parts = (
        f"{name}: " + ", ".join(f"{_band(i)} {value:.1f}" for i, value in enumerate(values))
        for name, values in series.items()
    )
    return f"{title}. {'; '.join(parts)}."


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
