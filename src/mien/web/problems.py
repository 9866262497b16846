"""Errors of requests, as problem documents (RFC 9457)."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from mien.errors import ImageError, PhotoTooLargeError
from mien.web.metrics import Metrics

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A request that cannot be answered.

    Args:
        status: HTTP status code.
        kind: Short name for programs; the last part of the problem's ``type``.
        detail: A sentence for people, with the remedy.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """Store the parts."""
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})

    @property
    def title(self) -> str:
        """The kind in words."""
        return self.kind.replace("-", " ").capitalize()

    def to_json(self) -> dict[str, object]:
        """The problem document (RFC 9457, section 3)."""
        return {
            "type": f"urn:mien:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }

    def response(self) -> Response:
        """The response with the problem document as its body."""
        return Response(json.dumps(self.to_json()), self.status, self.headers, MEDIA_TYPE)


def not_a_picture(detail: str) -> Problem:
    """400: no photo could be read from the request."""
    return Problem(400, "not-a-picture", detail)


def too_large(detail: str) -> Problem:
    """413: more bytes, pixels, faces or files than the server accepts."""
    return Problem(413, "too-large", detail)


def too_many_photos(most: int) -> Problem:
    """413: more photos in a request than the server accepts."""
    return too_large(f"A request may hold {most} photos at most; send the others in another.")


def wrong_host() -> Problem:
    """421: the host name of the request is not allowed."""
    return Problem(
        421,
        "wrong-host",
        "This server does not answer to that name; whoever runs it can add the name to --allowed-hosts "
        "(MIEN_ALLOWED_HOSTS).",
    )


def wrong_kind(detail: str) -> Problem:
    """415: the content type of the request cannot hold a photo."""
    return Problem(415, "wrong-kind", detail)


def wrong_option(detail: str) -> Problem:
    """422: an option is unknown or has an invalid value."""
    return Problem(422, "wrong-option", detail)


def too_slow(detail: str) -> Problem:
    """408: the request did not arrive in time."""
    return Problem(408, "too-slow", detail)


def busy(detail: str, retry_after: int) -> Problem:
    """503: the server is busy; the client should retry after ``retry_after`` seconds."""
    return Problem(503, "busy", detail, {"Retry-After": str(retry_after)})


def problem_of(error: Exception) -> Problem:
    """The problem for an exception."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, PhotoTooLargeError):
        return too_large(str(error))
    if isinstance(error, ImageError):
        return not_a_picture(str(error))
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        detail = (status.description or status.phrase).rstrip(".") + "."
        return Problem(status, status.phrase.lower().replace(" ", "-"), detail, error.headers)
    if isinstance(error, ClientDisconnect):  # nobody reads this answer, but it is counted
        return Problem(400, "cut-short", "The request ended before all of it had arrived.")
    return Problem(500, "internal-error", "The server failed; this is a fault in mien, not in your request.")


def install(app: FastAPI, metrics: Metrics, page: Callable[[Problem], Response]) -> None:
    """Make the app count every exception and answer it with a problem document.

    Args:
        app: The application.
        metrics: Counts the problems.
        page: Makes the HTML answer for browsers outside the API.
    """

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        metrics.count_rejection(problem.kind)
        browses = "text/html" in request.headers.get("accept", "")
        if browses and not request.url.path.startswith("/api/"):
            return page(problem)
        return problem.response()

    for kind in (Problem, ImageError, HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(kind, answer)
