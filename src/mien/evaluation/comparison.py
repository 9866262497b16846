"""Several models on several data sets, side by side on one page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from mien.errors import DataError
from mien.evaluation.groups import Measurements, as_json
from mien.evaluation.metrics import Metric, cluster_numbers, differences, face_values
from mien.evaluation.report import page_environment, shown_metrics
from mien.evaluation.result import Evaluation
from mien.files import written_beside


@dataclass(frozen=True, slots=True)
class Column:
    """One model's figures for a data set.

    Attributes:
        name: What to call the model.
        link: Its report, seen from the page.
        overall: Metric name to measurement.
        differences: Metric name to how much more it has than the first model; none for the first.
    """

    name: str
    link: str
    overall: Measurements
    differences: Measurements


@dataclass(frozen=True, slots=True)
class Table:
    """One data set.

    Attributes:
        title: Its manifest, split and number of faces.
        metrics: The rows.
        columns: One a model.
    """

    title: str
    metrics: Sequence[Metric]
    columns: Sequence[Column]


def short_names(paths: Sequence[Path]) -> list[str]:
    """What to call files beside each other: their stems, numbered where two are the same, in any case.

    They name folders, and two must not share one, on a file system that ignores case either.

    >>> short_names([Path("a/small.onnx"), Path("b/small.onnx"), Path("big.onnx")])
    ['small', 'small-2', 'big']
    >>> short_names([Path("small-2.onnx"), Path("small.onnx"), Path("x/small.onnx")])
    ['small-2', 'small', 'small-3']
    """
    names: list[str] = []
    taken = {"index.html", "comparison.json"}  # which lie beside the folders
    for path in paths:
        numbered = (f"{path.stem}-{number}" for number in count(2))
        name = next(name for name in chain([path.stem], numbered) if name.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def tables_of(evaluations: Sequence[Sequence[Evaluation]], models: Sequence[str]) -> list[Table]:
    """The tables of a page.

    Args:
        evaluations: For each data set, one evaluation a model, in the order of ``models``.
        models: What to call them.
    """
    names = short_names([Path(row[0].manifest) for row in evaluations])
    return [
        Table(
            _title(row[0]),
            shown_metrics(row[0]),
            [
                Column(
                    model,
                    f"{model}/{name}/index.html",
                    evaluation.scores.overall,
                    {} if evaluation is row[0] else difference(row[0], evaluation),
                )
                for model, evaluation in zip(models, row, strict=True)
            ],
        )
        for name, row in zip(names, evaluations, strict=True)
    ]


def difference(first: Evaluation, second: Evaluation) -> Measurements:
    """How much more the second has of each metric, with a paired bootstrap interval; see ``differences``.

    Raises:
        DataError: If the two are not of the same faces.
    """
    if list(first.labels["path"]) != list(second.labels["path"]):
        raise DataError("Only evaluations of the same faces can be compared.")
    own, other = (face_values(one.labels, one.predictions) for one in (first, second))
    return differences(own, other, cluster_numbers(first.labels["group"]))


def _title(evaluation: Evaluation) -> str:
    split = f", split “{evaluation.split}”" if evaluation.split else ""
    return f"{evaluation.manifest}{split}: {len(evaluation.labels):,} faces"


def write_comparison(tables: Sequence[Table], folder: Path) -> None:
    """Write ``index.html``, above the reports that it leads to, and the figures, ``comparison.json``.

    Raises:
        DataError: If it cannot be written.
    """
    page = page_environment().get_template("comparison.html.j2").render(tables=tables)
    figures = {
        table.title: {
            column.name: {"overall": as_json(column.overall), "differences": as_json(column.differences)}
            for column in table.columns
        }
        for table in tables
    }
    try:
        with written_beside(folder / "index.html") as partial:
            partial.write_text(page, encoding="utf-8")
        with written_beside(folder / "comparison.json") as partial:
            partial.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"The page in {folder} cannot be written ({error.strerror}).") from None
