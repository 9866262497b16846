"""Model files for other programs: the same net in widely supported operators.

mien's files compute in eight bits or store kernels as bytes, and have the nodes of PyTorch's exporter. ONNX
Runtime and OpenVINO support all of that. OpenCV 4's ``dnn`` and converters to half precision do not.
"""

from pathlib import Path

import numpy as np
import onnx

from mien.errors import TrainingError
from mien.files import refuse_overwriting, written_beside
from mien.pipeline.model import Model
from mien.training.folding import Array, fold_constants, is_quantized, replace

MAX_AGE_DIFFERENCE, MAX_PROBABILITY_DIFFERENCE = 1e-3, 1e-4
MAX_ROUNDING = (1.5, 0.05)
"""The same limits (years, p(female)) for a source in eight bits: its copy no longer rounds activations."""

FACES = 16
"""Number of noise pictures on which the converted file and the source are compared."""

OPSET_13 = {
    "Add",
    "AveragePool",
    "Clip",
    "Conv",
    "Div",
    "Flatten",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "Mul",
} | {
    "Relu",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Squeeze",
}
"""Operators that have the same meaning since version 13 of ONNX, in the way that mien's graphs use them."""


def convert(source: Path, output: Path) -> tuple[float, float]:
    """Convert a model file to plain operators, keep its calibration, and check its outputs.

    Args:
        source: A model file.
        output: The ``.onnx`` file to write.

    Returns:
        Largest differences between the two files' outputs, in years and in p(female).

    Raises:
        ModelError: If the source cannot be used.
        TrainingError: If the outputs differ by more than 1e-3 years or 1e-4 in probability (1.5 years or
            0.05 if the source is in eight bits), or the file cannot be written. Then no file is left.
        MienError: If the output is the source.
    """
    refuse_overwriting([output], [source])
    model = Model(source)  # refuses anything but a model file
    graph = onnx.load(source)
    bounds = MAX_ROUNDING if is_quantized(graph) else (MAX_AGE_DIFFERENCE, MAX_PROBABILITY_DIFFERENCE)
    make_plain(graph)
    try:
        with written_beside(output) as file:
            onnx.save(graph, file)
            differences = _compare(model, Model(file))
            if not (differences[0] <= bounds[0] and differences[1] <= bounds[1]):  # refuses NaN as well
                raise TrainingError(
                    f"the plain graph differs from {source} by {differences[0]:.2g} years and "
                    f"{differences[1]:.2g} in probability; nothing was written."
                )
    except OSError as error:
        raise TrainingError(
            f"{output} cannot be written ({error.strerror}); choose another --output."
        ) from None
    return differences


def make_plain(model: onnx.ModelProto) -> None:
    """Rewrite a graph in place, without the operators that other programs lack.

    Kernels become single precision, and activations are clipped instead of quantized. A global average
    becomes a single node, a reversed slice of the input a Gather, and the selection of a single column a
    Slice. The graph is marked as opset 13 if all its operators allow it.
    """
    graph = model.graph
    constants = fold_constants(graph)
    makers = {output: node for node in graph.node for output in node.output}
    widths = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.input
    }
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[0] in widths:
            widths[node.output[0]] = widths[node.input[0]]
        nodes += (
            _clipped(node, makers, constants)
            or _flattened(node, makers)
            or _mirrored(node, constants, widths)
            or _column(node, constants)
            or [node]
        )
    replace(graph, nodes, constants)
    if OPSET_13.issuperset(node.op_type for node in graph.node):
        del model.opset_import[:]
        model.opset_import.extend([onnx.helper.make_opsetid("", 13)])
        model.ir_version = 7
    onnx.checker.check_model(model)


def _clipped(
    node: onnx.NodeProto, makers: dict[str, onnx.NodeProto], constants: dict[str, Array]
) -> list[onnx.NodeProto]:
    """Replace quantization and dequantization of an activation by clipping to the range of a byte."""
    rounding = makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
    if rounding is None or rounding.op_type != "QuantizeLinear":
        return []
    scale, zero = (constants[name] for name in rounding.input[1:3])
    ends = [f"{node.output[0]}.{end}" for end in ("min", "max")]
    for name, byte in zip(ends, (0, 255), strict=True):
        constants[name] = ((byte - zero.astype(np.float32)) * scale).astype(np.float32)
    return [onnx.helper.make_node("Clip", [rounding.input[0], *ends], [node.output[0]])]


def _flattened(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Replace a global average as PyTorch exports it: ReduceMean, Reshape, Gather, Reshape."""
    gathered = makers.get(node.input[0]) if node.op_type == "Reshape" else None
    line = makers.get(gathered.input[0]) if gathered is not None and gathered.op_type == "Gather" else None
    mean = makers.get(line.input[0]) if line is not None and line.op_type == "Reshape" else None
    if line is None or mean is None or mean.op_type != "ReduceMean":
        return []
    pooled = f"{node.output[0]}.pooled"
    return [
        onnx.helper.make_node("GlobalAveragePool", [mean.input[0]], [pooled]),
        onnx.helper.make_node("Flatten", [pooled], [node.output[0]], axis=1),
    ]


def _mirrored(
    node: onnx.NodeProto, constants: dict[str, Array], widths: dict[str, list[int]]
) -> list[onnx.NodeProto]:
    if node.op_type != "Slice" or node.input[0] not in widths or len(node.input) < 5:
        return []
    axis, step = (constants.get(name, np.array([])).tolist() for name in node.input[3:5])
    if len(axis) != 1 or step != [-1]:
        return []
    order = f"{node.output[0]}.order"
    constants[order] = np.arange(widths[node.input[0]][axis[0]], dtype=np.int64)[::-1].copy()
    return [onnx.helper.make_node("Gather", [node.input[0], order], [node.output[0]], axis=axis[0])]


def _column(node: onnx.NodeProto, constants: dict[str, Array]) -> list[onnx.NodeProto]:
    if node.op_type != "Gather" or constants.get(node.input[1], np.zeros(1)).ndim:
        return []
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    index = int(constants[node.input[1]])
    column = f"{node.output[0]}.column"
    start, end, along = (f"{column}.{name}" for name in ("start", "end", "axis"))
    for name, value in ((start, index), (end, index + 1), (along, axis)):
        constants[name] = np.array([value], np.int64)
    return [
        onnx.helper.make_node("Slice", [node.input[0], start, end, along], [column]),
        onnx.helper.make_node("Squeeze", [column, along], [node.output[0]]),
    ]


def _compare(one: Model, other: Model) -> tuple[float, float]:
    size, bins = one.metadata.input_size, one.metadata.age_max - one.metadata.age_min + 1
    noise = np.random.default_rng(0).integers(0, 256, (FACES, size, size, 3), np.uint8)
    (ages, female), (its_ages, its_female) = one.run(noise), other.run(noise)
    years = np.abs((ages - its_ages) @ np.arange(bins)).max()
    return float(years), float(np.abs(female - its_female).max())
