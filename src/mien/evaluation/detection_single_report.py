"""Tables of the single-face test: one row per detector and picture size, one column per face size."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.evaluation.detection_single import Cell, SingleFaces
from mien.evaluation.markdown import markdown_table
from mien.files import written_beside

HEADER = (
    *("detector", "side", "share", "angle", "pictures", "exactly_one", "missed", "more"),
    *("mae_given", "mae_found"),
)
"""Columns of the CSV file."""

MINUS = "\N{MINUS SIGN}"


def pictures_table(rows: Sequence[tuple[str, int, SingleFaces]]) -> str:
    """Make a Markdown table of the share of pictures with exactly one box, by detector and picture side."""
    sides = sorted({side for _, side, _ in rows})
    shares = {(name, side): _percent(found.one) for name, side, found in rows}
    names = list(dict.fromkeys(name for name, _, _ in rows))
    return markdown_table(
        ["detector", *(f"{side} px" for side in sides)],
        [[name, *(shares[name, side] for side in sides)] for name in names],
    )


def laid_tables(cells: Sequence[Cell]) -> str:
    """Make a Markdown table per measure, with rows by detector, side and angle, and columns by share."""
    measures: Mapping[str, Callable[[SingleFaces], str]] = {
        "exactly one": lambda found: _percent(found.one),
        "more than one": lambda found: _percent(float(np.mean(np.array(found.counts) > 1))),
        "age error, searched for": lambda found: _years(found.found_errors),
        "… less that of the crop": _cost,
    }
    return "\n\n".join(_pivot(title, cells, measure) for title, measure in measures.items())


def write_single_report(folder: Path, tables: str, cells: Sequence[Cell]) -> None:
    """Write ``single-faces.md`` and, for pasted faces, ``single-faces.csv`` with one row per cell.

    Raises:
        DataError: If the folder cannot be written.
    """
    texts = {"md": tables + "\n"}
    if cells:
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([HEADER, *map(_row, cells)])
        texts["csv"] = table.getvalue()
    try:
        for ending, text in texts.items():
            with written_beside(folder / f"single-faces.{ending}") as partial:
                partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}); choose another.") from None


def _pivot(title: str, cells: Sequence[Cell], measure: Callable[[SingleFaces], str]) -> str:
    shares = list(dict.fromkeys(share for _, _, share, _, _ in cells))
    turned = any(angle for _, _, _, angle, _ in cells)
    rows: dict[tuple[str, int, float], dict[float, str]] = {}
    for name, side, share, angle, found in cells:
        rows.setdefault((name, side, angle), {})[share] = measure(found)
    names = list(dict.fromkeys(name for name, _, _ in rows))
    ordered = sorted(rows, key=lambda row: names.index(row[0]))  # stable: keeps the order of sides and angles
    return markdown_table(
        [title, *(f"{share:g}" for share in shares)],
        [
            [
                f"{name}, {side} px" + f", {angle:g}°" * turned,
                *(rows[name, side, angle][share] for share in shares),
            ]
            for name, side, angle in ordered
        ],
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _years(errors: Sequence[float]) -> str:
    return f"{np.mean(errors):.2f}" if errors else ""


def _cost(found: SingleFaces) -> str:
    """Mean age error after detection minus that of the known crop, over the same faces."""
    if not found.found_errors:
        return ""
    return f"{np.mean(found.found_errors) - np.mean(found.given_errors):+.2f}".replace("-", MINUS)


def _row(cell: Cell) -> Iterator[str | int | float]:
    name, side, share, angle, found = cell
    counts = np.array(found.counts)
    yield from (name, side, share, angle, len(counts), round(found.one, 4))
    yield from (int((counts == 0).sum()), int((counts > 1).sum()))
    yield from (_years(found.given_errors), _years(found.found_errors))
