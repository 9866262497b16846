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
"""Number of failed photos that the summary names."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Result of a run.

    Attributes:
        output: Path or address of the tables.
        before: Number of photos that earlier runs had done.
        counts: Counts of the whole collection.
        seconds: Duration of the run.
        failures: Names and errors of the first failed photos.
        device: Device that the model ran on.
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

    Photos that are already in the tables are skipped, so a second call resumes a run that was stopped.

    Args:
        sources: Folders, photos, patterns, archives, Parquet files, addresses, ``@list`` or ``-``.
        output: A folder, or a file that ends in .parquet, .csv or .jsonl.
        setup: The request, model and device for every photo.
        engine: ``local`` for the cores of this machine, ``ray`` for a cluster.
        workers: Maximum number of processes; None for one per core.
        separator: Separator between the entries of lists.
        time_limit: Seconds that a photo may take; after that its process is ended, and its row has an error.
        retry_failed: Whether to try again photos that could not be read.
        quiet: Whether to hide the progress bar.

    Raises:
        AnnotationError: If the model does not support the request, the output cannot be written, the sources
            hold no photo, or the run was stopped.
        MienError: If a source, the model, the detector or the device cannot be used.
    """
    started = time.monotonic()
    record, schema = _checked(setup)
    found = list(find_sources(sources, separator=separator))
    dataset = Dataset(storage_at(folder_of(output)), record, schema)
    if is_single(output):
        refuse_strangers(output, dataset)
    items = _peeked(found, dataset, sources, twice=engine == "ray")
    signals = Signals()
    with _cluster(engine), signals.heeded():  # in this order, since Ray replaces the handler of SIGTERM
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
    """The record of this run and the schema of ``faces``; the model loaded here is not used any further."""
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
    """The photos of all sources, after a check that there is at least one.

    Args:
        found: The sources.
        dataset: The collection; its done photos are skipped.
        given: The sources as given, for the message.
        twice: Whether the sources will be read again. Then there is no check if a list comes from a pipe,
            which can be read only once.

    Raises:
        AnnotationError: If there is no photo.
    """
    if twice and any(isinstance(source, ListSource) and source.count() is None for source in found):
        return iter(())
    items = (item for source in found for item in source.items(lambda name: name not in dataset.done))
    first = next(items, None)
    if first is None:
        raise AnnotationError(
            f"There is no photo in {', '.join(given)}: no name there ends in .jpg, .png, .heic or another "
            "extension of photos."
        )
    return chain([first], items)


def _stopped(dataset: Dataset, signum: int) -> AnnotationError:
    return AnnotationError(
        f"Stopped. {dataset.counts.photos:,} photos are done; run the same command again for the rest.",
        128 + signum,
    )
