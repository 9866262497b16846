"""Augmentation of whole batches with kornia."""

from typing import Any

import kornia.augmentation as K
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChipAugmentation(nn.Module):
    """What happens to faces in photos: turned, mis-framed, badly lit, blurred, grey, half hidden.

    Scale and shift match the jitter of a detector's box, so that a chip cut from a box is nothing new.
    """

    def __init__(self, *, gentle: bool = False) -> None:
        """Set up the chain; the gentle one leaves faces nearly as they will be seen."""
        super().__init__()
        self.chain = K.AugmentationSequential(*(_gentle() if gentle else _strong()), data_keys=["input"])

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, side, side) in [0, 1] to the same shape and range."""
        return self.chain(images).clamp(0, 1)  # type: ignore[no-any-return]  # kornia is not typed


def _strong() -> list[Any]:  # kornia has no public type for its augmentations
    return [
        K.RandomHorizontalFlip(p=0.5),
        K.RandomAffine(15.0, (0.08, 0.08), (0.85, 1.18), padding_mode="border", p=0.9),
        K.RandomBrightness((0.7, 1.3), p=0.7),
        K.RandomContrast((0.7, 1.3), p=0.7),
        K.RandomSaturation((0.6, 1.4), p=0.5),
        K.RandomRGBShift(0.06, 0.06, 0.06, p=0.5),
        K.RandomGrayscale(p=0.1),
        K.RandomGaussianBlur((5, 5), (0.5, 1.8), p=0.15),
        K.RandomErasing(scale=(0.02, 0.2), ratio=(0.4, 2.5), value=0.5, p=0.3),
    ]


def _gentle() -> list[Any]:
    return [
        K.RandomHorizontalFlip(p=0.5),
        K.RandomAffine(8.0, (0.04, 0.04), (0.92, 1.08), padding_mode="border", p=0.8),
        K.RandomBrightness((0.9, 1.1), p=0.5),
        K.RandomContrast((0.9, 1.1), p=0.5),
    ]


def to_images(chips: Tensor, side: int) -> Tensor:
    """uint8 (n, s, s, 3) chips to float32 (n, 3, side, side) in [0, 1], resampled without aliasing."""
    images = chips.permute(0, 3, 1, 2)
    if images.shape[-1] != side:  # on bytes: ten times as fast as on floats
        images = F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    return images.to(torch.float32, memory_format=torch.contiguous_format).mul_(1 / 255)
