"""Opening an ONNX graph for the CPU."""

import ctypes
import logging
import os
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from mien.pipeline import telemetry

_REFUSALS = (
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NoSuchFile,
    runtime.NotImplemented,
    runtime.RuntimeException,
)


def open_session(graph: Path | bytes, threads: int = 0) -> Any:  # onnxruntime has no types
    """A session that several threads may run at once.

    Args:
        graph: The file, or its content.
        threads: That each run uses; 0 for as many as there are cores.

    Raises:
        ValueError: If it is no graph that can be run.
    """
    _warn_of_telemetry()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors, which are raised as well; not warnings on stderr
    source = graph if isinstance(graph, bytes) else str(graph)
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except _REFUSALS as error:
        raise ValueError(str(error)) from None
    _sessions.add(session)
    return session


@cache  # so that it is said once
def _warn_of_telemetry() -> None:
    if telemetry.LOADED_BEFORE:
        logging.getLogger("mien").warning(telemetry.WARNING)


_sessions: WeakSet[Any] = WeakSet()


def _keep_for_ever() -> None:
    """Let no session end in a forked child: it would wait for its threads, which only the parent has."""
    for session in _sessions:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_for_ever)
