"""``mien serve``."""

import inspect
import os
import sys
import threading
from collections.abc import Callable
from typing import Annotated, Any

import typer

from mien.web.settings import Settings, load_settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


def _with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one flag for each of the server's settings."""
    flags = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = ",".join(default) if isinstance(default, tuple) else default
        option = typer.Option(
            f"--{name.replace('_', '-')}",
            metavar="NUMBER" if isinstance(default, int | float) else "TEXT",
            help=field.description,
            show_default=False if shown in (None, "") else str(shown),
        )
        kind = inspect.Parameter.KEYWORD_ONLY
        annotation = Annotated[str | None, option]
        flags.append(inspect.Parameter(name, kind, default=None, annotation=annotation))
    command.__signature__ = inspect.Signature(flags)  # type: ignore[attr-defined]  # read by typer
    return command


@app.command("serve")
@_with_flags
def serve(**given: Any) -> None:
    """Serve the web page and the REST API.

    Photos are read in memory, never stored, and neither their content nor their names are logged. Every
    flag can also be set by a variable: --max-files by MIEN_MAX_FILES, for example; the flag takes precedence.
    """
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    from mien.web.server import serve as run

    run(settings)
    _leave()


def _leave() -> None:
    """End the process even if a thread is stuck in a photo: the interpreter would wait for it."""
    from mien.web.service import THREADS

    threads = [thread for thread in threading.enumerate() if thread.name.startswith(THREADS)]
    for thread in threads:
        thread.join(0.5)
    if any(thread.is_alive() for thread in threads):
        sys.stderr.flush()
        os._exit(0)
