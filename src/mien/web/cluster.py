"""The same application on Ray Serve: ``serve run mien.web.cluster:app``; needs ``mien[cluster]``.

Ray's proxies take the connections and spread requests over replicas, of which it starts and stops as many as
the load asks for. Each replica is the whole application. Settings are arguments of the command
(``max_faces=20``) or the ``MIEN_*`` variables of the machine that runs it; address and port are Ray's.
"""

import os

from fastapi import FastAPI
from ray import serve

from mien.web.app import create_app
from mien.web.settings import Settings, load_settings

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray may report its use to its makers


def deployment(settings: Settings) -> serve.Application:
    """The application with these settings, to be given to ``serve.run``."""

    def build() -> FastAPI:  # called in each replica; Ray wants a plain function
        return create_app(settings)

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
