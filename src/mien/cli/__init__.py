"""The command line: parses, calls, prints. Each command imports what it needs only when it runs."""

import os
import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import mien
from mien.cli import (
    annotate,
    card,
    data,
    evaluate,
    evaluate_detector,
    export,
    predict,
    summarize,
    train,
    train_detector,
)
from mien.errors import MienError


class _Commands(TyperGroup):
    """Loads ``serve`` only on request, since its flags are the server's settings, which import pydantic."""

    def list_commands(self, ctx: Any) -> list[str]:  # click's context, whose place depends on Typer's version
        first, *others = super().list_commands(ctx)
        return [first, "serve", *others]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name != "serve":
            return super().get_command(ctx, cmd_name)
        from mien.cli import serve

        command: Any = typer.main.get_command(serve.app)
        command.rich_help_panel = USE
        return command


app = typer.Typer(
    name="mien",
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
USE, MAKE = "Use", "Make and measure models"
"""Panels of the help: commands for users, and commands for training and evaluation."""

app.command("predict", cls=predict.PhotoCommand, rich_help_panel=USE)(predict.predict)
app.command("annotate", rich_help_panel=USE)(annotate.annotate)
app.command("summarize", rich_help_panel=USE)(summarize.summarize)
app.add_typer(data.app, name="data", rich_help_panel=MAKE)
app.command("train", rich_help_panel=MAKE)(train.train)
app.command("evaluate", rich_help_panel=MAKE)(evaluate.evaluate)
app.command("export", rich_help_panel=MAKE)(export.export)
app.command("train-detector", rich_help_panel=MAKE)(train_detector.train_detector)
app.command("evaluate-detector", rich_help_panel=MAKE)(evaluate_detector.evaluate_detector)
app.command("export-detector", rich_help_panel=MAKE)(train_detector.export_detector)
app.command("card", rich_help_panel=MAKE)(card.card)


EXTRAS = {
    **dict.fromkeys(("pyarrow", "fsspec", "filelock", "av", "norfair"), "annotate"),
    "ray": "cluster",
}
"""The extra that installs a missing package; all other packages belong to ``train``."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mien {mien.__version__}")
        raise typer.Exit


@app.callback()
def help_or_version(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Apparent age and perceived gender from photos of faces."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line; an error of the user is one sentence on stderr and exit status 2."""
    if getattr(sys, "frozen", False):  # a frozen program starts its workers as itself
        from multiprocessing import freeze_support

        freeze_support()
    try:
        _open_output()
        try:
            app(prog_name="mien")
        finally:
            sys.stdout.flush()
    except MienError as error:
        print(f"mien: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from None
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0], "train")
        print(f"mien: this needs the package {error.name!r}: pip install 'mien[{extra}]'", file=sys.stderr)
        raise SystemExit(2) from None
    except UnicodeEncodeError as error:  # in a table, which pandas stores as UTF-8 if pyarrow is installed
        print(f"mien: the name {error.object!r} is not valid UTF-8; rename that file.", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.filename is not None:
            print(f"mien: {error.filename}: {error.strerror or error}.", file=sys.stderr)
            raise SystemExit(2) from None
        _give_up_output()  # its disk is full
        print(f"mien: the output cannot be written ({error.strerror or error}).", file=sys.stderr)
        raise SystemExit(1) from None


def _open_output() -> None:
    """Check that the output is open, and print characters that its encoding lacks as escapes."""
    if sys.stderr is None:  # print() would write to standard output instead, and workers would not start
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # as long as the process runs
    if sys.stdout is None:
        raise MienError("Standard output is closed; redirect it to a file, or to /dev/null.")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _give_up_output() -> None:
    """Discard the rest of the buffer, which Python would otherwise try to write again at exit."""
    if isinstance(sys.stdout, TextIOWrapper):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
