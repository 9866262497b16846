"""Estimates by a mien server instead of by this machine."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from mien.errors import ImageError, ServerError
from mien.images import EncodedPhoto, name_of, read_file
from mien.types import AgeEstimate, Box, Estimate, GenderEstimate, PhotoResult

ATTEMPTS = 10
"""How often a photo is offered to a busy server."""

PHOTO_PROBLEMS = (400, 408, 413)
"""Statuses that tell of a photo, not of the whole request."""


class RemotePredictor:
    """Sends photos to a server and reads its answers; names of files stay here.

    Args:
        url: The server's address, such as ``http://127.0.0.1:5000``.
        timeout: Seconds to wait for an answer.

    Raises:
        ServerError: If ``url`` is no web address.
    """

    def __init__(self, url: str, *, timeout: float = 60) -> None:
        """Check the address; nothing is sent yet."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServerError(f"{url} is not the address of a server; write http://HOST:PORT.")
        self.url = url.rstrip("/")
        self.timeout = timeout

    def predict_many(
        self,
        photos: Iterable[str | EncodedPhoto],
        *,
        faces: str = "detect",
        coverage: float | None = None,
        thresholds: Sequence[int] = (),
        gender_threshold: float | None = None,
    ) -> Iterator[PhotoResult]:
        """Estimate every face of some photos, one after the other.

        Args:
            photos: Paths, or bytes with a name.
            faces: As for :meth:`mien.Predictor.predict`.
            coverage: Likewise; None for the server's.
            thresholds: Likewise.
            gender_threshold: Likewise; None for the server's model's own.

        Yields:
            One result a photo, in their order; a photo that cannot be read gives one with an ``error``.

        Raises:
            ServerError: If the server cannot be reached, stays busy, refuses an option, or is none of mien's.
        """
        options = {"faces": faces}
        if coverage is not None:
            options["coverage"] = str(coverage)
        if thresholds:
            options["thresholds"] = ",".join(map(str, thresholds))
        if gender_threshold is not None:
            options["gender_threshold"] = str(gender_threshold)
        query = urlencode(options)
        for photo in photos:
            name = name_of(photo)
            try:
                data = photo.data if isinstance(photo, EncodedPhoto) else read_file(photo)
            except ImageError as error:
                yield PhotoResult(name, error=str(error))
                continue
            yield self._ask(name, data, query)

    def _ask(self, name: str, data: bytes, query: str) -> PhotoResult:
        for _ in range(ATTEMPTS):
            status, answer, wait = self._post(data, query)
            if status == 200:
                return self._result(name, answer)
            detail = str(answer.get("detail", f"it answered with status {status}"))
            if status in PHOTO_PROBLEMS:
                return PhotoResult(name, error=detail.replace("<bytes>", name))
            if status != 503:
                raise ServerError(f"The server at {self.url} refuses: {detail}")
            time.sleep(wait)
        raise ServerError(f"The server at {self.url} is busy; try again later.")

    def _post(self, data: bytes, query: str) -> tuple[int, dict[str, Any], float]:
        """Status, document, and the seconds to wait if the server is busy."""
        request = Request(
            f"{self.url}/api/v1/predict?{query}",
            data,
            {"Content-Type": "application/octet-stream"},
        )
        try:
            with urlopen(request, timeout=self.timeout) as response:
                return 200, _document(response.read()), 0
        except HTTPError as error:
            wait = error.headers.get("Retry-After", "1")
            return error.code, _document(error.read()), float(wait) if wait.isdecimal() else 1
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise ServerError(
                f"The server at {self.url} cannot be reached ({reason}); see that 'mien serve' runs there."
            ) from None

    def _result(self, name: str, answer: dict[str, Any]) -> PhotoResult:
        try:
            faces = tuple(map(_estimate, answer["faces"]))
            return PhotoResult(name, answer["width"], answer["height"], faces)
        except (KeyError, TypeError, ValueError):
            raise ServerError(
                f"The server at {self.url} answers in another form than this version of mien reads."
            ) from None


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _estimate(face: dict[str, Any]) -> Estimate:
    """The value object of a face's JSON; its numbers are rounded."""
    age, gender = face["age"], face["gender"]
    return Estimate(
        Box(*face["box"]),
        face["detection_score"],
        AgeEstimate(age["years"], age["low"], age["high"], age["coverage"], *_at_least(age)),
        GenderEstimate(gender["p_female"], 1.0 if gender["label"] == "uncertain" else 0.5),
        tuple(face["flags"]),
    )


def _at_least(age: dict[str, Any]) -> list[Any]:
    """The probabilities of being at least so old, if any were asked for."""
    return [tuple((int(years), p) for years, p in age["at_least"].items())] if "at_least" in age else []
