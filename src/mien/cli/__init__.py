"""The command line: parses, calls, prints. Every command imports what it needs when it runs."""

import sys

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
app.command("predict")(predict.predict)
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
        app()
    except MienError as error:
        print(f"mien: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from None
    except ModuleNotFoundError as error:
        print(f"mien: this needs the package {error.name!r}: pip install 'mien[train]'", file=sys.stderr)
        raise SystemExit(2) from None
