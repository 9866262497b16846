"""Open ONNX graphs with ONNX Runtime."""

import ctypes
import logging
import os
import threading
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import onnxruntime

from mien.pipeline import telemetry
from mien.pipeline.devices import CPU, REFUSALS, Accelerator, accelerators, quietly


def open_session(
    graph: Path | bytes, threads: int = 1, device: str = "cpu"
) -> Any:  # onnxruntime has no types
    """Open a session that several threads may run at once.

    Each run of a net uses one thread by default. Photos are processed in parallel instead, by as many threads
    as there are processors. See docs/prediction.md for the measurements behind this choice.

    Args:
        graph: The file, or its content.
        threads: Threads per run on the CPU; 0 for one per core.
        device: Device to run on; ``auto`` for the first accelerator that can run the graph, or else the CPU.

    Raises:
        ValueError: If the graph cannot be run.
        DeviceError: If the device cannot be used.
    """
    _warn_of_telemetry()
    wanted = accelerators(device)
    session = next(filter(None, (_open_on(one, graph, threads) for one in wanted)), None)
    if session is None:
        session = _open(onnxruntime.InferenceSession, graph, _options(threads), [CPU])
        if device not in ("cpu", "auto"):
            raise wanted[0].missing()
    _sessions.add(session)
    return session


class _OneAtATime(onnxruntime.InferenceSession):  # type: ignore[misc]  # onnxruntime has no types
    """A session on a device that does not support concurrent runs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._free = threading.Lock()

    def run(self, *args: Any, **kwargs: Any) -> Any:
        with self._free:
            return super().run(*args, **kwargs)


def _open_on(accelerator: Accelerator, graph: Path | bytes, threads: int) -> Any | None:
    """A session on an accelerator; None if it does not work, for example without hardware or libraries."""
    options = _options(threads)
    kind = onnxruntime.InferenceSession if accelerator.concurrent else _OneAtATime
    with quietly():
        try:
            session = _open(kind, graph, options, accelerator.add_to(options))
        except ValueError:
            return None
    return session if session.get_providers()[0] == accelerator.provider else None


def _options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # keeps waiting threads idle
    options.log_severity_level = 3  # no warnings on stderr; errors are raised as well
    return options


def _open(kind: Any, graph: Path | bytes, options: Any, providers: list[Any]) -> Any:
    source = graph if isinstance(graph, bytes) else str(graph)
    try:
        return kind(source, options, providers=providers, enable_fallback=0)
    except REFUSALS as error:
        raise ValueError(str(error)) from None


@cache  # warns only once
def _warn_of_telemetry() -> None:
    if telemetry.LOADED_BEFORE:
        logging.getLogger("mien").warning(telemetry.WARNING)


_sessions: WeakSet[Any] = WeakSet()


def _keep_for_ever() -> None:
    """Never destroy a session in a forked child: it would wait for threads that only the parent has."""
    for session in _sessions:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_for_ever)
