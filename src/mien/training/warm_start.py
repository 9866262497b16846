"""Starting from weights whose batch norms are one scale and one shift per channel.

Model files and dlib's nets hold them so, which is all that prediction needs. To train on, each norm must be
taken apart again: the statistics of its input, and what it does beyond them.
"""

from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from mien.errors import TrainingError
from mien.training.folding import fold_constants

MODULE = "module"
"""What a model file calls the module whose weights it holds."""

NETS = ("net", "mirror_net")
"""What that module calls its nets: that of the face, and where there are two, that of its mirror image."""


def start_from_model_file(net: nn.Module, path: Path, images: Tensor, names: Sequence[str] = NETS) -> None:
    """Give a net the weights of a model file, its norms with statistics; it then answers as the file does.

    Args:
        net: What the file was exported from, or its like.
        path: Known to be a model file; in eight bits or not.
        images: Normalised faces (n, 3, side, side) from which the norms' statistics are taken; some hundreds.
        names: Of nets in the module that was exported; the first that fits is taken.

    Raises:
        TrainingError: If none fits.
    """
    load_net(net, path, names)
    _find_statistics(net, images)


def load_net(net: nn.Module, path: Path, names: Sequence[str] = NETS) -> None:
    """Give a net the weights of a model file, as :func:`start_from_model_file` does, without statistics."""
    constants = fold_constants(onnx.load(path).graph)
    for name in names:
        prefix = f"{MODULE}.{name}."
        weights = {
            own.removeprefix(prefix): torch.from_numpy(values.copy())
            for own, values in constants.items()
            if own.startswith(prefix)
        }
        try:
            net.load_state_dict(_with_unit_norms(net, _affine(net, weights)))
        except (KeyError, RuntimeError):
            continue
        return
    raise TrainingError(f"{path} does not fit this recipe; give a file exported from it.")


def start_from_trunk(trunk: nn.Module, weights: dict[str, Tensor], images: Tensor) -> None:
    """Give a trunk published weights; it then answers as the published net does.

    Args:
        trunk: Their names and shapes are its own.
        weights: Kernels, and each norm's scale and shift as its ``weight`` and ``bias``.
        images: Normalised faces (n, 3, side, side) from which the norms' statistics are taken; some hundreds.
    """
    trunk.load_state_dict(_with_unit_norms(trunk, weights))
    _find_statistics(trunk, images)


def _norms(net: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {name: part for name, part in net.named_modules() if isinstance(part, nn.BatchNorm2d)}


def _affine(net: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A model file's weights by the names that the net itself gives them.

    A file in eight bits has the norms' scales in the kernels.
    """
    named = {}
    for name in _norms(net):
        shift = weights[f"{name}.shift"].flatten()
        named[f"{name}.bias"] = shift
        named[f"{name}.weight"] = weights.get(f"{name}.scale", torch.ones_like(shift)).flatten()
    return weights | named


def _with_unit_norms(net: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The net's state, each norm a scale and a shift over statistics that change nothing."""
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
    """Re-estimate batch-norm statistics from the images, and keep the net's answers as they are."""
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
