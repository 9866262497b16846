"""Measure the size of mien: of the shipped models, and of an installation.

``python benchmarks/size.py [FILE...]`` prints one row per model file, by default the shipped ones: size,
number of weights, and multiply-adds for one face or photo. Multiply-adds (MAC) are those of convolutions and
matrix products, which are almost all of them.

``python benchmarks/size.py --packages`` prints the size of each package of the base installation in the
environment in which the program runs.
"""

import sys
from importlib.metadata import distribution
from math import prod
from pathlib import Path

import onnx
from onnx import numpy_helper, shape_inference
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mien.pipeline.detect.mien import default_detector_path
from mien.pipeline.model import SHIPPED, model_path

FREE = {"n": 1, "h": 480, "w": 640}
"""Lengths of variable axes for the count of multiply-adds: one photo of 640×480 pixels."""

HEAD = ("file", "size", "weights", "input", "multiply-adds")


def row(path: Path) -> tuple[str, ...]:
    """Return the cells of one file."""
    model = onnx.load(path)
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    shape = [d.dim_value or FREE[d.dim_param] for d in dimensions]
    for dimension, size in zip(dimensions, shape, strict=True):
        dimension.dim_value = size
    weights = sum(tensor.size for tensor in map(numpy_helper.to_array, model.graph.initializer))
    return (
        path.name,
        f"{path.stat().st_size / 1e6:.1f} MB",
        f"{weights / 1e6:.1f} million",
        f"{shape[3]}×{shape[2]} px",
        f"{multiply_adds(model.graph, shapes_of(model)) / 1e9:.2f} GMAC",
    )


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor by name."""
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    known = [*graph.input, *graph.value_info, *graph.output]
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in known}
    return shapes | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def multiply_adds(graph: onnx.GraphProto, shapes: dict[str, tuple[int, ...]]) -> int:
    """Count the multiply-adds of convolutions and fully connected layers."""
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            kernel, output = shapes[node.input[1]], shapes[node.output[0]]
            total += prod(output) * prod(kernel) // output[1]
    return total


def needed(package: str, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return a package and all its dependencies in this environment, without extras."""
    known |= {canonicalize_name(package)}
    for line in distribution(package).requires or ():
        requirement = Requirement(line)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and canonicalize_name(requirement.name) not in known:
            known |= needed(requirement.name, known)
    return known


def installed_bytes(package: str) -> int:
    """Return the total size of a package's files in bytes."""
    paths = (Path(str(file.locate())) for file in distribution(package).files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def print_packages() -> None:
    """Print one row per package, the largest first."""
    sizes = sorted(((installed_bytes(name), name) for name in needed("mien")), reverse=True)
    print("| package | size |\n|---|---:|")
    for size, name in [*sizes, (sum(size for size, _ in sizes), "all")]:
        print(f"| {name} | {size / 1e6:.1f} MB |")


def main() -> None:
    """Print a table."""
    if sys.argv[1:] == ["--packages"]:
        print_packages()
        return
    files = [Path(name) for name in sys.argv[1:]] or [
        *map(model_path, SHIPPED),
        default_detector_path(),
    ]
    print(f"| {' | '.join(HEAD)} |")
    print("|---|" + "---:|" * (len(HEAD) - 1))
    for path in files:
        print(f"| {' | '.join(row(path))} |")


if __name__ == "__main__":
    main()
