"""Handling of Ctrl-C and SIGTERM, so that they stop a run between two writes and never during one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType


class Signals:
    """Raises KeyboardInterrupt on Ctrl-C and SIGTERM, except in blocks that defer it.

    Attributes:
        received: Number of the last signal; 0 if there was none.
    """

    def __init__(self) -> None:
        """Start without a signal."""
        self.received = 0
        self._deferred = False

    @contextmanager
    def heeded(self) -> Iterator["Signals"]:
        """Handle the signals for the length of the block; does nothing outside the main thread."""
        with ExitStack() as stack:
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGINT, signal.SIGTERM):
                    stack.callback(signal.signal, number, signal.signal(number, self._receive))
            yield self

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer signals to the end of the block.

        Raises:
            KeyboardInterrupt: At the end of the block, if a signal was received.
        """
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.received:
            raise KeyboardInterrupt

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        self.received = signum
        if not self._deferred:
            raise KeyboardInterrupt
