"""dlib's face-recognition ResNet without its last layer, and the reader of its published weights.

The net is ``anet_type`` of dlib's example ``dnn_face_recognition_ex.cpp``: a ResNet of 29 convolutions (He et
al., CVPR 2016), trained on about three million faces. Its file,
``dlib_face_recognition_resnet_model_v1.dat``, is in the public domain (CC0).
"""

import struct
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import TrainingError

PUBLISHED_FILE = "dlib_face_recognition_resnet_model_v1.dat"
RGB_MEANS = (122.782, 117.001, 104.298)
"""Means of red, green and blue that the net subtracts, on the scale from 0 to 255; it then divides by 256."""

FIRST_WIDTH = 32
BLOCKS = (
    *((32, 1),) * 3,
    *((64, 2), (64, 1), (64, 1), (64, 1)),
    *((128, 2), (128, 1), (128, 1)),
    *((256, 2), (256, 1), (256, 1)),
    (256, 2),
)
"""Channels and stride of each residual block."""

FEATURES = BLOCKS[-1][0]
SMALLEST_SIDE = 103
"""Smallest side in pixels of an image for which the last block still has an input large enough."""


class DlibBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, as dlib's ``residual`` and ``residual_down``.

    With a stride of 2, the first convolution has no padding, and the shortcut averages 2×2 pixels and is zero
    in the additional channels. If the two maps differ by a row and a column, the smaller one is padded with
    zeros.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Set the input and output channels, and the stride of the first convolution, 1 or 2."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1 if stride == 1 else 0, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.new_channels = outputs - inputs
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, h / stride, w / stride), rounded down."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.stride == 1:
            return F.relu(y + x)
        shortcut = F.avg_pool2d(x, 2)
        missing = [shortcut.shape[3] - y.shape[3], shortcut.shape[2] - y.shape[2]]
        shortcut = F.pad(shortcut, [0, 0, 0, 0, 0, self.new_channels])
        return F.relu(F.pad(y, [0, missing[0], 0, missing[1]]) + shortcut)


def make_trunk() -> nn.Sequential:
    """Build the net up to its average pooling; it maps (n, 3, s, s), s >= 103, to (n, 256)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(3, FIRST_WIDTH, 7, 2, bias=False),
        norm=nn.BatchNorm2d(FIRST_WIDTH),
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(3, 2),
    )
    channels = FIRST_WIDTH
    for i, (width, stride) in enumerate(BLOCKS, 1):
        layers[f"block{i}"] = DlibBlock(channels, width, stride)
        channels = width
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    return nn.Sequential(layers)


class _Layer(NamedTuple):
    """Names of a convolution and of the affine layer that follows it, and the shape of the kernel."""

    conv: str
    norm: str
    shape: tuple[int, int, int, int]


def _layers() -> list[_Layer]:
    layers = [_Layer("conv", "norm", (FIRST_WIDTH, 3, 7, 7))]
    channels = FIRST_WIDTH
    for i, (width, _) in enumerate(BLOCKS, 1):
        layers.append(_Layer(f"block{i}.conv1", f"block{i}.norm1", (width, channels, 3, 3)))
        layers.append(_Layer(f"block{i}.conv2", f"block{i}.norm2", (width, width, 3, 3)))
        channels = width
    return layers


def read_trunk_weights(path: Path) -> dict[str, Tensor]:
    """Read the convolutions and affine layers of the published file.

    Args:
        path: Path of ``dlib_face_recognition_resnet_model_v1.dat``.

    Returns:
        float32 tensors by their names in :func:`make_trunk`: kernels (out, in, height, width), and each
        norm's ``weight`` and ``bias`` (channels,), into which the convolution's bias is folded.

    Raises:
        TrainingError: If the file is missing, holds another of dlib's nets, or is truncated.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise TrainingError(f"{path} does not exist; give the path of {PUBLISHED_FILE}.") from None
    except OSError as error:
        raise TrainingError(f"{path} cannot be read ({error.strerror}); give {PUBLISHED_FILE}.") from None
    reader = _Reader(content, path)
    state: dict[str, Tensor] = {}
    for layer in _layers():
        outputs = layer.shape[0]
        size = int(np.prod(layer.shape))
        values = reader.tensor("con_4", size + outputs)
        gamma, beta = reader.tensor("affine_", 2 * outputs).view(2, outputs)
        state[f"{layer.conv}.weight"] = values[:size].view(layer.shape)
        state[f"{layer.norm}.weight"] = gamma
        state[f"{layer.norm}.bias"] = beta + gamma * values[size:]
    reader.refuse_further("con_4")
    return state


class _Reader:
    """Reader of parameters in dlib's serialization format (dlib/serialize.h and dlib/cuda/tensor.h).

    A layer begins with its name, stored as the number of bytes of the length, the length, and the name. Its
    parameters follow: a version, four dimensions, and the values as little-endian float32.
    """

    def __init__(self, content: bytes, path: Path) -> None:
        self._content, self._path, self._at = content, path, 0

    def tensor(self, layer: str, size: int) -> Tensor:
        """Read the parameters (size,) of the next layer of this kind."""
        start = self._find(layer)
        if start < 0:
            raise self._error()
        self._at = start
        version, *shape = (self._integer() for _ in range(5))
        end = self._at + 4 * size
        if version != 2 or int(np.prod(shape)) != size or end > len(self._content):
            raise self._error()
        values = np.frombuffer(self._content, "<f4", size, self._at).astype(np.float32)
        self._at = end
        if not np.isfinite(values).all():
            raise self._error()
        return torch.from_numpy(values)

    def refuse_further(self, layer: str) -> None:
        """Raise an error if another layer of this kind follows."""
        if self._find(layer) >= 0:
            raise self._error()

    def _find(self, layer: str) -> int:
        name = struct.pack("BB", 1, len(layer)) + layer.encode()
        found = self._content.find(name, self._at)
        return found + len(name) if found >= 0 else -1

    def _integer(self) -> int:
        """Read an integer: a control byte with sign and number of bytes, then the bytes, little-endian."""
        control = self._content[self._at] if self._at < len(self._content) else 0
        count = control & 0x0F
        value = int.from_bytes(self._content[self._at + 1 : self._at + 1 + count], "little")
        self._at += 1 + count
        return -value if control & 0x80 else value

    def _error(self) -> TrainingError:
        return TrainingError(
            f"{self._path} does not hold the weights of dlib's face-recognition net, or is cut short; give "
            f"{PUBLISHED_FILE}."
        )
