"""Films, read by a process of their own, which may die or hang at one."""

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
"""Seconds between messages, while frames are decoded of which none is looked at."""


class FilmReader:
    """The frames of films to look at, one film after the other.

    A camera is read by this process, which lets it go at Ctrl-C.

    Args:
        every: Seconds between the frames; 0 for all.
        time_limit: Seconds in which the next frame has to be decoded.

    Attributes:
        film: What is known of the one that is open; once its frames are through, its damage too.
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
        """Look into a film, when the one before is through.

        Args:
            place: Path of a film, or the device of a camera.

        Raises:
            ImageError: If it cannot be read.
        """
        if is_camera(place):
            self.film = Film(place)
            return
        self._name = printable_name(place)
        if self._child is None:
            self._child = Child(_read_films, self._every)
            self._receive(None)  # it runs
        self._child.send(place)
        self.film = self._receive(self._time_limit)

    def frames(self) -> Iterator[Frame]:
        """The frames, in their order.

        Raises:
            ImageError: If the film cannot be read, takes too long, or ends the process that reads it.
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
    """What the process does: read the films that it is told of."""
    be_quiet()
    connection.send(None)
    while True:
        place = connection.recv()
        try:
            _read(connection, place, every)
        except ImageError as error:
            connection.send(error)


def _read(connection: Connection, place: str, every: float) -> None:
    """Send a film, its frames, signs of life in between, and at last the film as it was read."""
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
