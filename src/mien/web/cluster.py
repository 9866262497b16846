"""The same application on Ray Serve: ``serve run mien.web.cluster:app``; needs ``mien[cluster]``.

Ray's proxies take the connections and spread requests over replicas, of which it starts and stops as many as
the load asks for. Each replica is the whole application; requests that reach it within a moment of each other
are looked at as one batch. Settings are arguments of the command (``max_faces=20``) or the ``MIEN_*``
variables of the machine that runs it; address and port are Ray's.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI
from ray import serve

from mien.photo_result import PhotoResult
from mien.pipeline.images import EncodedPhoto
from mien.request import Request
from mien.web.app import build_app
from mien.web.engine import Engine
from mien.web.service import Service
from mien.web.settings import Settings, load_settings

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray may report its use to its makers

BATCH, PATIENCE = 16, 0.01
"""Photos looked at together, at most; and seconds for which the first waits for others."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One photo that waits for others."""

    service: "BatchingService"
    photo: EncodedPhoto
    request: Request


class BatchingService(Service):
    """A service whose photos, of different requests, go through the model together."""

    async def predict(self, photo: EncodedPhoto, request: Request) -> PhotoResult:
        """See :meth:`~mien.web.service.Service.predict`."""
        result: PhotoResult = await _predict_together(_Waiting(self, photo, request))
        self._count(result)
        if result.failure is not None:
            raise result.failure
        return result


@serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=PATIENCE)  # type: ignore[untyped-decorator]  # Ray has no types
async def _predict_together(calls: list[_Waiting]) -> list[PhotoResult]:
    """Ray hands over single calls as lists, and to each caller its part of the list returned."""
    results: dict[int, PhotoResult] = {}
    for request in dict.fromkeys(call.request for call in calls):
        alike = [i for i, call in enumerate(calls) if call.request == request]
        photos: Sequence[EncodedPhoto] = [calls[i].photo for i in alike]
        service = calls[0].service
        found = await service.run(partial(service.engine.predict_many, photos, request))
        results.update(zip(alike, found, strict=True))
    return [results[i] for i in range(len(calls))]


def deployment(settings: Settings) -> serve.Application:
    """The application with these settings, to be given to ``serve.run``."""

    def build() -> FastAPI:  # called in each replica
        return build_app(settings, BatchingService(Engine(settings), settings))

    replica = serve.deployment(
        serve.ingress(build)(),
        name="mien",
        num_replicas="auto",
        max_ongoing_requests=settings.workers + settings.queue,
        ray_actor_options={"num_cpus": 1},
    )
    return replica.bind()


def app(given: dict[str, str]) -> serve.Application:
    """What ``serve run mien.web.cluster:app [SETTING=VALUE ...]`` calls.

    Raises:
        ServerError: If a setting is wrong.
    """
    return deployment(load_settings(**given))
