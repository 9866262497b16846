"""Modules that have moved: their old names still work, with a warning."""

import sys
import warnings
from importlib import import_module
from types import ModuleType

MOVED = {
    "mien.align": "mien.pipeline.align",
    "mien.defaults": "mien.request",
    "mien.detect": "mien.pipeline.detect",
    "mien.images": "mien.pipeline.images",
    "mien.intervals": "mien.pipeline.intervals",
    "mien.metadata": "mien.pipeline.metadata",
    "mien.model": "mien.pipeline.model",
    "mien.quality": "mien.pipeline.quality",
    "mien.types": "mien.results",
}


class MovedModule(ModuleType):
    """Stands where a module was, and gives the names of the one that it became."""

    def __getattr__(self, name: str) -> object:
        """A name of the new module."""
        if name.startswith("__"):  # what looks through all modules asks for these
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        new = MOVED[self.__name__]
        warnings.warn(f"{self.__name__} is now {new}; import from there.", DeprecationWarning, stacklevel=2)
        return getattr(import_module(new), name)


def keep_old_names() -> None:
    """Let ``from mien.images import ...`` and the like work; nothing is imported until then."""
    for name in MOVED:
        module = sys.modules.setdefault(name, MovedModule(name))
        setattr(sys.modules["mien"], name.rpartition(".")[2], module)
