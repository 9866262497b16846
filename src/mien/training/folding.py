"""Simplification of ONNX graphs: constant folding, and folding of batch norms into convolution kernels."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Array = npt.NDArray[Any]


def is_quantized(model: onnx.ModelProto) -> bool:
    """Whether a graph computes in eight bits."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def fold_constants(graph: onnx.GraphProto) -> dict[str, Array]:
    """Decode kernels that are stored as bytes to single precision, in place.

    Returns:
        The graph's constants by name.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    replace(graph, [node for node in graph.node if not _compute(node, constants)], constants)
    return constants


def _compute(node: onnx.NodeProto, constants: dict[str, Array]) -> bool:
    """Compute a node that decodes a kernel; return False if it is no such node."""
    if any(name not in constants for name in node.input):
        return False
    values = [constants[name] for name in node.input]
    if node.op_type == "Cast":
        result = values[0].astype(np.float32)
    elif node.op_type == "Mul":
        result = values[0] * values[1]
    elif node.op_type == "DequantizeLinear":
        # mien's graphs have one scale per output channel (the first axis), or one for all.
        scale, zero = (value.reshape(-1, *[1] * (values[0].ndim - 1)) for value in values[1:])
        result = (values[0].astype(np.float32) - zero) * scale
    else:
        return False
    constants[node.output[0]] = result.astype(np.float32)
    return True


def fold_norms(graph: onnx.GraphProto) -> None:
    """Fold the scale and shift (Mul and Add by channel) after each convolution into it, in place.

    The kernel keeps its name; the bias takes the name of the shift.

    Raises:
        ValueError: If two convolutions share a kernel and have different norms.
    """
    constants = fold_constants(graph)
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    scaled: dict[str, str] = {}
    gone: list[str] = []
    for node in graph.node:
        product = _next(node, "Mul", users, constants)
        total = _next(product, "Add", users, constants) if product is not None else None
        if product is None or total is None or node.op_type != "Conv" or len(node.input) > 2:
            continue
        kernel, scale, shift = node.input[1], product.input[1], total.input[1]
        if kernel not in scaled:  # several convolutions may share a kernel and its norm
            constants[kernel] = constants[kernel] * constants[scale].reshape(-1, 1, 1, 1)
        elif scaled[kernel] != scale:
            raise ValueError(f"the kernel {kernel} has two norms")
        scaled[kernel] = scale
        constants[shift] = constants[shift].reshape(-1)
        node.input.append(shift)
        node.output[0] = total.output[0]
        gone += [product.output[0], total.output[0]]
    replace(graph, [n for n in graph.node if n.op_type == "Conv" or n.output[0] not in gone], constants)


def _next(
    node: onnx.NodeProto, kind: str, users: dict[str, list[onnx.NodeProto]], constants: dict[str, Array]
) -> onnx.NodeProto | None:
    """Return the only user of a node's output, if it is of this kind and its other operand is constant."""
    taking = users.get(node.output[0], [])
    if len(taking) != 1 or taking[0].op_type != kind or taking[0].input[1] not in constants:
        return None
    return taking[0]


def replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], constants: dict[str, Array]) -> None:
    """Replace a graph's nodes and constants by those given, as far as its outputs need them."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(
        numpy_helper.from_array(values, name) for name, values in constants.items() if name in needed
    )
