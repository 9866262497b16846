"""A bound on the memory that photos in work take, of all threads of the process together."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

BYTES = 2**30
"""Of photos in work at once, about; what is beyond waits."""


class MemoryBudget:
    """Lets photos in while their estimated bytes fit; the others wait.

    A photo that is larger than the whole budget is let in when nothing else is in work, so that none waits
    for ever. One thread must not hold two at a time.

    Args:
        size: Bytes.

    Attributes:
        used: Bytes held now.
    """

    def __init__(self, size: int = BYTES) -> None:
        """Nothing is held yet."""
        self.size = size
        self.used = 0
        self._changed = threading.Condition()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start_anew)

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until so many bytes fit, and hold them for the length of the block."""
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
        """A forked process has none of the threads that held something, nor one to release the lock."""
        self.used = 0
        self._changed = threading.Condition()


MEMORY = MemoryBudget()
"""That of the process."""
