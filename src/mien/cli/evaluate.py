"""``mien evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.options import DetectorName, Faces, ModelFile, Rotate
from mien.cli.predict import printable
from mien.defaults import DEFAULT_DETECTOR

if TYPE_CHECKING:
    from mien.evaluation import Evaluation


def evaluate(
    manifest: Annotated[
        Path, typer.Option(metavar="CSV", help="Table of labelled faces, as 'mien data index' writes it.")
    ],
    faces: Annotated[
        Faces,
        typer.Option(
            help="'aligned' takes each picture for the crop of one face, framed as the manifest says; "
            "'detect' finds the faces and takes the largest."
        ),
    ] = Faces.aligned,
    detector: DetectorName = DEFAULT_DETECTOR,
    rotate: Rotate = True,
    model: ModelFile = None,
    split: Annotated[str | None, typer.Option(help="Only the rows of this split.")] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Write what was predicted to this file, one row a face."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write index.html, metrics.json and the plots to this folder."),
    ] = None,
) -> None:
    """Measure how well the estimates of apparent age and perceived gender fit labels.

    The exit status is 0 if all pictures could be read, 1 if some could not (each is named on standard error;
    the others are still evaluated), and 2 if the command itself is wrong.
    """
    from mien.evaluation import evaluate as run
    from mien.predictor import Predictor
    from mien.progress import progress

    evaluation = run(
        manifest,
        Predictor(model, detector, rotate=rotate),
        faces=faces.value,
        split=split,
        predictions=predictions,
        report=report,
        watch=lambda stream, total: progress(stream, "Faces", total),
    )
    _print_scores(evaluation)
    for name, path in (("Predictions", predictions), ("Report", report and report / "index.html")):
        if path is not None:
            typer.echo(f"{name}: {path}")
    for sentence in evaluation.unreadable:
        typer.echo(f"mien: {printable(sentence)}", err=True)
    if evaluation.unreadable:
        raise typer.Exit(1)


def _print_scores(evaluation: "Evaluation") -> None:
    from rich.console import Console
    from rich.table import Table

    from mien.evaluation.report import format_interval, format_value, shown_metrics

    table = Table(title=f"Apparent age and perceived gender on {evaluation.manifest}")
    table.add_column("")
    for heading in ("value", "95 % interval", "faces"):
        table.add_column(heading, justify="right")
    for metric in shown_metrics(evaluation):
        measured = evaluation.scores.overall[metric.name]
        label = metric.label if metric.unit == "share" else f"{metric.label}, {metric.unit}"
        table.add_row(
            label, format_value(measured, metric), format_interval(measured, metric), f"{measured.n:,}"
        )
    Console().print(table)
