"""The ``small`` recipe: a residual net of plain 3×3 convolutions and three heads, from random weights."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mien.training.module import InputSpec
from mien.training.recipes.multitask import MultiTaskModule, ThreeHeads

WIDTHS = (64, 128, 256, 384)
BLOCKS = (1, 2, 2, 1)
SIDES = ((0.3, 64), (0.65, 80), (1.0, 96))
CONTINUED_SIDES = ((0.3, 80), (1.0, 96))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al., CVPR 2016; ResNet-D's shortcut, CVPR 2019)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Build the block; a stride of 2 halves the map, with an average pooling in the shortcut."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        shortcut: list[nn.Module] = [nn.AvgPool2d(2, ceil_mode=True)] if stride == 2 else []
        if inputs != outputs:
            shortcut += [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, h / stride, w / stride), rounded up."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class SmallNet(ThreeHeads):
    """A residual net with one strided convolution as its stem."""

    def __init__(self, widths: Sequence[int] = WIDTHS, blocks: Sequence[int] = BLOCKS) -> None:
        """Build the net from the channels and block counts of its stages; each stage halves the map."""
        layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
        channels = 32
        for width, count in zip(widths, blocks, strict=True):
            for i in range(count):
                layers.append(ResidualBlock(channels, width, 2 if i == 0 else 1))
                channels = width
        trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(trunk, channels, dropout=0.3)


class SmallModule(MultiTaskModule):
    """Training of :class:`SmallNet` from random weights."""

    def __init__(self) -> None:
        """Build the net with random weights."""
        super().__init__(
            SmallNet(),
            InputSpec(size=SIDES[-1][1]),
            sides=SIDES,
            continued_sides=CONTINUED_SIDES,
            weight_decay=0.05,
            mixed=0.5,
        )
