"""Old names of modules that have moved; they still work, with a warning."""

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
    """Stands in for a moved module, and passes on the names of the new one."""

    def __getattr__(self, name: str) -> object:
        """Get a name from the new module."""
        if name.startswith("__"):  # code that inspects all modules asks for these
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        new = MOVED[self.__name__]
        warnings.warn(f"{self.__name__} is now {new}; import from there.", DeprecationWarning, stacklevel=2)
        return getattr(import_module(new), name)


def keep_old_names() -> None:
    """Make imports such as ``from mien.images import ...`` work; nothing is imported until then."""
    for name in MOVED:
        module = sys.modules.setdefault(name, MovedModule(name))
        setattr(sys.modules["mien"], name.rpartition(".")[2], module)
