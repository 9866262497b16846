"""The application on Ray Serve: ``serve run mien.web.cluster:app``; needs the extra ``mien[cluster]``.

Ray's proxies accept the connections and spread requests over replicas; Ray starts and stops replicas with the
load. Each replica is the whole application. Settings are arguments of the command (``max_faces=20``) or
``MIEN_*`` variables of the machine that runs it. Address and port are settings of Ray.
"""

import os

from fastapi import FastAPI
from ray import serve

from mien.web.app import create_app
from mien.web.settings import Settings, load_settings

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or Ray may send usage statistics


def deployment(settings: Settings) -> serve.Application:
    """The application with these settings, for ``serve.run``."""

    def build() -> FastAPI:  # called in each replica; Ray needs a plain function
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
    """Build the application for ``serve run mien.web.cluster:app [SETTING=VALUE ...]``.

    Args:
        given: The settings of the command line.

    Raises:
        ServerError: If a setting is wrong.
    """
    return deployment(load_settings(**given))
