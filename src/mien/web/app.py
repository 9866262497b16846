"""The web application."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from mien.predictor import Predictor
from mien.web import api, docs, openapi, pages, problems
from mien.web.access_log import AccessLog
from mien.web.compatibility import Lenient
from mien.web.engine import Engine
from mien.web.hosts import AllowedHosts
from mien.web.limits import HeldBytes, UploadLimits
from mien.web.metrics import Metrics
from mien.web.security import SecurityHeaders
from mien.web.service import Service
from mien.web.settings import Settings, load_settings


def create_app(settings: Settings | None = None, predictor: Predictor | None = None) -> FastAPI:
    """Create the application that serves the page and the API.

    Args:
        settings: The settings; None for those of the ``MIEN_*`` variables.
        predictor: Predictor to use in place of the settings' model and detectors.

    Raises:
        MienError: If a setting is wrong, or the model or a detector cannot be loaded.
    """
    settings = settings or load_settings()
    service = Service(Engine(settings, predictor), settings)
    app = FastAPI(
        title="mien",
        version=version("mien"),
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,  # generated clients name operations by this
    )
    uploads = HeldBytes()
    service.metrics = metrics = Metrics(lambda: service.pending, lambda: uploads.count)
    app.state.settings, app.state.service = settings, service
    app.state.metrics, app.state.uploads = metrics, uploads
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]  # FastAPI's documented way
    problems.install(app, metrics, pages.trouble)
    _add_routes(app)
    _add_middleware(app, settings, metrics)
    return app


def _add_routes(app: FastAPI) -> None:
    app.include_router(api.router)
    app.include_router(docs.router, include_in_schema=False)
    app.include_router(pages.router, include_in_schema=False)
    app.mount("/docs/assets", StaticFiles(directory=docs.ASSETS), name="docs-assets")
    app.mount("/static", StaticFiles(directory=pages.STATIC), name="static")


def _add_middleware(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Add the middleware; the last one added handles a request first."""
    app.add_middleware(UploadLimits, settings=settings)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(AllowedHosts, names=settings.allowed_hosts)
    app.add_middleware(SecurityHeaders, frame_origins=settings.frame_origins)
    app.add_middleware(AccessLog, metrics=metrics)
    app.add_middleware(Lenient)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    logging.getLogger("uvicorn.access").disabled = True  # its lines contain addresses and queries
    if app.state.settings.device != "cpu":
        logging.getLogger("mien.web").info("The model runs on %s.", app.state.service.engine.device)
    app.state.service.warm_up()
    yield
    app.state.service.close()
