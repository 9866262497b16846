"""Caches of other libraries, kept out of the user's home directory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def temporary_caches() -> Iterator[None]:
    """Make Matplotlib keep its font cache in a folder that is deleted when the command ends."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="mien-") as folder:
        os.environ.setdefault("MPLCONFIGDIR", folder)
        yield
