"""``mien summarize``."""

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.predict import printable


def summarize(
    out: Annotated[
        str,
        typer.Argument(metavar="OUT", help="What 'mien annotate' has written: a folder or a file."),
    ],
    output: Annotated[
        Path, typer.Option(metavar="PAGE", help="The page, such as album.html.", dir_okay=False)
    ],
    table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Also write the counts there, as CSV.", dir_okay=False),
    ] = None,
    chips: Annotated[
        bool,
        typer.Option("--chips/--no-chips", help="Show some of the faces, if their photos are still there."),
    ] = True,
) -> None:
    """Show at a glance what `mien annotate` found: one HTML page (extra mien[annotate]).

    The page holds all it shows: counts, ages by perceived gender, flags, failures, folders, and a contact
    sheet with some of the faces. Leave the faces out with --no-chips before you give the page to others.
    """
    from mien.annotate import summarize as summary

    typer.echo(printable(summary.summarize(out, output, table=table, chips=chips)))
