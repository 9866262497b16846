"""The engine for several machines: Ray Data; needs ``mien[cluster]``."""

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
"""That an actor is handed at a time."""

READERS = 64
"""Sources are read by so many tasks at most; each reads its sources one after the other."""

SETTINGS = {
    "enable_progress_bars": False,
    "target_max_block_size": 1,  # so each row goes on at once
    "max_consecutive_actor_init_deaths": 3,  # an actor may die while it starts, as its machine does
}
"""Of Ray Data, while it looks at photos."""

KNOCK = 10
"""Seconds in which a machine has to answer."""

HANDFUL = 1000
"""Photos that were named one by one go to a reader so many at a time."""


class _Annotator:
    """An actor of Ray: holds a worker, so that a photo that ends the worker does not end the actor."""

    def __init__(self, load: Load, time_limit: float, folder: str) -> None:
        _enter(folder)
        self._worker = Worker(load, time_limit)

    def __call__(self, batch: Mapping[str, Sequence[bytes]]) -> dict[str, list[bytes]]:
        return {"rows": [pickle.dumps(self._worker.look(pickle.loads(items))) for items in batch["items"]]}


class _Reader:
    """Reads sources as rows of a few photos each."""

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
    """Look at photos with all of a cluster: Ray reads, spreads the work over actors, and replaces what dies.

    It is the cluster that the process is :func:`connected` to.

    Args:
        sources: Of the photos; what they name has to be within reach of every machine.
        done: Photos to leave out.
        load: Makes what looks at photos, in each worker.
        workers: Actors at most; None for as many as the cluster has, or gets, processors for.
        time_limit: Seconds that a photo may take.

    Yields:
        The rows of some photos, in the order in which they are done.

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
            f"Ray failed ({str(error).strip().splitlines()[-1]}); run the same command again, which goes on "
            "from here.",
            1,
        ) from None
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def _enter(folder: str) -> None:
    """Go where the program was started, so that its relative paths hold, if the machine has that folder."""
    with suppress(OSError):
        os.chdir(folder)


@contextmanager
def connected() -> Iterator[None]:
    """Be connected to a cluster for the length of the block.

    It is that of ``RAY_ADDRESS``, or the one that this machine belongs to, or else a local one that ends with
    the block. What the program is connected to already is left as it is.

    Raises:
        AnnotationError: If there is no Ray at ``RAY_ADDRESS``, or none can be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray may report its use to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is raised
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
    """Keep from the terminal what Ray's parts in C++ say while they start, which no setting does."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _knock(address: str) -> None:
    """See that something answers at an address: Ray itself tries for minutes.

    Raises:
        OSError: If nothing does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK).close()


def _groups(sources: Iterable[Source]) -> list[list[Source]]:
    """The sources for each reader."""
    groups: list[list[Source]] = []
    for i, source in enumerate(_handfuls(sources)):
        if i < READERS:
            groups.append([])
        groups[i % READERS].append(source)
    return groups or [[]]


def _handfuls(sources: Iterable[Source]) -> Iterator[Source]:
    """Sources of a size that is worth a reader's while; lists are read here, where they are."""
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
