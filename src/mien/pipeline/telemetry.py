"""ONNX Runtime's telemetry, switched off before it can start.

From version 1.29 on, ONNX Runtime reports its use to its maker and writes a lasting identifier into the
user's home, unless a variable is set when it is loaded; its own ``disable_telemetry_events()`` comes too
late. So this is the one thing that importing :mod:`mien` changes outside itself: whatever loads ONNX Runtime
after mien finds the variable set. A value that the user gave stays.
"""

import os
import sys

VARIABLE = "ORT_DISABLE_TELEMETRY"

LOADED_BEFORE = "onnxruntime" in sys.modules and VARIABLE not in os.environ
"""Whether something else loaded ONNX Runtime before mien, without the variable: mien cannot undo that."""

WARNING = (
    "ONNX Runtime was loaded before mien, and from its version 1.29 on it then sends telemetry to its maker. "
    f"Import mien first, or set {VARIABLE}=1 before the program starts."
)


def switch_off() -> None:
    """Set the variable, if the user has not."""
    os.environ.setdefault(VARIABLE, "1")
