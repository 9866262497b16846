"""Pillow's process-wide settings, fixed while mien decodes."""

import ctypes
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from PIL import Image, ImageFile, _imaging

MAX_PIXELS = 100_000_000
"""Photos with more pixels are refused as soon as their header is read."""


_LOG, _NO_ONE = logging.getLogger("PIL"), logging.NullHandler()


class _Settings:
    """Settings of Pillow for decoding, so that those of other libraries do not change mien's results.

    The first thread that decodes applies the settings and the last one restores the previous ones, so several
    threads can decode at once. The lock is held only briefly, and a forked process starts with a new one.
    """

    def __init__(self) -> None:
        self._start_anew()
        self._warnings = warnings.catch_warnings()
        self._before: tuple[bool, int | None] = (False, None)
        self._handlers: list[int | None] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._leave_behind)

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            if self._users == 0:
                self._put_in_place()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._put_back()

    def _put_in_place(self) -> None:
        self._before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = False, 2 * MAX_PIXELS
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.filterwarnings("ignore", module=r"PIL\.")  # about unusual headers

        self._handlers = [set_handler(None) for set_handler in _libtiff()]
        _LOG.addHandler(_NO_ONE)

    def _put_back(self) -> None:
        for set_handler, before in zip(_libtiff(), self._handlers, strict=True):
            set_handler(before)
        _LOG.removeHandler(_NO_ONE)
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = self._before
        self._warnings.__exit__(None, None, None)

    def _leave_behind(self) -> None:
        """Start anew in a forked process, which has none of the threads that were decoding."""
        if self._users:
            self._put_back()
        self._start_anew()

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._users = 0


@cache
def _libtiff() -> list[Callable[[int | None], int | None]]:
    """Functions that set libtiff's handlers and return the previous ones; none if it is linked statically.

    Without handlers, libtiff writes nothing to the standard error of the process.
    """
    try:
        library = ctypes.CDLL(_imaging.__file__)
        functions = [library.TIFFSetErrorHandler, library.TIFFSetWarningHandler]
    except (AttributeError, OSError):
        return []
    for function in functions:
        function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
    return [*functions]


held = _Settings().held
"""``with held():`` truncated files raise errors and nothing is printed, whatever the process has set."""
