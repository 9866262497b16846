"""Faces pasted into pictures: options and code shared by ``mien evaluate`` and ``mien evaluate-detector``."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

    from mien.evaluation.detection_single import Cell
    from mien.pipeline.detect import Detector
    from mien.pipeline.model import Model

Sides = Annotated[
    list[int] | None,
    typer.Option(
        "--side",
        metavar="PX",
        min=32,
        max=4000,
        help="Side of the pictures with pasted faces; repeat it for several.",
        show_default="320, 640, 1280",
    ),
]
Shares = Annotated[
    list[float] | None,
    typer.Option(
        "--share",
        metavar="SHARE",
        min=0.01,
        max=4,
        help="Share of the picture's side that a pasted face takes; repeat it for several.",
        show_default="15 from 0.05 to 1.5",
    ),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Number of faces to paste.")]
LIMIT = 200


def lay_faces(
    manifest: Path,
    pictures: "pd.DataFrame",
    looks: Mapping["Model", Mapping[str, "Detector"]],
    *,
    split: str | None,
    limit: int,
    sides: Sequence[int] | None,
    shares: Sequence[float] | None,
    angles: Sequence[float] = (0.0,),
    report: Path | None,
) -> None:
    """Paste faces into pictures, detect them there, and print tables of the results.

    Args:
        manifest: Manifest of the faces.
        pictures: A table from :func:`~mien.evaluation.detection.read_boxes`; those without a face are used.
        looks: For each model, the detectors to use with it, by the names of their rows in the tables.
        split: Only faces of this split.
        limit: Maximum number of faces.
        sides: Sides of the pictures in pixels; None or empty for the defaults.
        shares: Sides of the faces as shares of the pictures' sides; None or empty for the defaults.
        angles: Counter-clockwise angles in degrees by which the pictures are rotated.
        report: Folder for the tables as files; None for no files.

    Raises:
        DataError: If the manifest cannot be used, a table cannot be written, or there is no face or no
            picture.
        ImageError: If a picture cannot be read.
    """
    from mien.data.manifest import need_crops
    from mien.evaluation.detection_single import LAID_SIDES, SHARES, count_laid
    from mien.evaluation.detection_single_report import laid_tables, write_single_report
    from mien.evaluation.run import make_folder, read_rows
    from mien.progress import progress

    faces = read_rows(manifest, split)
    need_crops(faces, manifest)
    faces = faces[faces["age"].notna()]
    faces = faces.sample(min(limit, len(faces)), random_state=0)
    empty = list(dict.fromkeys(pictures["image"][pictures["x1"].isna()]))
    if report is not None:
        make_folder(report)
    sides, shares = sides or LAID_SIDES, shares or SHARES

    def cells() -> Iterator["Cell"]:
        for model, detectors in looks.items():
            yield from count_laid(faces, empty, detectors, model, sides=sides, shares=shares, angles=angles)

    total = sum(map(len, looks.values())) * len(sides) * len(shares) * len(angles)
    found = list(progress(cells(), "Cells", total))
    tables = laid_tables(found)
    typer.echo(tables)
    if report is not None:
        write_single_report(report, tables, found)
        typer.echo(f"Report: {report}", err=True)
