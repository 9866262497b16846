"""Estimates by a mien server instead of this machine."""

import json
import math
import os
import re
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from http.client import HTTPException, HTTPMessage
from ipaddress import ip_address
from typing import IO, Any, Unpack
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener, getproxies, proxy_bypass

from mien.errors import ImageError, ServerError
from mien.photo_result import PhotoResult
from mien.pipeline.images import EncodedPhoto, name_of, read_file
from mien.request import Options, Request
from mien.results import AgeEstimate, Box, Estimate, GenderEstimate, Points

ATTEMPTS = 10
"""Number of attempts to send a photo to a server that is busy or restarting."""

ENOUGH = 2
"""Number of further attempts after the upload was cut off; the photo may be too large."""

LONGEST_WAIT = 60.0
"""Maximum number of seconds between two attempts, whatever the server asks for."""

PHOTO_PROBLEMS = (400, 408, 413)
"""Statuses that concern a photo, not the whole request."""

PASSING = (429, 502, 503, 504)
"""Statuses after which another attempt may succeed."""

AUTHORIZATION = "MIEN_SERVER_AUTHORIZATION"
"""Environment variable for the Authorization header's value; other users of the machine cannot read it."""


class RemotePredictor:
    """Sends photos to a server and reads its answers; file names are not sent.

    Args:
        url: The server's address, such as ``http://127.0.0.1:5000`` or ``https://USER:PASSWORD@HOST``.
        timeout: Seconds to wait for an answer.
        headers: Headers of every request, such as ``{"Authorization": "Bearer …"}``. If neither they nor the
            address have a login, the environment variable ``MIEN_SERVER_AUTHORIZATION`` is used.
        rotate: False to disable the search in rotated photos, whatever a request says.

    Raises:
        ServerError: If ``url`` is not a web address, or a header cannot be sent.
    """

    def __init__(
        self, url: str, *, timeout: float = 60, headers: Mapping[str, str] | None = None, rotate: bool = True
    ) -> None:
        """Check the address; nothing is sent yet."""
        parts = _split(url)
        path = parts.path.rstrip("/").removesuffix("/predict").removesuffix("/api/v1")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"
        self.timeout = timeout
        self._headers = {"Content-Type": "application/octet-stream", **_login(parts), **(headers or {})}
        _check(self._headers)
        self._rotate = rotate
        self._proxy = _proxy_for(parts)
        self._open = build_opener(ProxyHandler(None if self._proxy else {}), _NoRedirect()).open
        self._was_there = False

    def predict_many(
        self,
        photos: Iterable[str | EncodedPhoto],
        request: Request | None = None,
        **options: Unpack[Options],
    ) -> Iterator[PhotoResult]:
        """Estimate every face of photos, one photo after the other.

        Args:
            photos: Paths, or bytes with a name.
            request: What to estimate for each photo; None for the server's defaults.
            **options: Fields of :class:`~mien.Request`, which take precedence over ``request``.

        Yields:
            One result per photo, in their order; for a photo that cannot be read, a result with an ``error``.

        Raises:
            ServerError: If the server cannot be reached, stays busy, wants a login, refuses an option, or is
                not a mien server.
            ValueError: If an option is out of range.
            TypeError: If there is no option of that name.
        """
        asked = replace(request or Request(), **options)
        return self._stream(photos, replace(asked, rotate=asked.rotate and self._rotate))

    def _stream(self, photos: Iterable[str | EncodedPhoto], asked: Request) -> Iterator[PhotoResult]:
        query = urlencode(asked.to_query())
        for photo in photos:
            name = name_of(photo)
            try:
                data = photo.data if isinstance(photo, EncodedPhoto) else read_file(photo)
            except ImageError as error:
                yield PhotoResult.failed(name, error)
                continue
            yield self._ask(name, data, query)

    def _ask(self, name: str, data: bytes, query: str) -> PhotoResult:
        for attempt in range(ATTEMPTS):
            answer = self._post(data, query)
            if answer.status == 200:
                return self._result(name, answer)
            if answer.status in PHOTO_PROBLEMS:
                return _failed(name, data, answer)
            if answer.status not in PASSING:
                raise ServerError(self._refusal(answer))
            if answer.broken and attempt >= ENOUGH:
                return _failed(name, data, replace(answer, status=413))
            time.sleep(min(LONGEST_WAIT, answer.wait) or min(10.0, 2.0**attempt))
        if answer.cut_off:
            raise ServerError(self._unreachable(answer.cut_off))
        raise ServerError(f"The server at {self.url} is busy; try again later.")

    def _post(self, data: bytes, query: str) -> "_Answer":
        request = urllib.request.Request(f"{self.url}/api/v1/predict?{query}", data, self._headers)
        try:
            with self._open(request, timeout=self.timeout) as response:
                answer = _Answer(response.status, response.headers, response.read())
        except HTTPError as error:
            with error:
                answer = _Answer(error.code, error.headers, error.read())
        except (URLError, HTTPException, OSError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
            if not self._was_there:
                raise ServerError(self._unreachable(reason)) from None
            # It answered a moment ago, so it may be restarting.
            broken = isinstance(getattr(error, "reason", error), ConnectionResetError | BrokenPipeError)
            return _Answer(503, cut_off=reason, broken=broken)
        self._was_there = True
        return answer

    def _result(self, name: str, answer: "_Answer") -> PhotoResult:
        document = answer.document
        if document is None:
            raise ServerError(
                f"The server at {self.url} answers with something other than JSON; if it wants a login, "
                f"{_HOW_TO_LOG_IN}"
            )
        try:
            faces = tuple(map(_estimate, document["faces"]))
            return PhotoResult(name, document["width"], document["height"], faces)
        except (KeyError, TypeError, ValueError):
            raise ServerError(
                f"The server at {self.url} answers in another form than this version of mien reads."
            ) from None

    def _refusal(self, answer: "_Answer") -> str:
        if answer.status in (401, 403, 407):
            return f"The server at {self.url} wants a login ({answer.status}): {_HOW_TO_LOG_IN}"
        if 300 <= answer.status < 400:
            place = _without_secrets(answer.headers.get("Location", "nowhere"))
            return (
                f"The server at {self.url} redirects to {place}; use that address, or log in: "
                f"{_HOW_TO_LOG_IN}"
            )
        return f"The server at {self.url} refuses: {answer.detail}"

    def _unreachable(self, reason: str) -> str:
        if self._proxy:
            return (
                f"The server at {self.url} cannot be reached through the proxy {self._proxy} ({reason}); if "
                "it needs none, name its host in the variable no_proxy."
            )
        return f"The server at {self.url} cannot be reached ({reason}); see that 'mien serve' runs there."


_HOW_TO_LOG_IN = (
    f"write USER:PASSWORD@ before the host, give --header 'Authorization: …', or set {AUTHORIZATION}."
)


class _NoRedirect(HTTPRedirectHandler):
    """Refuses redirects: they would turn the request into one without a photo."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer to a request.

    Attributes:
        cut_off: Why there was no answer; empty if there was one.
        broken: Whether the connection broke during the upload.
    """

    status: int
    headers: Mapping[str, str] | Message = field(default_factory=dict)
    body: bytes = b""
    cut_off: str = ""
    broken: bool = False

    @property
    def document(self) -> dict[str, Any] | None:
        try:
            document = json.loads(self.body)
        except ValueError:
            return None
        return document if isinstance(document, dict) else None

    @property
    def is_problem(self) -> bool:
        """Whether the answer comes from mien itself, not from a proxy on the way."""
        return "detail" in (self.document or {})

    @property
    def detail(self) -> str:
        return str((self.document or {}).get("detail", f"it answered with status {self.status}."))

    @property
    def wait(self) -> float:
        """Seconds to wait before the next attempt, as the server asks; 0 if it does not."""
        text = str(self.headers.get("Retry-After", ""))
        return float(text) if text.isdecimal() else 0


def _failed(name: str, data: bytes, answer: _Answer) -> PhotoResult:
    return PhotoResult.failed(name, ImageError(_photo_error(name, data, answer)))


def _photo_error(name: str, data: bytes, answer: _Answer) -> str:
    if answer.is_problem:
        return answer.detail.replace("<bytes>", name)
    if answer.status == 413:
        return (
            f"{name} ({len(data) / 10**6:.1f} MB) is larger than a server on the way allows; send a smaller "
            "copy, or let whoever runs it raise the limit."
        )
    return f"{name}: {answer.detail}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # checks it
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ServerError(f"{_without_secrets(url)} is not the address of a server; write http://HOST:PORT.")
    return parts


def _check(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not (
            re.fullmatch(r"[!#$%&'*+.^_`|~\w-]+", name, re.ASCII) and value.isprintable() and _is_latin(value)
        ):
            raise ServerError(
                f"The header {name!r} cannot be sent; write it as 'NAME: VALUE', in plain letters."
            )


def _is_latin(text: str) -> bool:
    return all(ord(letter) < 256 for letter in text)


def _without_secrets(url: str) -> str:
    """An address without login and query, which may hold secrets."""
    head, mark, rest = url.partition("?")[0].partition("//")
    authority, slash, path = rest.partition("/")
    return f"{head}{mark}{authority.rpartition('@')[2]}{slash}{path}" if mark else head.rpartition("@")[2]


def _login(parts: SplitResult) -> dict[str, str]:
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    value = os.environ.get(AUTHORIZATION, "").strip()
    return {"Authorization": value} if value else {}


def _proxy_for(parts: SplitResult) -> str:
    """The proxy in the machine's settings for an address; empty if none, or if the address is local."""
    host = parts.hostname or ""
    proxy = getproxies().get(parts.scheme, "")
    return "" if _is_here(host) or proxy_bypass(host) else _without_secrets(proxy)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _estimate(face: dict[str, Any]) -> Estimate:
    """An estimate from a face's JSON, whose numbers are rounded."""
    age, gender = face["age"], face["gender"]
    return Estimate(
        Box(*face["box"]),
        face["detection_score"],
        AgeEstimate(
            age["years"], age["low"], age["high"], age["coverage"], _at_least(age), _distribution(age)
        ),
        _gender(gender["p_female"], gender["label"]),
        tuple(face["flags"]),
        _points(face.get("landmarks")),
    )


def _gender(p_female: float, label: str) -> GenderEstimate:
    """A gender estimate with the label that the server chose before it rounded the probability."""
    if label == "uncertain":
        return GenderEstimate(min(max(p_female, math.ulp(0.0)), math.nextafter(1, 0)), 1.0)
    return GenderEstimate(min(p_female, math.nextafter(0.5, 0)) if label == "male" else max(p_female, 0.5))


def _at_least(age: dict[str, Any]) -> tuple[tuple[int, float], ...]:
    """The probabilities of ``at_least``, if any were requested."""
    return tuple((int(years), p) for years, p in age.get("at_least", {}).items())


def _distribution(age: dict[str, Any]) -> tuple[float, ...] | None:
    return tuple(age["distribution"]) if "distribution" in age else None


def _points(landmarks: list[list[float]] | None) -> Points | None:
    """The five landmarks; servers of earlier versions send none."""
    return None if landmarks is None else tuple((x, y) for x, y in landmarks)
