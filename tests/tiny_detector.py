"""A detector's file small enough to be built by a test: it takes white squares for faces."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

POINTS = ((-0.4, -0.3), (0.4, -0.3), (0.0, 0.1), (-0.3, 0.5), (0.3, 0.5))
"""Of each face, in halves of its side from its centre."""


def detector_metadata(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "detector",
        "name": "tiny",
        "version": "0",
        "licence": "none",
        "training_data": ["nothing"],
        "threshold": 0.5,
        "nms_iou": 0.4,
        "metrics": {},
    } | changes


def build_detector(path: Path, metadata: dict[str, Any] | None = None, outputs: str = "landmarks") -> Path:
    """A face at each cell of stride 8, 16 and 32: as sure as the cell is bright, and twice its side."""
    nodes: list[NodeProto] = []
    constants = {
        "max": np.float32(255),
        "one": np.float32(1),
        "zero": np.float32(0),
        "half": np.float32(0.5),
        "x_axis": np.int64(3),
        "y_axis": np.int64(2),
        "flat": np.array([0, -1]),
        **{f"rows{n}": np.array([0, n, -1]) for n in (4, 10)},
    }
    for stride in (8, 16, 32):
        constants[f"stride{stride}"] = np.float32(stride)
        nodes += _level(stride, constants)
    for name, axis in (("scores", 1), ("boxes", 1), (outputs, 1)):
        parts = [f"{name if name in ('scores', 'boxes') else 'landmarks'}{s}" for s in (8, 16, 32)]
        nodes.append(helper.make_node("Concat", parts, [name], axis=axis))
    shapes: list[list[str | int | None]] = [["n", "k"], ["n", "k", 4], ["n", "k", 10]]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in zip(("scores", "boxes", outputs), shapes, strict=True)
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"mien": json.dumps(metadata or detector_metadata())})
    onnx.save(model, path)
    return path


def _level(stride: int, constants: dict[str, Any]) -> list[NodeProto]:
    """Nodes that give ``scores8``, ``boxes8`` and ``landmarks8``, likewise for other strides."""
    s = str(stride)
    node = helper.make_node
    nodes = [
        node("AveragePool", ["image"], ["colour" + s], kernel_shape=[stride] * 2, strides=[stride] * 2),
        node("ReduceMean", ["colour" + s], ["grey" + s], axes=[1]),
        node("Div", ["grey" + s, "max"], ["map" + s]),
        node("Flatten", ["map" + s], ["scores" + s]),
        node("Mul", ["map" + s, "zero"], ["zeros" + s]),
        node("Add", ["zeros" + s, "one"], ["ones" + s]),
    ]
    for axis in "xy":
        nodes += [
            node("CumSum", ["ones" + s, f"{axis}_axis"], [f"{axis}_count{s}"]),
            node("Sub", [f"{axis}_count{s}", "half"], [f"{axis}_cell{s}"]),
            node("Mul", [f"{axis}_cell{s}", "stride" + s], [axis + s]),
        ]

    def place(name: str, offsets: list[float]) -> list[NodeProto]:
        placed, parts = [], []
        for i, offset in enumerate(offsets):
            part = f"{name}_{i}_{s}"
            constants[part + "by"] = np.float32(offset * stride)
            placed.append(node("Add", ["xy"[i % 2] + s, part + "by"], [part]))
            parts.append(part)
        rows = f"rows{len(offsets)}"
        return [
            *placed,
            node("Concat", parts, [f"{name}_map{s}"], axis=1),
            node("Reshape", [f"{name}_map{s}", rows], [f"{name}_rows{s}"]),
            node("Transpose", [f"{name}_rows{s}"], [name + s], perm=[0, 2, 1]),
        ]

    nodes += place("boxes", [-1, -1, 1, 1])
    nodes += place("landmarks", [value for point in POINTS for value in point])
    return nodes
