"""The HTML pages. They work without scripts; with scripts, the first page inserts the results itself."""

import json
from functools import cache, partial
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, JSONResponse, Response

import mien
from mien.errors import ImageError
from mien.pipeline.images import EncodedPhoto
from mien.pipeline.quality import SMALL_FACE
from mien.request import Request as PhotoRequest
from mien.results import whole_percent, whole_years
from mien.web.model_card import card_html, shipped_card
from mien.web.photo_view import upright_copy, view_of
from mien.web.problems import Problem, problem_of
from mien.web.service import Service
from mien.web.settings import Settings
from mien.web.texts import ENGLISH, LANGUAGE
from mien.web.uploads import read_photos

HERE = Path(__file__).parent
STATIC = HERE / "static"
SAMPLE = "astronaut.jpg"
COVERAGES = (0.5, 0.8, 0.9, 0.95)

ROOM_FOR_THE_FORM = 2000
"""Bytes reserved in a request for everything but the photo."""

router = APIRouter()


@router.get("/")
async def home(request: Request) -> Response:
    """The first page, with the form for photos."""
    settings, service = _state(request)
    interval = service.metadata.interval
    coverages = {c for c in COVERAGES if interval.coverage[0] <= c <= interval.coverage[-1]}
    limits = {
        "bytes": settings.max_upload - ROOM_FOR_THE_FORM,
        "files": settings.max_files,
        "size_text": _size_text(settings),
    }
    script = {part: ENGLISH[part] for part in ("script", "live", "result", "gender")}
    return _page(
        "home",
        limits=limits,
        script=script,
        coverages=sorted(coverages | {settings.coverage}),
        coverage=settings.coverage,
    )


@router.post("/result")
async def result(request: Request) -> Response:
    """The result page, which answers the form of the first page without scripts."""
    settings, service = _state(request)
    try:
        photos, fields = await read_photos(request, settings)
        return await _answer(service, photos, service.read_options(fields))
    except (Problem, ImageError) as error:
        return trouble(problem_of(error))


@router.post("/article")
async def article(request: Request) -> Response:
    """The result of one photo for the first page, as JSON and as an HTML article.

    The article lacks the pictures, since the page has the photo.
    """
    settings, service = _state(request)
    photos, fields = await read_photos(request, settings)
    result = await service.predict(photos[0], service.read_options(fields))
    template = _templates().get_template("article.html.j2")
    answer, id = result.to_json(), f"p{token_hex(4)}"  # unique among the photos of a page
    return JSONResponse({"answer": answer, "article": template.render(answer=answer, id=id).strip()})


@router.get("/sample")
async def sample(request: Request) -> Response:
    """The result page of the sample photo."""
    service: Service = request.app.state.service
    photo = EncodedPhoto(SAMPLE, (STATIC / SAMPLE).read_bytes())
    try:
        return await _answer(service, [photo], service.read_options({}))
    except Problem as problem:
        return trouble(problem)


@router.post("/copy")
async def copy(request: Request) -> Response:
    """An upright JPEG of a photo without metadata, for formats that a browser cannot show."""
    settings, service = _state(request)
    photos, _ = await read_photos(request, settings)
    return Response(
        await service.run(partial(upright_copy, service.engine, photos[0])), media_type="image/jpeg"
    )


@router.get("/info")
async def info(request: Request) -> Response:
    """The page on how mien works and how accurate it is."""
    settings, service = _state(request)
    card = _card_html(settings.model)
    return _page("info", model=service.metadata, card=card)


@router.get("/help")
async def help_(request: Request) -> Response:
    """The help page for the page and the API."""
    settings, _ = _state(request)
    # The commands to copy need the address as the user's browser knows it.
    address = str(request.base_url).rstrip("/")
    return _page(
        "help", address=address, settings=settings, size_text=_size_text(settings), small_face=SMALL_FACE
    )


async def _answer(service: Service, photos: list[EncodedPhoto], asked: PhotoRequest) -> Response:
    """The result page; its pictures are made one at a time, so that other requests can run in between."""
    results = await service.predict_many(photos, asked)
    pairs = zip(photos, results, strict=True)
    views = [await service.run(partial(view_of, service.engine, photo, result)) for photo, result in pairs]
    answers = [view.answer for view in views]
    text = json.dumps(answers[0] if len(answers) == 1 else {"photos": answers}, ensure_ascii=False, indent=2)
    status = 400 if all("error" in answer for answer in answers) else 200
    return _page("result", status, views=views, json_text=text, json_link=_json_link(text))


def _json_link(text: str) -> str:
    return f"data:application/json;charset=utf-8,{quote(text)}"


def trouble(problem: Problem) -> Response:
    """The page that shows an error."""
    response = _page("trouble", problem.status, sentence=problem.detail)
    response.headers.update(problem.headers)
    return response


def _page(name: str, status: int = 200, **values: object) -> Response:
    template = _templates().get_template(f"{name}.html.j2")
    return HTMLResponse(template.render(current=name, photo_field="photo", **values), status)


def _state(request: Request) -> tuple[Settings, Service]:
    return request.app.state.settings, request.app.state.service


def _size_text(settings: Settings) -> str:
    return f"{settings.max_upload_mb:g} MB"


def _photo_facts(answer: dict[str, Any]) -> str:
    texts = ENGLISH["result"]
    count = len(answer["faces"])
    faces = {0: texts["no_faces"], 1: texts["one_face"]}.get(
        count, texts["several_faces"].format(count=count)
    )
    return f"{faces} · {texts['size'].format(width=answer['width'], height=answer['height'])}"


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"facts": _photo_facts, "whole": whole_years, "percent": whole_percent}
    environment.globals.update(t=ENGLISH, language=LANGUAGE, version=mien.__version__)
    return environment


@cache
def _card_html(model: Path | None) -> str | None:
    card = shipped_card(model)
    return None if card is None else card_html(card)
