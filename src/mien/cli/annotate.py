"""``mien annotate``."""

from enum import StrEnum
from typing import Annotated

import typer

from mien.cli.options import ModelFile, takes_request
from mien.cli.predict import printable
from mien.request import Request


class Engine(StrEnum):
    """Who does the work."""

    local = "local"
    ray = "ray"


@takes_request
def annotate(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Folders, photos, patterns such as 'photos/**/*.jpg', .zip and .tar archives, Parquet files "
            "with photos, addresses (s3://, gs://), @LIST for a file with a path on each line, - for such a "
            "list from standard input.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            metavar="OUT",
            help="A folder for the tables, or a file for the faces alone: OUT.parquet, OUT.csv or OUT.jsonl.",
        ),
    ],
    request: Request,
    engine: Annotated[
        Engine,
        typer.Option(help="'local' uses the cores of this machine, 'ray' a cluster (extra mien[cluster])."),
    ] = Engine.local,
    workers: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", min=1, help="Processes at most.", show_default="one a core"),
    ] = None,
    null: Annotated[
        bool,
        typer.Option(
            "--null", "-0", help="Lists have NUL between their paths, as 'find -print0' writes them."
        ),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Look again at the photos that could not be read.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no summary.")] = False,
    model: ModelFile = None,
) -> None:
    """Estimate every face of a collection of photos, and write tables (extra mien[annotate]).

    OUT gets a folder faces with one row for each face, and a folder photos with one for each photo, in
    Parquet. A run that was stopped goes on when the same command is run again: photos that are done are
    passed over.

    The exit status is 0 if all photos could be read, 1 if some could not (each has its error in the table;
    the others are still done) or the run had to stop, and 2 if the command itself is wrong.
    """
    if sources.count("-") > 1:
        raise typer.BadParameter("'-' (standard input) can be read only once.", param_hint="SOURCE")
    from mien.annotate import run
    from mien.annotate.look import Setup
    from mien.annotate.summary import describe

    setup = Setup(request, None if model is None else str(model))
    try:
        summary = run.annotate(
            sources,
            output,
            setup,
            engine=engine.value,
            workers=workers,
            separator=b"\0" if null else b"\n",
            retry_failed=retry_failed,
            quiet=quiet,
        )
    except ValueError as refusal:
        raise typer.BadParameter(f"{refusal}.") from None
    for _, error in summary.failures:
        typer.echo(f"mien: {printable(error)}", err=True)
    if (more := summary.counts.failed - len(summary.failures)) > 0:
        typer.echo(f"mien: {more:,} more photos could not be read; the table 'photos' names them.", err=True)
    if not quiet:
        for sentence in describe(summary):
            typer.echo(sentence)
    if summary.counts.failed:
        raise typer.Exit(1)
