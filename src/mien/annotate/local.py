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
"""Maximum number of photos in a batch; small, so that all workers stay busy to the end."""

BYTES = 32 * 2**20
"""Size at which a batch is full, whatever its number of photos."""

AHEAD = 2
"""Number of batches per worker that are waiting or in work."""


def batches(items: Iterable[Item], most: int = PHOTOS) -> Iterator[list[Item]]:
    """Group photos into batches of at most ``most``, or fewer once they carry :data:`BYTES`."""
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
    """Annotate photos in several processes on this machine.

    Args:
        items: The photos, read lazily.
        load: Makes the annotator in each worker.
        workers: Number of processes.
        time_limit: Seconds that a photo may take.

    Yields:
        The rows of a batch of photos, in the order in which batches are done.

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
            stack.callback(worker.close)  # the threads wait for the workers, so workers have to end first
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
