"""Reading of films in a child process, so that a film that kills or hangs it does not stop the run."""

import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from mien.annotate.child import Child, Died, Hung, be_quiet
from mien.annotate.films import is_camera
from mien.annotate.frames import Film, Frame
from mien.annotate.items import printable_name
from mien.errors import ImageError

SIGN_OF_LIFE = 1.0
"""Seconds between messages of the child process while it decodes frames that are not sampled."""


class FilmReader:
    """Samples the frames of films, one film after the other.

    Films are decoded in a child process. A camera is read in this process, which releases it on Ctrl-C.

    Args:
        every: Seconds between sampled frames; 0 for all frames.
        time_limit: Seconds that decoding the next frame may take.

    Attributes:
        film: Data of the open film; its damage is known once all frames are read.
    """

    film: Film

    def __init__(self, every: float, time_limit: float) -> None:
        """No film is open."""
        self._every, self._time_limit = every, time_limit
        self._child: Child | None = None

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process."""
        if self._child is not None:
            self._child.end()

    def open(self, place: str) -> None:
        """Open a film; all frames of the previous one must have been read.

        Args:
            place: Path of a film, or the device of a camera.

        Raises:
            ImageError: If the film cannot be read.
        """
        if is_camera(place):
            self.film = Film(place)
            return
        self._name = printable_name(place)
        if self._child is None:
            self._child = Child(_read_films, self._every)
            self._receive(None)  # wait until the process is ready
        self._child.send(place)
        self.film = self._receive(self._time_limit)

    def frames(self) -> Iterator[Frame]:
        """Yield the sampled frames in order.

        Raises:
            ImageError: If the film cannot be read, takes too long, or kills the process that reads it.
        """
        if self.film.live:
            yield from self.film.frames(self._every)
            return
        while not isinstance(message := self._receive(self._time_limit), Film):
            if message is not None:
                yield message
        self.film = message

    def _receive(self, seconds: float | None) -> Any:
        assert self._child is not None
        try:
            message = self._child.receive(seconds)
        except Hung:
            self._child = None
            raise ImageError(
                f"{self._name} gave no frame for {seconds:g} s; encode it anew, or leave it out."
            ) from None
        except Died:
            self._child = None
            raise ImageError(
                f"{self._name} ended the process that read it; encode it anew, or leave it out."
            ) from None
        if isinstance(message, ImageError):
            raise message
        return message


def _read_films(connection: Connection, every: float) -> None:
    """Read each film whose path arrives; runs in the child process."""
    be_quiet()
    connection.send(None)
    while True:
        place = connection.recv()
        try:
            _read(connection, place, every)
        except ImageError as error:
            connection.send(error)


def _read(connection: Connection, place: str, every: float) -> None:
    """Send a film, its sampled frames, None as a sign of life in between, and at the end the film again.

    The second copy of the film holds the damage found during decoding.
    """
    said = time.monotonic()

    def pass_over() -> None:
        nonlocal said
        if time.monotonic() - said > SIGN_OF_LIFE:
            said = time.monotonic()
            connection.send(None)

    film = Film(place)
    connection.send(film)
    for frame in film.frames(every, pass_over):
        connection.send(frame)
    connection.send(film)
