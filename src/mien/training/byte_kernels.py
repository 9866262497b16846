"""How a model file stores kernels: one byte per weight and one scale per channel, where that loses nothing.

Checkpoints hold weights rounded so, by channel and about zero (Krishnamoorthi, "Quantizing deep convolutional
networks for efficient inference", 2018, section 3.1.1). Answers are computed in single precision.
"""

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor

LARGEST = 127
"""Largest value of a byte, which the largest weight of every channel has."""

SCALE_BITS = 12
"""Bits of a scale: few enough that its products with bytes are exact, and so give the scale back."""

SMALLEST_STORED = 256
"""Smaller tensors stay as they are: bytes would save nothing."""

BYTES, SCALE, HALVES = ".bytes", ".scale", ".half"
"""Ends of the names of a tensor's parts; files of earlier versions hold kernels in half precision."""


def round_kernels(weights: dict[str, Tensor]) -> None:
    """Put in the place of kernels, tensors of several axes, what :func:`store_kernels` can store of them."""
    for name, value in weights.items():
        if value.is_floating_point() and value.ndim > 1:  # never in place: a trainer may hold the tensor
            codes, scale = _encode(value)
            weights[name] = codes * scale


def store_kernels(graph: onnx.GraphProto) -> None:
    """Store rounded kernels as bytes, followed by nodes that ONNX Runtime computes when it loads the file."""
    nodes = []
    for tensor in list(graph.initializer):
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < 2 or values.size < SMALLEST_STORED:
            continue
        codes, scale = _encode(torch.from_numpy(values.copy()))
        if not np.array_equal((codes * scale).numpy(), values):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(codes.to(torch.int8).numpy(), name + BYTES))
        graph.initializer.append(onnx.numpy_helper.from_array(scale.numpy(), name + SCALE))
        whole = f"{name}.whole"
        nodes.append(onnx.helper.make_node("Cast", [name + BYTES], [whole], to=onnx.TensorProto.FLOAT))
        nodes.append(onnx.helper.make_node("Mul", [whole, name + SCALE], [name]))
    nodes.extend(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)


def stored_weights(graph: onnx.GraphProto) -> dict[str, Tensor]:
    """All tensors of a file in single precision, by the names they had before they were stored."""
    parts = {
        tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).astype(np.float32))
        for tensor in graph.initializer
    }
    weights = {}
    for name, values in parts.items():
        if name.endswith(BYTES):
            name = name.removesuffix(BYTES)
            values = values * parts[name + SCALE]
        weights[name.removesuffix(HALVES)] = values
    return weights


def _encode(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers from -127 to 127, and by channel, the first axis, the scale that makes them weights."""
    largest = kernel.abs().flatten(1).amax(1) / LARGEST
    mantissa, exponent = torch.frexp(torch.where(largest > 0, largest, 1))
    scale = torch.ldexp((mantissa * 2**SCALE_BITS).round() / 2**SCALE_BITS, exponent)
    scale = scale.view(-1, *[1] * (kernel.ndim - 1))
    return (kernel / scale).round(), scale
