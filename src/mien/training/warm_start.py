"""Warm start from weights whose batch norms are one scale and one shift per channel.

Model files and dlib's nets store batch norms in this form, which suffices for prediction. To continue
training, each norm must be split again into the statistics of its input and a learned scale and shift.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from mien.errors import TrainingError
from mien.training.folding import fold_constants

MODULE = "module"
"""Name in a model file of the module whose weights it holds."""

NETS = ("net", "mirror_net")
"""Names of that module's nets: the one for the face, and the one for its mirror image if there are two."""


def start_from_model_file(
    net: nn.Module,
    path: Path,
    images: Tensor,
    names: Sequence[str] = NETS,
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict,
) -> None:
    """Load the weights of a model file and estimate batch-norm statistics, without changing the outputs.

    Args:
        net: A net of the same architecture as the exported one; changed in place.
        path: A model file, in eight bits or in single precision.
        images: Some hundred normalised faces (n, 3, side, side), for the batch-norm statistics.
        names: Names of nets in the exported module; the first that fits is used.
        rename: Gives the file's weights the names of the net, if a file of an earlier version has others.

    Raises:
        TrainingError: If none fits.
    """
    load_net(net, path, names, rename)
    _find_statistics(net, images)


def load_net(
    net: nn.Module,
    path: Path,
    names: Sequence[str] = NETS,
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict,
) -> None:
    """Load the weights of a model file as :func:`start_from_model_file` does, but without statistics."""
    constants = fold_constants(onnx.load(path).graph)
    for name in names:
        prefix = f"{MODULE}.{name}."
        weights = {
            own.removeprefix(prefix): torch.from_numpy(values.copy())
            for own, values in constants.items()
            if own.startswith(prefix)
        }
        try:
            net.load_state_dict(_with_unit_norms(net, _affine(net, rename(weights))))
        except (KeyError, RuntimeError):
            continue
        return
    raise TrainingError(f"{path} does not fit this recipe; give a file exported from it.")


def start_from_trunk(trunk: nn.Module, weights: dict[str, Tensor], images: Tensor) -> None:
    """Load published weights into a trunk and estimate batch-norm statistics, without changing the outputs.

    Args:
        trunk: The trunk; changed in place.
        weights: By the trunk's names: kernels, and each norm's scale and shift as ``weight`` and ``bias``.
        images: Some hundred normalised faces (n, 3, side, side), for the batch-norm statistics.
    """
    trunk.load_state_dict(_with_unit_norms(trunk, weights))
    _find_statistics(trunk, images)


def _norms(net: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {name: part for name, part in net.named_modules() if isinstance(part, nn.BatchNorm2d)}


def _affine(net: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a model file's weights to the net's own names.

    In an eight-bit file the norms' scales are folded into the kernels, so their scale is 1.
    """
    named = {}
    for name in _norms(net):
        shift = weights[f"{name}.shift"].flatten()
        named[f"{name}.bias"] = shift
        named[f"{name}.weight"] = weights.get(f"{name}.scale", torch.ones_like(shift)).flatten()
    return weights | named


def _with_unit_norms(net: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Build the net's state; each norm gets the given scale and shift, and statistics that have no effect."""
    state = {}
    norms = _norms(net)
    for name, value in net.state_dict().items():
        parent, _, leaf = name.rpartition(".")
        if parent in norms and leaf not in ("weight", "bias"):
            state[name] = torch.full_like(value, 1 - norms[parent].eps if leaf == "running_var" else 0)
        else:
            state[name] = weights[name]
    return state


@torch.no_grad()
def _find_statistics(net: nn.Module, images: Tensor) -> None:
    """Re-estimate batch-norm statistics from the images, and keep the net's outputs unchanged."""
    seen: dict[nn.BatchNorm2d, Tensor] = {}

    def look(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        seen[norm] = inputs[0].transpose(0, 1).flatten(1)

    for norm in _norms(net).values():
        norm.register_forward_pre_hook(look)
    training = net.training
    net.eval()(images)
    net.train(training)
    for norm, values in seen.items():
        norm._forward_pre_hooks.clear()
        mean, variance = values.mean(1), values.var(1)
        norm.bias.add_(norm.weight * mean)
        norm.weight.mul_(torch.sqrt(variance + norm.eps))
        norm.running_mean, norm.running_var = mean, variance
