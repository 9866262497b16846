"""The engine for several machines, on Ray Data; needs the extra ``mien[cluster]``."""

import logging
import os
import pickle
import socket
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from mien.annotate.child import TIME_LIMIT
from mien.annotate.items import Names
from mien.annotate.local import batches
from mien.annotate.schema import Rows
from mien.annotate.sources import ListSource, PlaceSource, Source, find_sources
from mien.annotate.worker import Load, Worker
from mien.errors import AnnotationError

PHOTOS = 32
"""Maximum number of photos in a batch for an actor."""

READERS = 64
"""Maximum number of tasks that read sources; each reads its sources one after the other."""

SETTINGS = {
    "enable_progress_bars": False,
    "target_max_block_size": 1,  # so that each row is passed on at once
    "max_consecutive_actor_init_deaths": 3,  # an actor may die during its start, if its machine does
}
"""Settings of Ray Data during annotation."""

KNOCK = 10
"""Seconds that the address of a cluster has to accept a connection."""

HANDFUL = 1000
"""Number of photos given one by one that are joined into one source."""


class _Annotator:
    """A Ray actor with a worker process, so that a photo that kills the process does not kill the actor."""

    def __init__(self, load: Load, time_limit: float, folder: str) -> None:
        _enter(folder)
        self._worker = Worker(load, time_limit)

    def __call__(self, batch: Mapping[str, Sequence[bytes]]) -> dict[str, list[bytes]]:
        return {"rows": [pickle.dumps(self._worker.look(pickle.loads(items))) for items in batch["items"]]}


class _Reader:
    """Reads sources into rows, each with a batch of photos."""

    def __init__(self, done: Names, folder: str) -> None:
        self._done = done
        self._folder = folder

    def __call__(self, row: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
        _enter(self._folder)
        sources: Sequence[Source] = pickle.loads(row["sources"])
        for source in sources:
            for batch in batches(source.items(lambda name: name not in self._done), PHOTOS):
                yield {"items": pickle.dumps(batch)}


def look_on_cluster(
    sources: Iterable[Source],
    done: Names,
    load: Load,
    workers: int | None,
    time_limit: float = TIME_LIMIT,
) -> Generator[list[Rows]]:
    """Annotate photos on a cluster: Ray reads them, spreads the work over actors, and replaces dead actors.

    The process must be :func:`connected` to the cluster.

    Args:
        sources: Sources of the photos; every machine must be able to read them.
        done: Photos to skip.
        load: Makes the annotator in each worker.
        workers: Maximum number of actors; None for as many as the processors that the cluster has or adds.
        time_limit: Seconds that a photo may take.

    Yields:
        The rows of a batch of photos, in the order in which batches are done.

    Raises:
        AnnotationError: If Ray fails.
    """
    import ray
    import ray.data
    import ray.exceptions

    context = ray.data.DataContext.get_current()
    before = {name: getattr(context, name) for name in SETTINGS}
    for name, value in SETTINGS.items():
        setattr(context, name, value)
    folder = os.getcwd()
    try:
        groups = _groups(sources)
        rows = ray.data.from_items(
            [{"sources": pickle.dumps(group)} for group in groups], override_num_blocks=len(groups)
        )
        rows = rows.flat_map(_Reader(done, folder), num_cpus=0.01)
        pool = ray.data.ActorPoolStrategy(min_size=1, max_size=workers)
        rows = rows.map_batches(
            _Annotator,
            fn_constructor_args=(load, time_limit, folder),
            batch_size=1,
            compute=pool,
            num_cpus=0.95,
            zero_copy_batch=True,
        )
        for row in rows.iter_rows():
            yield pickle.loads(row["rows"])
    except ray.exceptions.RayError as error:
        raise AnnotationError(
            f"Ray failed ({str(error).strip().splitlines()[-1]}); run the same command again to continue "
            "from here.",
            1,
        ) from None
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def _enter(folder: str) -> None:
    """Change to the program's working directory, if this machine has it, so that relative paths hold."""
    with suppress(OSError):
        os.chdir(folder)


@contextmanager
def connected() -> Iterator[None]:
    """Connect to a Ray cluster for the length of the block.

    The cluster is the one at ``RAY_ADDRESS``, or the one that this machine belongs to, or else a local one
    that ends with the block. An existing connection of the program is used and kept.

    Raises:
        AnnotationError: If there is no Ray at ``RAY_ADDRESS``, or none can be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or Ray may send usage statistics
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # failures raise exceptions anyway
    if ray.is_initialized():
        yield
        return
    _start()
    try:
        yield
    finally:
        ray.shutdown()


def _start() -> None:
    import ray

    address = os.environ.get("RAY_ADDRESS", "")
    try:
        _knock(address)
        with _without_stderr():
            ray.init(
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                include_dashboard=False,
                configure_logging=False,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise AnnotationError(
            f"There is no Ray at {address or 'hand'} ({str(error).strip().splitlines()[0]}); start one with "
            "'ray start', or leave RAY_ADDRESS empty for one that lasts as long as the work."
        ) from None


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Hide the messages of Ray's C++ parts during their start; no setting of Ray does that."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _knock(address: str) -> None:
    """Check that an address accepts connections, since Ray itself would try for minutes.

    Raises:
        OSError: If it does not.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK).close()


def _groups(sources: Iterable[Source]) -> list[list[Source]]:
    """Divide the sources among at most :data:`READERS` readers."""
    groups: list[list[Source]] = []
    for i, source in enumerate(_handfuls(sources)):
        if i < READERS:
            groups.append([])
        groups[i % READERS].append(source)
    return groups or [[]]


def _handfuls(sources: Iterable[Source]) -> Iterator[Source]:
    """Join photos given one by one into larger sources; read lists here, on the machine that has them."""
    places: list[str] = []
    for source in _unlisted(sources):
        if isinstance(source, PlaceSource):
            places += source.places
        else:
            yield source
        if len(places) >= HANDFUL:
            yield PlaceSource(tuple(places))
            places = []
    if places:
        yield PlaceSource(tuple(places))


def _unlisted(sources: Iterable[Source]) -> Iterator[Source]:
    for source in sources:
        if isinstance(source, ListSource):
            yield from find_sources(source.lines(), listed=True)
        else:
            yield source
