"""Processing of photos off the event loop, by a bounded thread pool with a bounded queue."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from mien.errors import ImageError
from mien.photo_result import PhotoResult
from mien.pipeline.images import EncodedPhoto
from mien.pipeline.metadata import ModelMetadata
from mien.request import Request
from mien.web.engine import Engine
from mien.web.metrics import Metrics
from mien.web.options import parse_options, without_value
from mien.web.problems import busy, wrong_option
from mien.web.settings import Settings

T = TypeVar("T")

THREADS = "mien-photos"
"""Prefix of the names of the threads that process photos."""

log = logging.getLogger("mien.web")


class Service:
    """Processes photos, ``settings.workers`` at a time; refuses photos at once if its queue is full.

    Args:
        engine: Does the work; all threads share it and its ONNX session.
        settings: Numbers of workers and of waiting photos, and the time limit.

    Attributes:
        ready: Whether :meth:`warm_up` has succeeded.
        pending: Number of photos in work or waiting.
        metrics: Counts every photo; None for no counts.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """Start no threads yet: the first job starts them, also after :meth:`close`."""
        self.engine = engine
        self.settings = settings
        self.metrics: Metrics | None = None
        self.ready = False
        self.pending = 0
        self._seconds = 0.1
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._warming: Future[None] | None = None

    @property
    def metadata(self) -> ModelMetadata:
        """Metadata of the model."""
        return self.engine.metadata

    def read_options(self, given: Mapping[str, str]) -> Request:
        """Parse the options of a request, and complete them with the defaults of the server and the model.

        Raises:
            Problem: 422 if an option is unknown or its value is invalid.
        """
        try:
            return self.engine.complete(parse_options(given, self.settings.detector_names))
        except ValueError as error:
            raise wrong_option(without_value(error)) from None

    async def predict_many(self, photos: Sequence[EncodedPhoto], request: Request) -> list[PhotoResult]:
        """Estimate every face of several photos.

        Returns:
            One result per photo, in the same order; that of an unreadable photo has an ``error``.

        Raises:
            Problem: 503 if the queue is full or the time is up.
        """
        results = await self._run([partial(self._predict_or_fail, photo, request) for photo in photos])
        for result in results:
            self._count(result)
        return results

    async def predict(self, photo: EncodedPhoto, request: Request) -> PhotoResult:
        """Estimate every face of a photo.

        Raises:
            ImageError: If the photo cannot be read.
            Problem: 503 if the queue is full or the time is up.
        """
        try:
            result = await self.run(partial(self.engine.predict, photo, request))
        except ImageError as error:
            self._count(PhotoResult.failed(photo.name, error))
            raise
        self._count(result)
        return result

    async def annotate(self, photo: EncodedPhoto, request: Request) -> bytes:
        """A JPEG of the photo with its faces marked.

        Raises:
            ImageError: If the photo cannot be read.
            Problem: 503 if the queue is full or the time is up.
        """
        return await self.run(partial(self.engine.annotate, photo, request))

    async def run(self, job: Callable[[], T]) -> T:
        """Run any job on the same pool; raises the job's own errors and those of :meth:`predict_many`."""
        return (await self._run([job]))[0]

    def warm_up(self) -> None:
        """Run the model and the detectors once on the pool, as the first run is slow.

        Does nothing if that has succeeded or is under way. The readiness check calls it each time, so that it
        is retried after a failure and also runs where no server starts the application's lifespan.
        """
        if not self.ready and (self._warming is None or self._warming.done()):
            self._warming = self._threads().submit(self.engine.warm_up)
            self._warming.add_done_callback(self._note_warming)

    def close(self) -> None:
        """Cancel waiting jobs and let the threads end, without waiting for jobs in work."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool, self.ready = None, False

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.settings.workers, THREADS)
        return self._pool

    def _note_warming(self, warming: Future[None]) -> None:
        if warming.cancelled():
            return
        if (error := warming.exception()) is None:
            self.ready = True
        else:
            log.error("The first, blank picture failed, so the server is not ready.", exc_info=error)

    def _predict_or_fail(self, photo: EncodedPhoto, request: Request) -> PhotoResult:
        try:
            return self.engine.predict(photo, request)
        except ImageError as error:
            return PhotoResult.failed(photo.name, error)

    def _count(self, result: PhotoResult) -> None:
        if self.metrics is not None:
            self.metrics.count_photo(result)

    async def _run(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        settings = self.settings
        if self.pending + len(jobs) > settings.workers + settings.queue:
            raise self._busy("The server has as many photos waiting as it takes; try again shortly.")
        futures = [self._submit(job) for job in jobs]
        try:
            async with asyncio.timeout(settings.answer_seconds):
                return await asyncio.gather(*futures)
        except TimeoutError:
            raise self._busy("The server could not answer in time; try again shortly.") from None
        finally:
            for future in futures:  # after an error, the jobs that still wait are no longer needed
                future.cancel()

    def _submit(self, job: Callable[[], T]) -> asyncio.Future[T]:
        future = self._threads().submit(self._timed, job)
        self._change_pending(1)
        future.add_done_callback(lambda _: self._change_pending(-1))
        return asyncio.wrap_future(future)

    def _change_pending(self, by: int) -> None:
        with self._lock:  # jobs end in their own threads, sometimes after the event loop has closed
            self.pending += by

    def _timed(self, job: Callable[[], T]) -> T:
        start = time.monotonic()
        try:
            return job()
        finally:
            self._seconds += 0.1 * (time.monotonic() - start - self._seconds)

    def _busy(self, detail: str) -> Exception:
        wait = self.pending * self._seconds / self.settings.workers
        return busy(detail, retry_after=min(60, max(1, math.ceil(wait))))
