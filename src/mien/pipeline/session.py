"""Opening an ONNX graph."""

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
    """A session that several threads may run at once.

    One thread a run is mien's setting everywhere: photos are looked at side by side instead, by as many
    threads as there are processors. What that was chosen from is in docs/prediction.md.

    Args:
        graph: The file, or its content.
        threads: That each run uses on the processor; 0 for as many as there are cores.
        device: Where it runs; ``auto`` for the first accelerator that can run it, or else the processor.

    Raises:
        ValueError: If it is no graph that can be run.
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
    """A session on a device that does not take several runs at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._free = threading.Lock()

    def run(self, *args: Any, **kwargs: Any) -> Any:
        with self._free:
            return super().run(*args, **kwargs)


def _open_on(accelerator: Accelerator, graph: Path | bytes, threads: int) -> Any | None:
    """A session on an accelerator; None where it does not work, as without hardware or libraries."""
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
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # or threads wait busily
    options.log_severity_level = 3  # errors, which are raised as well; not warnings on stderr
    return options


def _open(kind: Any, graph: Path | bytes, options: Any, providers: list[Any]) -> Any:
    source = graph if isinstance(graph, bytes) else str(graph)
    try:
        return kind(source, options, providers=providers, enable_fallback=0)
    except REFUSALS as error:
        raise ValueError(str(error)) from None


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
