"""The ``dlib`` recipe: dlib's face-recognition ResNet, pretrained on three million faces, and three heads."""

from pathlib import Path

from torch import Tensor

from mien.training.augment import to_images
from mien.training.dlib_resnet import FEATURES, RGB_MEANS, make_trunk, read_trunk_weights
from mien.training.module import InputSpec
from mien.training.recipes.multitask import MultiTaskModule, ThreeHeads
from mien.training.warm_start import start_from_trunk

SIDES = ((0.6, 112), (1.0, 128))
"""Sides of the training images. At 140 px, faces would be as large as in dlib's own chips of 150 px; 128 px
cost a fifth less."""


class DlibModule(MultiTaskModule):
    """Training of dlib's trunk with three heads."""

    def __init__(self) -> None:
        """Build the net with random weights."""
        means = (RGB_MEANS[0] / 255, RGB_MEANS[1] / 255, RGB_MEANS[2] / 255)
        super().__init__(
            ThreeHeads(make_trunk(), FEATURES, dropout=0.2),
            InputSpec(size=SIDES[-1][1], mean=means, std=(256 / 255,) * 3),
            sides=SIDES,
            continued_sides=((1.0, SIDES[-1][1]),),
            weight_decay=0.05,
            mixed=0.2,
        )

    def start_from(self, path: Path, chips: Tensor) -> None:
        """Start the trunk from dlib's published file, or the whole net from a model file of this recipe."""
        if path.suffix == ".onnx":
            super().start_from(path, chips)
            return
        images = self.normalise(to_images(chips, self.spec.size))
        start_from_trunk(self.net.trunk, read_trunk_weights(path), images)
