"""ONNX Runtime's telemetry, switched off before it can start.

From version 1.29 on, ONNX Runtime reports its use to its maker and writes a permanent identifier into the
user's home directory, unless an environment variable is set before it is loaded. Its own
``disable_telemetry_events()`` comes too late. Importing :mod:`mien` therefore sets the variable, for all code
that loads ONNX Runtime after mien. It is the only global side effect of the import. A value that the user has
set is kept.
"""

import os
import sys

VARIABLE = "ORT_DISABLE_TELEMETRY"

LOADED_BEFORE = "onnxruntime" in sys.modules and VARIABLE not in os.environ
"""Whether ONNX Runtime was loaded before mien without the variable, which mien cannot undo."""

WARNING = (
    "ONNX Runtime was loaded before mien, and from its version 1.29 on it then sends telemetry to its maker. "
    f"Import mien first, or set {VARIABLE}=1 before the program starts."
)


def switch_off() -> None:
    """Set the variable, unless the user has set it."""
    os.environ.setdefault(VARIABLE, "1")
