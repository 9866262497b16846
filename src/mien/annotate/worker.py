"""A process that annotates photos; a photo that kills or hangs the process does not stop the run."""

from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Protocol, TypeAlias

from mien.annotate.child import TIME_LIMIT, Child, Died, Hung, be_quiet
from mien.annotate.items import Item
from mien.annotate.schema import Rows, failed_rows
from mien.errors import MienError


class Looks(Protocol):
    """The annotator in a worker's process, such as a :class:`~mien.annotate.look.Looker`."""

    def look(self, item: Item) -> Rows:
        """The rows of a photo."""


Load: TypeAlias = Callable[[], Looks]
"""Makes the annotator; called in the worker's process, so it must be picklable."""


class Worker:
    """One process with one model and one thread, started on demand and restarted if it has ended.

    Args:
        load: Makes the annotator in the process.
        time_limit: Seconds that a photo may take.
    """

    def __init__(self, load: Load, time_limit: float = TIME_LIMIT) -> None:
        """Nothing is started yet."""
        self._load = load
        self._time_limit = time_limit
        self._closed = False
        self._child: Child | None = None

    def look(self, batch: Sequence[Item]) -> list[Rows]:
        """Annotate photos; return the rows of each, in the same order.

        A photo that takes too long, or that kills the process twice, gets a row with an error.

        Raises:
            MienError: If no process can be started.
        """
        rows: list[Rows] = []
        while len(rows) < len(batch):
            try:
                for row in self._ask(batch[len(rows) :]):
                    rows.append(row)
            except Hung:
                rows.append(self._hung(batch[len(rows)]))
            except Died:
                rows.append(self._again(batch[len(rows)]))
        return rows

    def close(self) -> None:
        """Kill the process for good, even while another thread waits for its results."""
        self._closed = True
        if self._child is not None:
            self._child.end()

    def _ask(self, batch: Sequence[Item]) -> Iterator[Rows]:
        """Yield the rows of each photo as soon as they arrive.

        Raises:
            Died: If the process dies.
            Hung: If a photo takes too long.
        """
        try:
            child = self._child or self._start()
            child.send(batch)
            for _ in batch:
                yield child.receive(self._time_limit)
        except (Died, Hung):
            self._child = None
            raise

    def _again(self, item: Item) -> Rows:
        """Annotate a photo that killed the process once more, in a new process.

        Raises:
            MienError: If no process can be started.
        """
        try:
            self._start()
        except Died:
            raise MienError(
                "The processes that look at photos cannot be started; free some memory, or give fewer "
                "--workers."
            ) from None
        try:
            return next(self._ask([item]))
        except Hung:
            return self._hung(item)
        except Died:
            return failed_rows(item.name, _died(item))

    def _hung(self, item: Item) -> Rows:
        error = f"{item.name} took longer than {self._time_limit:g} s; save it anew, or leave it out."
        return failed_rows(item.name, error, self._time_limit)

    def _start(self) -> Child:
        if self._closed:
            raise Died
        self._child = child = Child(_serve, self._load)
        child.receive(None)  # wait until the model is loaded
        return child


def _serve(connection: Connection, load: Load) -> None:
    """Load the annotator, then annotate each batch of photos that arrives."""
    looker = load()
    be_quiet()
    connection.send(None)
    while True:
        for item in connection.recv():
            connection.send(looker.look(item))


def _died(item: Item) -> str:
    return f"{item.name} ended the process that read it, twice; save the photo anew, or leave it out."
