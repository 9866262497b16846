"""The REST API."""

import json
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from mien.pipeline.images import EncodedPhoto
from mien.request import Request as PhotoRequest
from mien.web.model_card import shipped_card
from mien.web.openapi import EXAMPLES, reads_photos
from mien.web.problems import wrong_option
from mien.web.schemas import Limits, ModelAnswer, Photo, Photos, Status, problem_responses
from mien.web.service import Service
from mien.web.settings import Settings
from mien.web.uploads import read_photos

router = APIRouter()

PROBLEMS = problem_responses(400, 408, 413, 415, 421, 422, 503)
JPEG: dict[str, Any] = {
    "description": "The photo with boxes and labels, without metadata.",
    "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
}


def _example(status: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": {"status": status}}}}}


@router.post(
    "/api/v1/predict",
    tags=["Photos"],
    summary="Estimate every face of one or several photos",
    response_model=Photo | Photos,
    responses={**PROBLEMS, 200: {"content": {"application/json": {"examples": EXAMPLES}}}},
    openapi_extra=reads_photos(several=True),
)
async def predict(request: Request) -> Response:
    """The answer to one photo is an object; the answer to several is an object with a list of them.

    An unreadable photo among several has an `error` instead of `faces`; alone, it is answered with a problem.
    """
    service: Service = request.app.state.service
    photos, asked = await _read(request)
    if len(photos) == 1:
        return _json((await service.predict(photos[0], asked)).to_json())
    results = await service.predict_many(photos, asked)
    return _json({"photos": [result.to_json() for result in results]})


@router.post(
    "/api/v1/annotate",
    tags=["Photos"],
    summary="Draw the estimates on a photo",
    response_class=Response,
    responses={**PROBLEMS, 200: JPEG},
    openapi_extra=reads_photos(several=False),
)
async def annotate(request: Request) -> Response:
    """The answer is a JPEG of the upright photo with boxes and labels, without metadata."""
    service: Service = request.app.state.service
    photos, asked = await _read(request)
    if len(photos) > 1:
        raise wrong_option("One photo at a time can be annotated; send one.")
    return Response(await service.annotate(photos[0], asked), media_type="image/jpeg")


@router.get("/api/v1/model", tags=["Server"], summary="Describe the model and this server")
async def model(request: Request) -> ModelAnswer:
    """The metadata, metrics and card of the model, and the detectors and limits of this server."""
    settings: Settings = request.app.state.settings
    return ModelAnswer(
        **request.app.state.service.metadata.model_dump(),
        card=shipped_card(settings.model),
        detectors=list(settings.detector_names),
        limits=Limits(
            upload_bytes=settings.max_upload,
            megapixels=settings.max_megapixels,
            files=settings.max_files,
            faces=settings.max_faces,
        ),
    )


@router.get("/healthz", tags=["Server"], summary="Whether the server is alive", responses=_example("ok"))
async def healthz() -> Status:
    """Answers as long as the event loop runs."""
    return Status(status="ok")


@router.get(
    "/readyz",
    tags=["Server"],
    summary="Whether the server is ready for photos",
    responses={**_example("ready"), 503: {"model": Status, "description": "Starting"}},
)
async def readyz(request: Request, response: Response) -> Status:
    """503 until the model and the detectors have processed a first, blank picture."""
    service: Service = request.app.state.service
    if service.ready:
        return Status(status="ready")
    service.warm_up()
    response.status_code = 503
    return Status(status="starting")


@router.get(
    "/metrics",
    tags=["Server"],
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"example": "mien_faces_total 12.0\n"}}}},
)
async def metrics(request: Request) -> Response:
    """Requests and their durations, photos, faces, rejections, pending photos, and held bytes."""
    return Response(request.app.state.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


async def _read(request: Request) -> tuple[list[EncodedPhoto], PhotoRequest]:
    """The photos and the options of a request; options in the body take precedence over the query.

    Raises:
        Problem: See :func:`~mien.web.uploads.read_photos`; 422 if an option is wrong or given twice.
    """
    settings: Settings = request.app.state.settings
    photos, fields = await read_photos(request, settings)
    query = request.query_params
    given = {name: query.getlist(name) for name in query}
    if any(len(values) > 1 for name, values in given.items() if name != "thresholds"):
        raise wrong_option("An option is given twice; give it once.")
    in_query = {
        name: ",".join(values) for name, values in given.items()
    }  # clients give lists as repeated parameters or joined by commas
    service: Service = request.app.state.service
    return photos, service.read_options(in_query | fields)


def _json(answer: object) -> Response:
    """A response with the same JSON as ``mien predict --json``."""
    return Response(json.dumps(answer, ensure_ascii=False).encode(), media_type="application/json")
