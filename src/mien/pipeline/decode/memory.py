"""A limit on the memory of the photos being processed by all threads of the process together."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

BYTES = 2**30
"""Approximate memory of all photos being processed at once; further photos wait."""


class MemoryBudget:
    """Admits photos while their estimated bytes fit; other photos wait.

    A photo that is larger than the whole budget is admitted when no other photo is being processed, so that
    it does not wait for ever. A thread must not hold two photos at a time.

    Args:
        size: The budget in bytes.

    Attributes:
        used: Bytes held now.
    """

    def __init__(self, size: int = BYTES) -> None:
        """Start with nothing held."""
        self.size = size
        self.used = 0
        self._changed = threading.Condition()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start_anew)

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until this many bytes fit, and hold them for the length of the block."""
        with self._changed:
            self._changed.wait_for(lambda: self.used == 0 or self.used + size <= self.size)
            self.used += size
        try:
            yield
        finally:
            with self._changed:
                self.used -= size
                self._changed.notify_all()

    def _start_anew(self) -> None:
        """Start anew in a forked process, which has none of the threads that held bytes or the lock."""
        self.used = 0
        self._changed = threading.Condition()


MEMORY = MemoryBudget()
"""The budget of this process."""
