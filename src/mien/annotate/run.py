"""Annotating a collection, from its sources to its tables."""

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, Literal

from mien.annotate.child import TIME_LIMIT
from mien.annotate.dataset import Dataset
from mien.annotate.items import Item
from mien.annotate.local import look_locally
from mien.annotate.look import Looker, Setup
from mien.annotate.monitor import Monitor
from mien.annotate.record import Counts, Record
from mien.annotate.schema import Rows
from mien.annotate.signals import Signals
from mien.annotate.single_file import folder_of, is_single, refuse_strangers, write_single
from mien.annotate.sources import ListSource, Source, find_sources
from mien.annotate.storage import storage_at
from mien.errors import AnnotationError
from mien.processors import processors

Engine = Literal["local", "ray"]

NAMED = 10
"""So many failed photos are named at the end."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Attributes:
        output: Where the tables are.
        before: Photos that were done already.
        counts: Of the whole collection.
        seconds: That the run took.
        failures: Names and errors of the first photos that failed.
        device: What the model ran on.
    """

    output: str
    before: int
    counts: Counts
    seconds: float
    failures: Sequence[tuple[str, str]]
    device: str


def annotate(
    sources: Sequence[str],
    output: str,
    setup: Setup,
    *,
    engine: Engine = "local",
    workers: int | None = None,
    separator: bytes = b"\n",
    time_limit: float = TIME_LIMIT,
    retry_failed: bool = False,
    quiet: bool = False,
) -> Summary:
    """Estimate every face of a collection of photos, and write tables of the photos and of the faces.

    What is done already is left out, so a run that was stopped goes on when it is called again.

    Args:
        sources: Folders, photos, patterns, archives, Parquet files, addresses, ``@list`` or ``-``.
        output: A folder, or a file that ends in .parquet, .csv or .jsonl.
        setup: What is asked of each photo.
        engine: ``local`` for the cores of this machine, ``ray`` for a cluster.
        workers: Processes at most; None for one a core.
        separator: Between the entries of lists.
        time_limit: Seconds that a photo may take; then its process is ended, and its row has an error.
        retry_failed: Whether to look again at photos that could not be read.
        quiet: Whether to show no progress.

    Raises:
        AnnotationError: If the model cannot answer what is asked, the output cannot be written, the sources
            hold no photo, or the run was stopped.
        MienError: If something given cannot be used.
    """
    started = time.monotonic()
    record, schema = _checked(setup)
    found = list(find_sources(sources, separator=separator))
    dataset = Dataset(storage_at(folder_of(output)), record, schema)
    if is_single(output):
        refuse_strangers(output, dataset)
    items = _peeked(found, dataset, sources, twice=engine == "ray")
    signals = Signals()
    with _cluster(engine), signals.heeded():  # in this order: Ray takes SIGTERM for itself
        try:
            with dataset.opened(retry_failed=retry_failed):
                before = replace(dataset.counts)
                load = partial(Looker, setup)
                look = partial(_look, engine, found, items, dataset, load, workers, time_limit)
                with Monitor(found, before, wanted=not quiet) as monitor, closing(look()) as results:
                    for rows in results:
                        with signals.deferred():
                            dataset.add(rows)
                        monitor.update(dataset.counts)
                with signals.deferred():
                    dataset.commit()
                if is_single(output):
                    write_single(output, dataset, schema)
                failures = list(dataset.failures(NAMED))
        except KeyboardInterrupt:
            raise _stopped(dataset, signals.received) from None
    seconds = time.monotonic() - started
    return Summary(output, before.photos, dataset.counts, seconds, failures, record.device)


def _checked(setup: Setup) -> tuple[Record, Any]:
    """What a collection is made with, and the schema of its faces; each worker will load its own model."""
    try:
        looker = Looker(setup)
    except ValueError as refusal:
        raise AnnotationError(f"{refusal}.") from None
    return Record.of(looker), looker.schema()


def _cluster(engine: Engine) -> AbstractContextManager[None]:
    if engine == "local":
        return nullcontext()
    from mien.annotate.cluster import connected

    return connected()


def _look(
    engine: Engine,
    found: Sequence[Source],
    items: Iterable[Item],
    dataset: Dataset,
    load: partial[Looker],
    workers: int | None,
    time_limit: float,
) -> Generator[list[Rows]]:
    if engine == "ray":
        from mien.annotate.cluster import look_on_cluster

        return look_on_cluster(found, dataset.done, load, workers, time_limit)
    wanted = (item for item in items if item.name not in dataset.done)
    return look_locally(wanted, load, workers or processors(), time_limit)


def _peeked(found: Sequence[Source], dataset: Dataset, given: Sequence[str], twice: bool) -> Iterator[Item]:
    """The photos of all sources, of which the first was looked for.

    Args:
        found: The sources.
        dataset: What of them is done is left out.
        given: The sources as given, for the message.
        twice: Whether the sources will be read again: then a list that comes by a pipe is not looked into.

    Raises:
        AnnotationError: If there is none.
    """
    if twice and any(isinstance(source, ListSource) and source.count() is None for source in found):
        return iter(())
    items = (item for source in found for item in source.items(lambda name: name not in dataset.done))
    first = next(items, None)
    if first is None:
        raise AnnotationError(
            f"There is no photo in {', '.join(given)}: no name there ends in .jpg, .png, .heic or another "
            "ending of photos."
        )
    return chain([first], items)


def _stopped(dataset: Dataset, signum: int) -> AnnotationError:
    return AnnotationError(
        f"Stopped. {dataset.counts.photos:,} photos are done; run the same command again for the rest.",
        128 + signum,
    )
