"""Ctrl-C and SIGTERM, which end a run between two writes and never within one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType


class Signals:
    """Raises KeyboardInterrupt at Ctrl-C and SIGTERM, but for blocks that are not to be interrupted.

    Attributes:
        received: The signal's number; 0 where there was none.
    """

    def __init__(self) -> None:
        """Nothing is received yet."""
        self.received = 0
        self._deferred = False

    @contextmanager
    def heeded(self) -> Iterator["Signals"]:
        """Heed the signals for the length of the block, in the main thread alone."""
        with ExitStack() as stack:
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGINT, signal.SIGTERM):
                    stack.callback(signal.signal, number, signal.signal(number, self._receive))
            yield self

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal wait for the end of the block.

        Raises:
            KeyboardInterrupt: If there was one.
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
