"""``mien annotate``."""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.options import Device, DeviceName, ModelFile, takes_request, tell_device
from mien.cli.predict import printable
from mien.request import Request

if TYPE_CHECKING:
    from mien.annotate.look import Setup
    from mien.annotate.record import Counts

EVERY = 0.2
"""Default seconds between the analysed frames of a film."""


class Engine(StrEnum):
    """Where the work is done."""

    local = "local"
    ray = "ray"


def seconds(text: str) -> float:
    """Parse a time in seconds.

    >>> seconds("0.2s"), seconds("40 ms"), seconds("1")
    (0.2, 0.04, 1.0)
    """
    found = re.fullmatch(r"([0-9]+|[0-9]*\.[0-9]+) *(s|ms|)", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a time; write 0.2s or 200ms, or 0 for every frame.")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def time_limit_of(text: str) -> float:
    """Parse a time in seconds above 0.

    >>> time_limit_of("2s")
    2.0
    """
    if not (found := seconds(text)):
        raise typer.BadParameter("the time must be above 0; write 120s.")
    return found


@takes_request
def annotate(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Folders, photos, patterns such as 'photos/**/*.jpg', .zip and .tar archives, Parquet "
            "files with photos, addresses (s3://, gs://), @LIST for a file with one path per line, "
            "or - for a list on standard input. Also films (clip.mp4), folders of films, and cameras (0 for "
            "the first one).",
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
        typer.Option(
            metavar="NUMBER", min=1, help="Largest number of processes.", show_default="one per core"
        ),
    ] = None,
    null: Annotated[
        bool,
        typer.Option(
            "--null", "-0", help="Paths in lists are separated by NUL, as 'find -print0' writes them."
        ),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try photos again that could not be read.")
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(
            metavar="TIME",
            parser=seconds,
            help="For films: the time between two analysed frames, such as 0.2s; 0 for every frame.",
            show_default="0.2s",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILM",
            help="For one film: also write a copy with its people marked, each with one label throughout.",
            dir_okay=False,
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="TIME",
            parser=time_limit_of,
            help="Time that a photo, or the next frame of a film, may take, such as 30s. A photo or film "
            "that takes longer gets an error in its row, and the run continues.",
            show_default="120s",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no summary.")] = False,
    model: ModelFile = None,
    device: DeviceName = Device.cpu,
) -> None:
    """Estimate every face of a collection of photos, and write tables (extra mien[annotate]).

    OUT gets a folder faces with one row for each face, and a folder photos with one for each photo, in
    Parquet. To resume a run that was stopped, run the same command again: photos that are done are skipped.
    For films there is also a folder tracks, with one row for each person tracked; a film that was not
    finished starts from the beginning.

    The exit status is 0 if all photos could be read, 1 if some could not (each has its error in the table;
    the others are still done) or the run had to stop, and 2 if the command itself is wrong.
    """
    if sources.count("-") > 1:
        raise typer.BadParameter("'-' (standard input) can be read only once.", param_hint="SOURCE")
    from mien.annotate import run
    from mien.annotate.child import TIME_LIMIT
    from mien.annotate.films import films_left_out, find_films
    from mien.annotate.look import Setup
    from mien.annotate.summary import describe

    setup = Setup(request, None if model is None else str(model), device.value)
    limit = TIME_LIMIT if time_limit is None else time_limit
    if films := find_films(sources):
        if engine is Engine.ray:
            raise typer.BadParameter("films are annotated on this machine.", param_hint="--engine")
        _annotate_films(films, output, setup, every, save, limit, retry_failed, quiet)
        return
    if every is not None or save is not None:
        hint = "--every" if save is None else "--save"
        raise typer.BadParameter("this is for films, and the sources contain none.", param_hint=hint)
    summary = run.annotate(
        sources,
        output,
        setup,
        engine=engine.value,
        workers=workers,
        separator=b"\0" if null else b"\n",
        time_limit=limit,
        retry_failed=retry_failed,
        quiet=quiet,
    )
    tell_device(device, summary.device)
    for note in films_left_out(sources):
        typer.echo(f"mien: {printable(note)}", err=True)
    _conclude(summary.failures, summary.counts, () if quiet else describe(summary))


def _annotate_films(
    films: Sequence[str],
    output: str,
    setup: "Setup",
    every: float | None,
    save: Path | None,
    time_limit: float,
    retry_failed: bool,
    quiet: bool,
) -> None:
    from mien.annotate.film_run import annotate_films, describe_films

    every = EVERY if every is None else every
    try:
        summary = annotate_films(
            films,
            output,
            setup,
            every=every,
            save=save,
            time_limit=time_limit,
            retry_failed=retry_failed,
            quiet=quiet,
        )
    except ValueError as refusal:
        raise typer.BadParameter(f"{refusal}.") from None
    tell_device(Device(setup.device), summary.device)
    for note in summary.notes:
        typer.echo(f"mien: {printable(note)}", err=True)
    _conclude(summary.failures, summary.counts, () if quiet else describe_films(summary))


def _conclude(failures: Sequence[tuple[str, str]], counts: "Counts", sentences: Iterable[str]) -> None:
    """Name the failures, print the summary, and exit with status 1 if there are failures."""
    for _, error in failures:
        typer.echo(f"mien: {printable(error)}", err=True)
    if (more := counts.failed - len(failures)) > 0:
        typer.echo(f"mien: {more:,} more photos could not be read; the table 'photos' names them.", err=True)
    for sentence in sentences:
        typer.echo(sentence)
    if counts.failed:
        raise typer.Exit(1)
