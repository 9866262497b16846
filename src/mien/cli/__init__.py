"""The command line: parses, calls, prints. Every command imports what it needs when it runs."""

import os
import sys
from io import TextIOWrapper

import typer

from mien.cli import card, data, evaluate, evaluate_detector, export, predict, serve, train, train_detector
from mien.errors import MienError

app = typer.Typer(
    name="mien",
    help="Apparent age and perceived gender from photos of faces.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("predict", cls=predict.PhotoCommand)(predict.predict)
app.command("serve")(serve.serve)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("evaluate-detector")(evaluate_detector.evaluate_detector)
app.command("train-detector")(train_detector.train_detector)
app.command("export")(export.export)
app.command("export-detector")(train_detector.export_detector)
app.command("card")(card.card)


def main() -> None:
    """Run the command line; what a user did wrong is one sentence on stderr and exit status 2."""
    try:
        _open_output()
        try:
            app()
        finally:
            sys.stdout.flush()
    except MienError as error:
        print(f"mien: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from None
    except ModuleNotFoundError as error:
        print(f"mien: this needs the package {error.name!r}: pip install 'mien[train]'", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # a full disk
        _give_up_output()
        print(
            f"mien: {error.filename or 'the output'} cannot be written ({error.strerror}).", file=sys.stderr
        )
        raise SystemExit(1) from None


def _open_output() -> None:
    """See that there is somewhere to print to, and that what its encoding lacks is printed as escapes."""
    if sys.stdout is None:
        raise MienError("Standard output is closed; redirect it to a file, or to /dev/null.")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _give_up_output() -> None:
    """What is left in the buffer cannot be written either; Python would try it, and fail, once more."""
    if isinstance(sys.stdout, TextIOWrapper):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
