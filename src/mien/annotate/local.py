"""The engine for one machine: one process per core, each with its own model."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from queue import SimpleQueue

from mien.annotate.child import TIME_LIMIT
from mien.annotate.items import Item
from mien.annotate.schema import Rows
from mien.annotate.worker import Load, Worker

PHOTOS = 4
"""That a worker is handed at a time; so few that all have work to the end."""

BYTES = 32 * 2**20
"""That they carry, about, at most."""

AHEAD = 2
"""Batches that wait for each worker or are in its hands."""


def batches(items: Iterable[Item], most: int = PHOTOS) -> Iterator[list[Item]]:
    """Photos in the handfuls that workers take: so many at most, fewer if they carry many bytes."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == most or sum(item.size for item in batch) >= BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def look_locally(
    items: Iterable[Item], load: Load, workers: int, time_limit: float = TIME_LIMIT
) -> Generator[list[Rows]]:
    """Look at photos with all cores.

    Args:
        items: The photos, read lazily.
        load: Makes what looks at the photos, in each worker.
        workers: Processes.
        time_limit: Seconds that a photo may take.

    Yields:
        The rows of some photos, in the order in which they are done.

    Raises:
        MienError: If no worker can be started.
    """
    idle: SimpleQueue[Worker] = SimpleQueue()

    def look(batch: Sequence[Item]) -> list[Rows]:
        worker = idle.get()
        try:
            return worker.look(batch)
        finally:
            idle.put(worker)

    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(workers))
        for _ in range(workers):
            worker = Worker(load, time_limit)
            stack.callback(worker.close)  # before the threads end, which wait for the workers
            idle.put(worker)
        running: set[Future[list[Rows]]] = set()
        stack.callback(lambda: [future.cancel() for future in running])
        for batch in batches(items):
            running.add(threads.submit(look, batch))
            if len(running) >= AHEAD * workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
