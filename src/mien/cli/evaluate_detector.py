"""``mien evaluate-detector``."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.caches import temporary_caches
from mien.cli.laid import LIMIT, Limit, Shares, Sides, lay_faces
from mien.cli.predict import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from mien.pipeline.detect import Detector


@temporary_caches()
def evaluate_detector(
    boxes: Annotated[
        list[Path],
        typer.Argument(
            metavar="CSV",
            help="Tables of labelled faces: image, x1, y1, x2, y2 in pixels, and optionally the landmarks. A "
            "row with an empty box is a picture without a face; so is every row of a table that has "
            "only image.",
        ),
    ],
    detector: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="'mien', 'dlib', 'yunet', 'yunet:PATH' or 'centerface'; repeat it for several.",
        ),
    ],
    longest_side: Annotated[
        int | None,
        typer.Option(
            min=32,
            metavar="PX",
            help="Longer side in pixels to which the detectors resize the pictures.",
            show_default="each detector's own",
        ),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Also give the recall by this column.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only the rows of this split.")] = None,
    one_face: Annotated[
        bool,
        typer.Option(
            "--one-face",
            help="Every picture shows one face: instead, give the share with exactly one box, by size.",
        ),
    ] = False,
    faces: Annotated[
        Path | None,
        typer.Option(
            metavar="MANIFEST",
            help="Paste these aligned faces into the pictures without a face. Instead, give the share "
            "found exactly once, by size and share of the frame, and the age errors. With --split, "
            "only faces of that split are used.",
        ),
    ] = None,
    angle: Annotated[
        list[float] | None,
        typer.Option(
            metavar="DEGREES", help="Rotate the pictures with pasted faces; repeat it for several angles."
        ),
    ] = None,
    side: Sides = None,
    share: Shares = None,
    limit: Limit = LIMIT,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write detectors.json, detectors.md and a plot to this folder, or single-faces.md and .csv.",
        ),
    ] = None,
) -> None:
    """Measure and compare how well detectors find labelled faces.

    Prints a Markdown table: the recall of faces at least 32 px high (at an overlap of 0.35) and by height;
    the precision; the average precision at an overlap of 0.5; boxes in pictures without a face; the mean
    error of the landmarks as a share of the distance between the eyes; CPU milliseconds per picture on one
    thread.
    """
    from mien.evaluation.detection import evaluate_detectors, read_boxes
    from mien.evaluation.detection_report import to_markdown, write_report
    from mien.pipeline.detect import TurningDetector, make_detector
    from mien.progress import progress

    makers = {
        name.partition(":")[0]: partial(make_detector, name, longest_side=longest_side) for name in detector
    }
    table = read_boxes(boxes, split)
    if one_face or faces:
        turning = {name: TurningDetector(make()) for name, make in makers.items()}
        if faces is None:
            _one_face(table, turning, report)
            return
        from mien.pipeline.model import Model

        lay_faces(
            faces,
            table,
            {Model(): turning},
            split=split,
            limit=limit,
            sides=side,
            shares=share,
            angles=angle or (0.0,),
            report=report,
        )
        return
    evaluation = evaluate_detectors(
        table,
        makers,
        by=by or (),
        watch=lambda stream, total: progress(stream, "Pictures", total),
    )
    typer.echo(to_markdown(evaluation))
    if report is not None:
        write_report(evaluation, report)
        typer.echo(f"Report: {report}", err=True)
    for sentence in evaluation.unreadable:
        typer.echo(f"mien: {printable(sentence)}", err=True)
    if evaluation.unreadable:
        raise typer.Exit(1)


def _one_face(table: "pd.DataFrame", detectors: "Mapping[str, Detector]", report: Path | None) -> None:
    """Print the share of pictures with exactly one box; rotation is recognised as in ``mien predict``."""
    from mien.evaluation.detection_single import count_in_pictures
    from mien.evaluation.detection_single_report import pictures_table, write_single_report

    counted = pictures_table(list(count_in_pictures(list(dict.fromkeys(table["image"])), detectors)))
    typer.echo(counted)
    if report is not None:
        write_single_report(report, counted, [])
        typer.echo(f"Report: {report}", err=True)
