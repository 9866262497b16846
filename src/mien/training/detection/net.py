"""The detector's network: a single-shot detector whose four output maps cover faces of growing size."""

import re
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.training.recipes.small import ResidualBlock

STRIDES = (8, 16, 32, 64)
POINTS = 5
OUTPUTS = 1 + 4 + 2 * POINTS


class DetectorNet(nn.Module):
    """A small residual trunk with a feature pyramid (Lin et al., CVPR 2017) and one linear head per level.

    Anchor-free like FCOS (Tian et al., ICCV 2019): each position of each level predicts whether it lies at
    the centre of a face of that level's size, and the bounding box and the five landmarks of that face.
    """

    def __init__(
        self, stem: int = 16, widths: Sequence[int] = (32, 48, 64, 96, 72), features: int = 48
    ) -> None:
        """Build the layers.

        Args:
            stem: Number of channels at stride 2.
            widths: Numbers of channels at the strides 4, 8, 16, 32 and 64.
            features: Number of channels of the pyramid.
        """
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(3, stem, 2),
            _convolution(stem, widths[0], 2),
            _convolution(widths[0], widths[1], 2),
        )
        self.stage8 = ResidualBlock(widths[1], widths[1], 1)
        self.stage16 = nn.Sequential(
            _convolution(widths[1], widths[2], 2), ResidualBlock(widths[2], widths[2], 1)
        )
        self.stage32 = nn.Sequential(
            _convolution(widths[2], widths[3], 2), ResidualBlock(widths[3], widths[3], 1)
        )
        self.stage64 = _convolution(widths[3], widths[4], 2)
        self.laterals = nn.ModuleList(nn.Conv2d(width, features, 1) for width in widths[1:])
        # One for each level: a shared norm has the statistics of one level in training, and their mean after.
        self.smooth = nn.ModuleList(_convolution(features, features, 1) for _ in STRIDES)
        self.heads = nn.ModuleList(nn.Conv2d(features, OUTPUTS, 1) for _ in STRIDES)
        for head in self.heads:
            assert isinstance(head, nn.Conv2d) and head.bias is not None
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
            # Low initial scores, since few positions are faces (Lin et al., ICCV 2017, section 3.3).
            nn.init.constant_(head.bias[:1], -4.0)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the output maps.

        Args:
            images: (n, 3, h, w); h and w are multiples of 32.

        Returns:
            One map (n, OUTPUTS, h / s, w / s) for each stride s of :data:`STRIDES`, rounded up.
        """
        maps = [self.stage8(self.stem(images))]
        for stage in (self.stage16, self.stage32, self.stage64):
            maps.append(stage(maps[-1]))
        maps = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for fine, coarse in ((1, 2), (0, 1)):
            maps[fine] = maps[fine] + F.interpolate(maps[coarse], scale_factor=2.0, mode="nearest")
        return [head(smooth(x)) for head, smooth, x in zip(self.heads, self.smooth, maps, strict=True)]


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def divide_smoothing(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give each level a copy of the smoothing layer, which they share in files up to version 3."""
    divided: dict[str, Tensor] = {}
    for name, value in weights.items():
        shared = re.fullmatch(r"smooth\.(\d\.(?:weight|scale|shift))", name)
        names = [name] if shared is None else [f"smooth.{i}.{shared[1]}" for i in range(len(STRIDES))]
        divided |= dict.fromkeys(names, value)
    return divided


def positions(maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the centres (k, 2) in pixels and the strides (k,) of all positions of the levels' maps."""
    middles, strides = [], []
    for stride, level in zip(STRIDES, maps, strict=True):
        rows, columns, device = level.shape[2], level.shape[3], level.device
        y, x = torch.meshgrid(
            torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij"
        )
        middles.append((torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((rows * columns,), float(stride), device=device))
    return torch.cat(middles), torch.cat(strides)


def flatten(maps: Sequence[Tensor]) -> Tensor:
    """Join the levels' maps to (n, k, OUTPUTS): finest level first, positions in row-major order."""
    return torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)


def decode(outputs: Tensor, middles: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Convert the network's outputs to boxes and landmarks in pixels.

    Args:
        outputs: (n, k, OUTPUTS): score logit; offset of the box's centre from the position's centre (x, y),
            in strides; logarithm of the box's width and height in units of four strides; offsets of the five
            landmarks from the position's centre, in units of four strides.
        middles: (k, 2) centres of the positions in pixels.
        strides: (k,) strides of the positions in pixels.

    Returns:
        (n, k, 4) x1, y1, x2, y2 and (n, k, 10) x, y of the five landmarks.
    """
    scale = strides[:, None]
    centre = middles + outputs[..., 1:3] * scale
    half = outputs[..., 3:5].clamp(-4, 4).exp() * (2 * scale)
    points = middles.repeat(1, POINTS) + outputs[..., 5:] * (4 * scale)
    return torch.cat([centre - half, centre + half], -1), points
