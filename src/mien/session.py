"""Opening an ONNX graph for the CPU."""

from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

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
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors, which are raised as well; not warnings on stderr
    source = graph if isinstance(graph, bytes) else str(graph)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except _REFUSALS as error:
        raise ValueError(str(error)) from None
