"""``mien evaluate``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.caches import temporary_caches
from mien.cli.laid import LIMIT, Limit, Shares, Sides, lay_faces
from mien.cli.options import DetectorName, Device, DeviceName, Faces, Rotate, tell_device
from mien.cli.predict import printable
from mien.files import refuse_overwriting
from mien.request import DEFAULT_DETECTOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mien.evaluation import Evaluation, Metric
    from mien.predictor import Predictor


@temporary_caches()
def evaluate(
    manifest: Annotated[
        list[Path],
        typer.Option(
            metavar="CSV",
            help="Table of labelled faces, as 'mien data index' writes it; repeat it for several.",
        ),
    ],
    faces: Annotated[
        Faces,
        typer.Option(
            help="'aligned' treats each picture as the crop of one face, framed as the manifest says; "
            "'detect' finds the faces and uses the largest."
        ),
    ] = Faces.aligned,
    detector: DetectorName = DEFAULT_DETECTOR,
    rotate: Rotate = True,
    device: DeviceName = Device.cpu,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Model file, or a .csv that --predictions wrote, or a checkpoint, which is calibrated on "
            "the validation rows; repeat it to compare several.",
            show_default="the included model",
        ),
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Another model file or table of predictions; tests whether the difference is more than "
            "chance.",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only the rows of this split.")] = None,
    recalibrate: Annotated[
        bool,
        typer.Option(
            "--recalibrate",
            help="Use 5-fold cross-calibration, for faces on which the model was calibrated: each fifth "
            "is evaluated with a calibration on the others.",
        ),
    ] = False,
    paste_into: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table of pictures, as 'mien evaluate-detector' reads it: paste the faces, which are crops, "
            "into those without a face, detect them there, and measure the age errors by size and share of "
            "the frame instead.",
        ),
    ] = None,
    side: Sides = None,
    share: Shares = None,
    limit: Limit = LIMIT,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Write the predictions to this file, one row per face."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write index.html, metrics.json and the plots to this folder."),
    ] = None,
    worst: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Show pictures of the N worst faces in the report. They are people."
        ),
    ] = 0,
) -> None:
    """Measure how well the estimates of apparent age and perceived gender fit labels.

    The exit status is 0 if all pictures could be read, 1 if some could not (each is named on standard error;
    the others are still evaluated), and 2 if the command itself is wrong.
    """
    first: list[Path | None] = [*model] if model else [None]
    models = [*first, *(compare or [])]
    if worst and report is None:
        raise typer.BadParameter("--worst shows faces in the report; give --report too.")
    if recalibrate and any(map(_is_stored, models)):
        raise typer.BadParameter("--recalibrate needs a model; stored predictions are as they are.")
    if len(manifest) * len(models) > 1 and predictions is not None:
        raise typer.BadParameter("--predictions takes one manifest and one model.")
    refuse_overwriting([predictions], [*manifest, *models])
    if paste_into is not None and (len(manifest) > 1 or predictions or worst or recalibrate):
        raise typer.BadParameter(
            "--paste-into takes one manifest, without --predictions, --worst and --recalibrate."
        )
    if paste_into is not None and (faces == Faces.detect or any(map(_is_stored, models))):
        raise typer.BadParameter("--paste-into needs aligned faces and models, not stored predictions.")

    def run(manifest: Path, source: "Path | Predictor", report: Path | None) -> "Evaluation":
        from mien.evaluation import evaluate as run_one
        from mien.evaluation import evaluate_stored
        from mien.progress import progress

        if isinstance(source, Path):
            return evaluate_stored(
                manifest, source, split=split, predictions=predictions, report=report, worst=worst
            )
        return run_one(
            manifest,
            source,
            faces=faces.value,
            split=split,
            recalibrate=recalibrate,
            predictions=predictions,
            report=report,
            worst=worst,
            watch=lambda stream, total: progress(stream, "Faces", total),
        )

    from mien.evaluation.comparison import short_names
    from mien.predictor import Predictor

    with TemporaryDirectory() as folder:
        sources = [
            path
            if path and _is_stored(path)
            else Predictor(
                _model_file(path, manifest, Path(folder)), detector, rotate=rotate, device=device.value
            )
            for path in models
        ]
    run_here = [source for source in sources if isinstance(source, Predictor)]
    for predictor in run_here[:1]:
        tell_device(device, predictor.device)
    if paste_into is not None:
        names = short_names([path or Path("included") for path in models])
        _lay(
            manifest[0],
            paste_into,
            dict(zip(names, run_here, strict=True)),
            split,
            limit,
            side,
            share,
            report,
        )
        return
    if len(manifest) * len(models) == 1:
        evaluation = run(manifest[0], sources[0], report)
        _print_scores(evaluation)
        _print_gender(evaluation.gender_probabilities)
        done = [evaluation]
    else:
        done = _compare(manifest, models, sources, run, report)
    for note in dict.fromkeys(note for evaluation in done for note in evaluation.notes):
        typer.echo(f"mien: {note}", err=True)
    for predictor in run_here[:1]:
        _warn_of_photos(done, predictor)
    for name, path in (("Predictions", predictions), ("Report", report and report / "index.html")):
        if path is not None:
            typer.echo(f"{name}: {path}")
    unreadable = list(dict.fromkeys(sentence for evaluation in done for sentence in evaluation.unreadable))
    for sentence in unreadable:
        typer.echo(f"mien: {printable(sentence)}", err=True)
    if unreadable:
        raise typer.Exit(1)


def _is_stored(model: Path | None) -> bool:
    return model is not None and model.suffix.lower() == ".csv"


def _model_file(model: Path | None, manifests: Sequence[Path], folder: Path) -> Path | None:
    """A model file as it is; for a checkpoint, an export calibrated on the manifests' validation rows."""
    if model is None or model.suffix != ".ckpt":
        return model
    from mien.training.export import export

    file = folder / f"{model.stem}.onnx"
    export([model], manifests, file)
    return file


def _lay(
    manifest: Path,
    pictures: Path,
    predictors: "Mapping[str, Predictor]",
    split: str | None,
    limit: int,
    sides: list[int] | None,
    shares: list[float] | None,
    report: Path | None,
) -> None:
    from mien.evaluation.detection import read_boxes
    from mien.pipeline.detect import TurningDetector

    looks = {
        predictor.model: {
            name: TurningDetector(predictor.detector) if predictor.rotate else predictor.detector
        }
        for name, predictor in predictors.items()
    }
    table = read_boxes([pictures])
    lay_faces(manifest, table, looks, split=split, limit=limit, sides=sides, shares=shares, report=report)


def _warn_of_photos(evaluations: Sequence["Evaluation"], predictor: "Predictor") -> None:
    from mien.data.crop import look_like_photos

    for evaluation in {evaluation.manifest: evaluation for evaluation in evaluations}.values():
        crops = evaluation.labels[evaluation.labels["framing"] != "photo"]
        if evaluation.faces == "aligned" and look_like_photos(crops, predictor.detector):
            typer.echo(
                f"mien: the pictures of {evaluation.manifest} do not look like crops of faces, but were "
                "evaluated as such; give --faces detect.",
                err=True,
            )


def _compare(
    manifests: Sequence[Path],
    models: Sequence[Path | None],
    sources: Sequence["Path | Predictor"],
    run: Callable[[Path, "Path | Predictor", Path | None], "Evaluation"],
    report: Path | None,
) -> list["Evaluation"]:
    """Evaluate each model on each manifest; print one table per manifest, with one column per model."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from mien.evaluation.comparison import short_names, tables_of, write_comparison
    from mien.evaluation.report import format_difference, format_value

    names = short_names([path or Path("included") for path in models])
    folders = short_names(manifests)
    rows = [
        [
            run(manifest, source, report / name / folder if report else None)
            for name, source in zip(names, sources, strict=True)
        ]
        for manifest, folder in zip(manifests, folders, strict=True)
    ]
    tables = tables_of(rows, names)
    for table in tables:
        shown = Table(title=escape(table.title))
        shown.add_column("")
        for column in table.columns:
            shown.add_column(escape(column.name), justify="right")
            if column.differences:
                shown.add_column(escape(f"{column.name} − {table.columns[0].name}"), justify="right")
        for metric in table.metrics:
            cells = []
            for column in table.columns:
                value, more = column.overall.get(metric.name), column.differences.get(metric.name)
                cells.append(format_value(value, metric) if value else "–")
                if column.differences:
                    cells.append(format_difference(more, metric) if more else "–")
            shown.add_row(_heading(metric), *cells)
        Console().print(shown)
    if len(models) > 1:
        typer.echo("Differences have a 95 % paired bootstrap interval; those of shares are in points.")
    if report is not None:
        write_comparison(tables, report)
    return [evaluation for row in rows for evaluation in row]


def _print_scores(evaluation: "Evaluation") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from mien.evaluation.report import format_interval, format_value, shown_metrics

    table = Table(title=escape(f"Apparent age and perceived gender on {evaluation.manifest}"))
    table.add_column("")
    for heading in ("value", "95 % interval", "faces"):
        table.add_column(heading, justify="right")
    for metric in shown_metrics(evaluation):
        measured = evaluation.scores.overall[metric.name]
        table.add_row(
            _heading(metric),
            format_value(measured, metric),
            format_interval(measured, metric),
            f"{measured.n:,}",
        )
    Console().print(table)


def _heading(metric: "Metric") -> str:
    return metric.label if metric.unit == "share" else f"{metric.label}, {metric.unit}"


def _print_gender(figures: "Mapping[str, float]") -> None:
    if figures:
        error, accuracy = figures["expected_calibration_error"], figures.get("labelled_accuracy")
        right = "" if accuracy is None else f", of which {100 * accuracy:.1f} % are right"
        typer.echo(
            f"Gender probabilities: expected calibration error {error:.3f}{_labelled(figures)}{right}."
        )


def _labelled(figures: "Mapping[str, float]") -> str:
    from mien.pipeline.metadata import CHILD

    if "labelled" not in figures:
        return ""
    threshold = f" from {figures['unsure_below']:.2f} on," if "unsure_below" in figures else ""
    child = figures.get("child_unsure_below")
    if child is not None:
        threshold += f" below {CHILD} years {'none' if child == 1 else f'from {child:.2f} on'},"
    return f"; a label{threshold} for {100 * figures['labelled']:.1f} % of faces"
