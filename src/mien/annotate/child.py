"""A process that works for this one. It may die or hang, which is noticed, and can be ended at any time."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

TIME_LIMIT = 120.0
"""Seconds that a photo may take, or a film to its next frame."""


class Died(Exception):
    """The process ended while it had work."""


class Hung(Exception):
    """The process said nothing for too long, and was ended."""


class Child:
    """A process and the connection to it. It says nothing on standard error, and heeds no Ctrl-C.

    Args:
        work: What it does, in a module that it can import; called with the connection and the arguments.
        arguments: To be pickled.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        """Start it."""
        context = multiprocessing.get_context("spawn")  # a fork would inherit ONNX Runtime's dead threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, work, arguments), daemon=True)
        self._process.start()
        theirs.close()  # so that its end is seen here

    def send(self, message: Any) -> None:
        """Give it something; whether it is still there, :meth:`receive` tells."""
        with suppress(OSError):
            self._connection.send(message)

    def receive(self, seconds: float | None) -> Any:
        """The next that it says.

        Args:
            seconds: To wait for that; None for as long as it takes.

        Raises:
            Died: If it ends first.
            Hung: If it takes longer; it is ended then.
        """
        try:
            if not self._connection.poll(seconds):
                self.end()
                raise Hung
            return self._connection.recv()
        except (EOFError, OSError):
            raise Died from None

    def end(self) -> None:
        """End it, in the middle of its work if need be."""
        self._process.kill()
        self._process.join()


def _run(connection: Connection, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """What the process does, until the one that started it closes the connection, or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that hands out the work
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        work(connection, *arguments)
    except (EOFError, OSError):
        return


def be_quiet() -> None:
    """Keep from standard error what libraries say of broken files: it is in the tables."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
