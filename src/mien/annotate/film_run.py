"""Annotating films, one after the other, with all cores on each."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mien.annotate.child import TIME_LIMIT
from mien.annotate.dataset import Dataset
from mien.annotate.film_reader import FilmReader
from mien.annotate.film_tables import FILMS, FilmTables
from mien.annotate.films import is_camera
from mien.annotate.frames import Film
from mien.annotate.items import printable_name
from mien.annotate.look import Looker, Setup
from mien.annotate.marking import check_target, save_marked
from mien.annotate.record import Counts, Record
from mien.annotate.run import NAMED
from mien.annotate.schema import failed_rows
from mien.annotate.signals import Signals
from mien.annotate.single_file import folder_of, is_single, refuse_strangers, write_single
from mien.annotate.storage import storage_at
from mien.annotate.summary import count, duration
from mien.annotate.tracks import Cuts, Moment, Tracks
from mien.errors import AnnotationError, ImageError
from mien.pipeline.images import Pixels
from mien.progress import progress_bar

PACKAGES = ("av", "norfair-enough")
"""Further packages that the results of films depend on."""

RENEWED = 30
"""Minimum seconds between two renewals of the lock."""


@dataclass(slots=True)
class FilmSummary:
    """Result of a run on films.

    Attributes:
        output: Path or address of the tables.
        device: Device that the model ran on.
        before: Number of films that earlier runs had done.
        counts: Counts of the whole collection; a film counts as a photo.
        frames: Number of frames that this run annotated.
        people: Number of tracks of this run; a person gets a new track after a cut or an absence.
        seconds: Duration of the run.
        failures: Names and errors of the first failed films.
        notes: Sentences about films that are damaged or break off.
    """

    output: str
    device: str
    before: int
    counts: Counts
    frames: int = 0
    people: int = 0
    seconds: float = 0.0
    failures: Sequence[tuple[str, str]] = ()
    notes: list[str] = field(default_factory=list)


def annotate_films(
    films: Sequence[str],
    output: str,
    setup: Setup,
    *,
    every: float = 0.2,
    save: Path | None = None,
    time_limit: float = TIME_LIMIT,
    retry_failed: bool = False,
    quiet: bool = False,
) -> FilmSummary:
    """Estimate the faces of films, track the people in them, and write tables of films, faces and people.

    A second call skips films that are done and restarts an unfinished film. A camera is done when the run is
    stopped.

    Args:
        films: Paths of films and devices of cameras, as :func:`~mien.annotate.films.find_films` finds them.
        output: A folder, or a file that ends in .parquet, .csv or .jsonl.
        setup: The request, model and device for every frame.
        every: Seconds between annotated frames; 0 for all frames.
        save: File for a copy of the film with its people marked; only for a single film.
        time_limit: Seconds that the next frame of a film may take to decode.
        retry_failed: Whether to try again films that could not be read.
        quiet: Whether to hide the progress bars.

    Raises:
        AnnotationError: If the output cannot be written, or the run was stopped.
        MienError: If a film, the model, the detector or the device cannot be used.
        ValueError: If the model does not support the request.
    """
    started = time.monotonic()
    if save is not None:
        check_target(save, films)
    looker = Looker(setup)
    record, schema = _record(looker, every), looker.schema()
    dataset = Dataset(storage_at(folder_of(output)), record, schema, FILMS)
    if is_single(output):
        refuse_strangers(output, dataset)
    signals = Signals()
    with (
        FilmReader(every, time_limit) as reader,
        signals.heeded(),
        dataset.opened(retry_failed=retry_failed),
    ):
        summary = FilmSummary(output, record.device, dataset.counts.photos, dataset.counts)
        run = _Run(looker, dataset, every, signals, summary, reader, quiet)
        try:
            for film in films:
                if film not in dataset.done and not signals.received:
                    run.look(film)
            failed = {name for name, _ in dataset.failures(len(dataset.parts))}
            if save is not None and printable_name(films[0]) not in failed:
                save_marked(Film(films[0]), dataset, every, save, wanted=not quiet)
            if is_single(output):
                write_single(output, dataset, schema)
        except KeyboardInterrupt:
            raise _stopped(signals.received) from None
        summary.failures = list(dataset.failures(NAMED))
    summary.seconds = time.monotonic() - started
    return summary


@dataclass(slots=True)
class _Run:
    """Annotates films, one at a time."""

    looker: Looker
    dataset: Dataset
    every: float
    signals: Signals
    summary: FilmSummary
    reader: FilmReader
    quiet: bool
    renewed: float = 0.0

    def look(self, place: str) -> None:
        """Annotate a film and write its tables, or the reason why it cannot be read."""
        start = time.perf_counter()
        try:
            self.reader.open(place)
            with self.signals.deferred() if is_camera(place) else nullcontext():
                self._look(start)
        except KeyboardInterrupt:
            if not is_camera(place):
                raise
        except ImageError as error:
            self.dataset.add([failed_rows(printable_name(place), str(error), time.perf_counter() - start)])
            self.dataset.commit()
            return
        if (note := self.reader.film.note()) is not None:
            self.summary.notes.append(note)

    def _look(self, start: float) -> None:
        schema = self.looker.schema()
        with (
            self.dataset.storage.scratch() as folder,
            self.dataset.writing(),
            FilmTables(folder, schema, self.reader.film.name) as tables,
        ):
            row = self._fill(tables) | {"seconds": time.perf_counter() - start}
            self.summary.frames += row["frames"]
            self.summary.people += tables.tracks
            with self.signals.deferred():
                self.dataset.add_film(row, tables.files)

    def _fill(self, tables: FilmTables) -> dict[str, Any]:
        """Write the tables of the open film, and return its row in ``photos``.

        Raises:
            ImageError: If the film cannot be read, or has no readable frame.
        """
        film = self.reader.film
        spacing = max(self.every, film.spacing)
        tracks, moments, frames, size = Tracks(spacing), deque[Moment](), 0, (0, 0)
        request = replace(self.looker.request, distribution=True)
        results = self.looker.predictor.predict_many(self._pictures(moments), request)
        with progress_bar(wanted=not self.quiet) as bar:
            task = bar.add_task(f"Frames of {film.name}", total=film.seconds and film.seconds // spacing + 1)
            for result in results:
                moment = moments.popleft()
                tables.add_faces(moment, result.faces, tracks.follow(moment, result))
                for track in tracks.ended():
                    tables.add_track(track)
                frames, size = frames + 1, result.size
                bar.advance(task)
                self._renew()
        if not frames:
            raise ImageError(f"{film.name} has no frame that can be read; copy it again.")
        for track in tracks.close():
            tables.add_track(track)
        tables.finish()
        width, height = size
        counts = {"faces": tables.faces, "frames": frames}
        return {"photo": film.name, "width": width, "height": height, "error": None, **counts}

    def _pictures(self, moments: deque[Moment]) -> Iterator[Pixels]:
        """Yield the pixels of the sampled frames, and append the :class:`Moment` of each to ``moments``."""
        cuts = Cuts()
        for frame in self.reader.frames():
            if self.reader.film.live and self.signals.received:
                return
            moments.append(Moment(frame.index, frame.time, cuts.between(frame.pixels)))
            yield frame.pixels

    def _renew(self) -> None:
        if time.monotonic() - self.renewed > RENEWED:
            self.renewed = time.monotonic()
            self.dataset.storage.renew()


def describe_films(summary: FilmSummary) -> Iterator[str]:
    """Yield sentences that describe a run and its collection."""
    counts = summary.counts
    done = counts.photos - summary.before
    seen = f": {count(summary.frames, 'frame')}, {count(summary.people, 'track')}" if done else ""
    yield f"{count(done, 'film')} looked at in {duration(summary.seconds)}{seen}."
    if summary.before:
        yield f"{count(summary.before, 'film')} had been done before."
    failed = f", {counts.failed:,} that could not be read" if counts.failed else ""
    yield f"{summary.output} holds {count(counts.faces, 'face')} in {count(counts.photos, 'film')}{failed}."


def _record(looker: Looker, every: float) -> Record:
    """The record of the run, with the options and packages of films."""
    record = Record.of(looker)
    versions = {**record.versions, **{name: version(name) for name in PACKAGES}}
    return replace(record, options={**record.options, "every": every}, versions=versions)


def _stopped(signum: int) -> AnnotationError:
    return AnnotationError(
        "Stopped. Films that are done are kept; run the same command again for the rest. An unfinished film "
        "starts from its beginning.",
        128 + signum,
    )
