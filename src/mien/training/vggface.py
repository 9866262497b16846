"""VGGFace's VGG16 trunk, and the reader of its published Keras weights.

The net is that of Parkhi, Vedaldi and Zisserman, "Deep Face Recognition", BMVC 2015 (configuration D of
Simonyan and Zisserman, ICLR 2015). keras-vggface publishes its convolutions as
``rcmalli_vggface_tf_notop_vgg16.h5``, for images prepared by its ``preprocess_input(version=1)``: BGR, 0 to
255, minus the channels' means.
"""

from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mien.errors import TrainingError

PUBLISHED_FILE = "rcmalli_vggface_tf_notop_vgg16.h5"
BGR_MEANS = (93.5940, 104.7624, 129.1863)
"""Means of blue, green and red over the training images of VGGFace, on the scale from 0 to 255."""

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions of each block; every block ends with a max pooling that halves the map."""

FEATURES = WIDTHS[-1][-1]


def make_trunk() -> nn.Sequential:
    """Build the convolutions and a global average pooling; they map (n, 3, s, s), s >= 32, to (n, 512).

    The layers have their names in the published file. Weights are initialised as in Keras (Glorot and Bengio,
    AISTATS 2010). This suits inputs of this scale: each layer reduces the magnitude by about the square root
    of two, so thirteen layers reduce it from tens to about one.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for block, widths in enumerate(WIDTHS, 1):
        for i, width in enumerate(widths, 1):
            layers[f"conv{block}_{i}"] = glorot(nn.Conv2d(channels, width, 3, padding=1))
            layers[f"relu{block}_{i}"] = nn.ReLU(inplace=True)
            channels = width
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    return nn.Sequential(layers)


def glorot(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """Initialise a layer as Keras does: weights from Glorot's uniform distribution, biases zero."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def read_trunk_weights(path: Path) -> dict[str, Tensor]:
    """Read the convolutions of the published Keras file, of a copy saved by Keras, or of ImageNet's VGG16.

    Each layer is a group anywhere in the file. It holds, at any depth and under any names (they changed
    between versions of Keras), one kernel (height, width, in, out) and one bias (out,). The group's name is
    that of VGGFace, of Keras' VGG16, or of Keras 3, which numbers layers.

    Args:
        path: Path of ``rcmalli_vggface_tf_notop_vgg16.h5``, or of a file with the same net.

    Returns:
        A state dictionary for :func:`make_trunk`: float32, kernels (out, in, height, width).

    Raises:
        TrainingError: If the file is missing, is not HDF5, lacks a layer, or a layer's shape is wrong.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read_layers(file, path)
    except FileNotFoundError:
        raise TrainingError(f"{path} does not exist; give the path of {PUBLISHED_FILE}.") from None
    except OSError:
        raise TrainingError(f"{path} {_what_it_is(path)}; give {PUBLISHED_FILE}.") from None


def _what_it_is(path: Path) -> str:
    """Explain why a file cannot be read as HDF5, as the predicate of a sentence about the file."""
    start = path.read_bytes()[:512] if path.is_file() else b""
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, whose file has not been fetched ('git lfs pull' does)"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "is a web page, not the download it leads to"
    if start.startswith(b"\x89HDF"):
        return "is cut short; download it again"
    return "is not a readable HDF5 file"


def _read_layers(file: h5py.File, path: Path) -> dict[str, Tensor]:
    groups: dict[str, h5py.Group] = {}

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Group):
            groups.setdefault(name.rpartition("/")[2], item)  # outer groups come first

    file.visititems(note)
    state: dict[str, Tensor] = {}
    channels, number = 3, 0
    for block, widths in enumerate(WIDTHS, 1):
        for i, width in enumerate(widths, 1):
            name = f"conv{block}_{i}"
            names = (name, f"block{block}_conv{i}", f"conv2d_{number}" if number else "conv2d")
            layer = next((groups[known] for known in names if known in groups), None)
            if layer is None:
                raise TrainingError(f"{path} has no layer '{name}'; give {PUBLISHED_FILE}.")
            kernel = _read_only(layer, path, (3, 3, channels, width))
            bias = _read_only(layer, path, (width,))
            state[f"{name}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
            state[f"{name}.bias"] = torch.from_numpy(bias)
            channels, number = width, number + 1
    return state


def _read_only(group: h5py.Group, path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Read the only array of a layer that has as many dimensions as ``shape``."""
    found: list[h5py.Dataset] = []
    group.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    shapes = [item.shape for item in found]
    matching = [item for item in found if item.ndim == len(shape)]
    if len(matching) != 1 or matching[0].shape != shape:
        raise TrainingError(
            f"{path}: layer '{group.name.strip('/')}' holds arrays of shape {shapes} where one of {shape} is "
            f"expected; give {PUBLISHED_FILE}."
        )
    return np.asarray(matching[0][()], np.float32)
