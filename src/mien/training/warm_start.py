"""Going on from a model file: its weights back in the net, its batch norms' statistics found anew.

A model file holds each batch norm as one scale and one shift by channel, which is all that prediction needs.
To train on, the norm must be taken apart again: statistics of its input, and what it does beyond them.
"""

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from mien.errors import TrainingError
from mien.training.storage import stored_weights

MODULE = "module"
"""What a model file calls the module whose weights it holds."""


def start_from_model_file(module: nn.Module, net: nn.Module, path: Path, images: Tensor) -> None:
    """Give a net the weights of a model file; it then answers as the file does.

    Args:
        module: What was exported; ``net`` is a part of it.
        net: The part that holds the weights.
        path: A model file of the same recipe, known to be one.
        images: Normalised faces (n, 3, side, side) from which the norms' statistics are taken; some hundreds.

    Raises:
        TrainingError: If its weights do not fit the net.
    """
    prefix = next(f"{MODULE}.{name}." for name, part in module.named_modules() if part is net)
    weights = {
        name.removeprefix(prefix): values for name, values in stored_weights(onnx.load(path).graph).items()
    }
    try:
        net.load_state_dict(_with_unit_norms(net, weights))
    except (KeyError, RuntimeError):
        raise TrainingError(f"{path} does not fit this recipe; give a file exported from it.") from None
    _find_statistics(net, images)


def _norms(net: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {name: part for name, part in net.named_modules() if isinstance(part, nn.BatchNorm2d)}


def _with_unit_norms(net: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The net's state, each norm a scale and a shift over statistics that change nothing."""
    state = {}
    norms = _norms(net)
    for name, value in net.state_dict().items():
        parent, _, leaf = name.rpartition(".")
        if parent not in norms:
            state[name] = weights[name]
        elif leaf in ("weight", "bias"):
            state[name] = weights[f"{parent}.{'scale' if leaf == 'weight' else 'shift'}"].flatten()
        else:
            state[name] = torch.full_like(value, 1 - norms[parent].eps if leaf == "running_var" else 0)
    return state


@torch.no_grad()
def _find_statistics(net: nn.Module, images: Tensor) -> None:
    """Move into each norm's statistics what its input has of them, leaving the net's answers as they are."""
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
