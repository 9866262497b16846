"""Comparison page of several models on several data sets."""

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
    """One model's results on a data set.

    Attributes:
        name: Displayed name of the model.
        link: Path of its report, relative to the page.
        overall: Measurement by metric name.
        differences: Difference to the first model (this model minus the first) by metric name; empty for the
            first.
    """

    name: str
    link: str
    overall: Measurements
    differences: Measurements


@dataclass(frozen=True, slots=True)
class Table:
    """Table of one data set.

    Attributes:
        title: Manifest, split and number of faces.
        metrics: The rows.
        columns: One per model.
    """

    title: str
    metrics: Sequence[Metric]
    columns: Sequence[Column]


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return the stems of the files, with numbers added where two would be equal apart from case.

    The names are used for folders, which must also differ on file systems that ignore case.

    >>> short_names([Path("a/small.onnx"), Path("b/small.onnx"), Path("big.onnx")])
    ['small', 'small-2', 'big']
    >>> short_names([Path("small-2.onnx"), Path("small.onnx"), Path("x/small.onnx")])
    ['small-2', 'small', 'small-3']
    """
    names: list[str] = []
    taken = {"index.html", "comparison.json"}  # files in the same place as the folders
    for path in paths:
        numbered = (f"{path.stem}-{number}" for number in count(2))
        name = next(name for name in chain([path.stem], numbered) if name.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def tables_of(evaluations: Sequence[Sequence[Evaluation]], models: Sequence[str]) -> list[Table]:
    """Make the tables of a page.

    Args:
        evaluations: For each data set, one evaluation per model, in the order of ``models``.
        models: Displayed names of the models.
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
    """Compute each metric of the second minus that of the first, with a paired bootstrap interval.

    See :func:`~mien.evaluation.metrics.differences`.

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
    """Write ``index.html``, which links to the reports in subfolders, and the figures as ``comparison.json``.

    Raises:
        DataError: If a file cannot be written.
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
