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
        typer.Option("--csv", metavar="FILE", help="Also write the counts to this CSV file.", dir_okay=False),
    ] = None,
    chips: Annotated[
        bool,
        typer.Option(
            "--chips/--no-chips", help="Show some of the faces, if their photos are still in place."
        ),
    ] = True,
) -> None:
    """Summarize the results of `mien annotate` on one HTML page (extra mien[annotate]).

    The page needs no other file. It shows counts, ages by perceived gender, flags, failures, folders, and a
    contact sheet of some of the faces. Leave the faces out with --no-chips before you give the page to
    others.
    """
    from mien.annotate import summarize as summary

    typer.echo(printable(summary.summarize(out, output, table=table, chips=chips)))
