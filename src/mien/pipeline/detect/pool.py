"""A pool of detectors that several threads share, where each is used by one thread at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """A pool of objects that only one thread at a time may use; it grows when all are in use."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Store the function that makes an object."""
        self._make = make
        self._idle: list[T] = []

    @contextmanager
    def borrow(self) -> Iterator[T]:
        """Borrow an object for the length of a ``with`` block."""
        try:
            one = self._idle.pop()  # atomic, unlike a check followed by a pop
        except IndexError:
            one = self._make()
        yield one
        self._idle.append(one)  # discarded after an error: its state is unknown
