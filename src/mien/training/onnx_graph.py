"""Export of nets to ONNX graphs, with batch norms as scale and shift."""

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import onnx
import torch
from torch import Tensor, nn

from mien.errors import TrainingError


class Affine(nn.Module):
    """A batch norm in evaluation mode: scale and shift by channel.

    It is not folded into the convolution, so that the file keeps the trained weights for runs that continue
    from it. ONNX Runtime fuses the two when it loads the file.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        """Combine the statistics and the affine parameters of a trained batch norm."""
        super().__init__()
        if norm.running_mean is None or norm.running_var is None:
            raise TrainingError("a batch norm without running statistics cannot be exported.")
        scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        self.register_buffer("scale", scale.view(1, -1, 1, 1))
        self.register_buffer("shift", (norm.bias.detach() - norm.running_mean * scale).view(1, -1, 1, 1))
        self.scale: Tensor
        self.shift: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to the same shape."""
        return x * self.scale + self.shift


class Graph(nn.Module):
    """A copy of a module as a plain PyTorch module, with its batch norms replaced by :class:`Affine`."""

    def __init__(self, module: nn.Module) -> None:
        """Copy the module."""
        super().__init__()
        self.module = copy.deepcopy(module)  # the file's tensor names begin with this name
        for parent in list(self.module.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.BatchNorm2d):
                    setattr(parent, name, Affine(child))

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the module's outputs."""
        return tuple(self.module(inputs))


def to_onnx(
    module: nn.Module, example: Tensor, input_name: str, output_names: Sequence[str], axes: dict[int, str]
) -> onnx.ModelProto:
    """Export a module to an ONNX graph.

    Args:
        module: A module that maps one tensor to a tuple of tensors.
        example: An example input.
        input_name: Name of the input.
        output_names: Names of the outputs.
        axes: Names of the input's axes of variable length, by index.

    Raises:
        TrainingError: If PyTorch cannot export it.
    """
    with _quiet_exporter():
        program = torch.onnx.export(
            Graph(module).eval(),
            (example,),
            input_names=[input_name],
            output_names=list(output_names),
            dynamic_shapes=({axis: torch.export.Dim(name) for axis, name in axes.items()},),
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise TrainingError("the graph could not be exported.")
    graph: onnx.ModelProto = program.model_proto
    _forget_origin(graph.graph)
    onnx.checker.check_model(graph)
    return graph


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hide the exporter's messages on missing torchvision and on its own use of deprecated functions."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)


def _forget_origin(graph: onnx.GraphProto) -> None:
    """Drop the exporter's notes on the origin of each node: a third of a megabyte of file names."""
    graph.ClearField("value_info")
    graph.ClearField("metadata_props")
    for part in [*graph.node, *graph.input, *graph.output]:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
