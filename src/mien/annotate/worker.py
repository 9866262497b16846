"""A process that looks at photos; whatever a photo does to it, the rest goes on."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Protocol, TypeAlias

from mien.annotate.items import Item
from mien.annotate.schema import Rows, failed_rows
from mien.errors import MienError


class Looks(Protocol):
    """What a worker's process holds, such as a :class:`~mien.annotate.look.Looker`."""

    def look(self, item: Item) -> Rows:
        """A photo's rows."""


Load: TypeAlias = Callable[[], Looks]
"""Called in the worker's process, so it has to be picklable."""


class _Died(Exception):
    """The process ended while it had work."""


class Worker:
    """One process with one model and one thread, started when it is needed and anew when it has died.

    Args:
        load: Makes what looks at the photos.
    """

    def __init__(self, load: Load) -> None:
        """Nothing is started yet."""
        self._load = load
        self._closed = False
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None

    def look(self, batch: Sequence[Item]) -> list[Rows]:
        """Look at photos. If the process dies, each is tried alone, and what kills it again has an error.

        Raises:
            MienError: If no process can be started.
        """
        try:
            return self._ask(batch)
        except _Died:
            pass
        rows = []
        for item in batch:
            self._make_sure()
            try:
                rows += self._ask([item])
            except _Died:
                rows.append(failed_rows(item.name, _died(item)))
        return rows

    def close(self) -> None:
        """End the process for good, in the middle of its work if need be, which another thread waits for."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def _ask(self, batch: Sequence[Item]) -> list[Rows]:
        if self._connection is None:
            self._connection = self._start()
        try:
            self._connection.send(batch)
            rows: list[Rows] = self._connection.recv()
        except (EOFError, OSError):
            self._connection.close()
            self._connection = None
            raise _Died from None
        return rows

    def _make_sure(self) -> None:
        """See that a process stands, before a photo is blamed for its end."""
        try:
            self._ask([])
        except _Died:
            raise MienError(
                "The processes that look at photos cannot be started; free some memory, or give fewer "
                "--workers."
            ) from None

    def _start(self) -> Connection:
        if self._closed:
            raise _Died
        context = multiprocessing.get_context("spawn")  # a fork would inherit ONNX Runtime's dead threads
        ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._load), daemon=True)
        self._process.start()
        theirs.close()  # so that its end is seen here
        return ours


def _serve(connection: Connection, load: Load) -> None:
    """What the process does, until the one that started it closes the connection, or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that hands out the work
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    looker = load()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries say of a broken photo is in its row
    try:
        while True:
            connection.send([looker.look(item) for item in connection.recv()])
    except (EOFError, OSError):
        return


def _died(item: Item) -> str:
    return f"{item.name} ended the process that read it, twice; save the photo anew, or leave it out."
