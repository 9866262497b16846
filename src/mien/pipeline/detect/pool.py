"""A pool of detectors that several threads share, though each may be used by one at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """Objects that one thread at a time may use; grows where all of them are in use."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Store how one is made."""
        self._make = make
        self._idle: list[T] = []

    @contextmanager
    def borrow(self) -> Iterator[T]:
        """One for the time of a ``with`` block."""
        try:
            one = self._idle.pop()  # atomic, unlike asking first whether there is one
        except IndexError:
            one = self._make()
        yield one
        self._idle.append(one)  # not after an error: its state is unknown
