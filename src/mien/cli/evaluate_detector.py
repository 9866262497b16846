"""``mien evaluate-detector``."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.caches import temporary_caches
from mien.cli.predict import printable


@temporary_caches()
def evaluate_detector(
    boxes: Annotated[
        list[Path],
        typer.Argument(
            metavar="CSV",
            help="Tables of marked faces: image, x1, y1, x2, y2 in pixels, and perhaps the points. A picture "
            "whose box is empty, or a table with nothing but image, has no face.",
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
            help="Of the pictures as the detectors see them.",
            show_default="each detector's own",
        ),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Give the recall by this column too.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only the rows of this split.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write detectors.json, detectors.md and a plot to this folder."),
    ] = None,
) -> None:
    """Measure how well detectors find the faces that people have marked, side by side.

    Prints a Markdown table: the share found of faces at least 32 px high (at an overlap of 0.35) and by
    height; the share of boxes that are faces; the average precision at an overlap of 0.5; boxes in pictures
    without a face; the points' mean error as a share of the eyes' distance; CPU milliseconds a picture on one
    thread.
    """
    from mien.detect import make_detector
    from mien.evaluation.detection import evaluate_detectors, read_boxes
    from mien.evaluation.detection_report import to_markdown, write_report
    from mien.progress import progress

    settings = {} if longest_side is None else {"longest_side": longest_side}
    makers = {name.partition(":")[0]: partial(make_detector, name, **settings) for name in detector}
    evaluation = evaluate_detectors(
        read_boxes(boxes, split),
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
