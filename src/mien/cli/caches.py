"""Caches of others, kept out of the user's home."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def temporary_caches() -> Iterator[None]:
    """Have Matplotlib keep its list of fonts in a folder that goes with the command."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="mien-") as folder:
        os.environ.setdefault("MPLCONFIGDIR", folder)
        yield
