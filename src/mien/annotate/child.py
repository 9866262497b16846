"""A child process that can be killed at any time, with detection of a dead or hung process."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

TIME_LIMIT = 120.0
"""Seconds that a photo, or the next frame of a film, may take."""


class Died(Exception):
    """The process ended while it had work."""


class Hung(Exception):
    """The process sent nothing for too long, and was killed."""


class Child:
    """A child process that ignores Ctrl-C, and the connection to it.

    Args:
        work: Function that the process runs, from an importable module; called with the process's end of the
            connection and the arguments.
        arguments: Further arguments of ``work``; they must be picklable.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        """Start the process."""
        context = multiprocessing.get_context("spawn")  # a fork would copy ONNX Runtime without its threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, work, arguments), daemon=True)
        self._process.start()
        theirs.close()  # so that reading fails here when the process ends

    def send(self, message: Any) -> None:
        """Send a message; if the process has died, only :meth:`receive` reports it."""
        with suppress(OSError):
            self._connection.send(message)

    def receive(self, seconds: float | None) -> Any:
        """Receive the next message of the process.

        Args:
            seconds: Maximum time to wait; None for no limit.

        Raises:
            Died: If the process ends first.
            Hung: If the process takes longer; it is killed then.
        """
        try:
            if not self._connection.poll(seconds):
                self.end()
                raise Hung
            return self._connection.recv()
        except (EOFError, OSError):
            raise Died from None

    def end(self) -> None:
        """Kill the process, even during its work."""
        self._process.kill()
        self._process.join()


def _run(connection: Connection, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Run ``work`` in the child process until the parent closes the connection or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        work(connection, *arguments)
    except (EOFError, OSError):
        return


def be_quiet() -> None:
    """Discard standard error, where libraries complain about damaged files; the tables hold those errors."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
