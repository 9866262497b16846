"""The part every recipe shares: validation metrics, curves, and the form in which a model is exported."""

from dataclasses import dataclass

import lightning as L
import torch
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError
from torchmetrics.classification import BinaryAccuracy

from mien.training.augment import to_images
from mien.training.dataset import Batch

AGES = 117
"""Bins of the age distribution: 0, 1, …, 116 years, the range of UTKFace's labels."""


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """How a chip becomes the net's input: side in pixels, channel order, and statistics on the [0, 1] scale."""

    size: int
    channel_order: str = "RGB"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)


class FaceModule(L.LightningModule):
    """Base of the recipes' modules.

    A subclass implements ``forward`` (normalised images (n, 3, size, size) to age probabilities (n, 117), whose
    rows sum to 1, and p(female) (n,)), ``training_step`` and ``configure_optimizers``.
    """

    def __init__(self, spec: InputSpec) -> None:
        """Take the form of the input."""
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("ages", torch.arange(AGES, dtype=torch.float32), persistent=False)
        self.age_mae, self.age_mse = MeanAbsoluteError(), MeanSquaredError()
        self.gender_accuracy = BinaryAccuracy()
        self.mean: Tensor
        self.std: Tensor
        self.ages: Tensor

    def normalise(self, images: Tensor) -> Tensor:
        """RGB images in [0, 1], (n, 3, s, s), to the net's input."""
        if self.spec.channel_order == "BGR":
            images = images.flip(1)
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Age errors over the exact ages, gender accuracy over the known genders."""
        age_probabilities, p_female = self(self.normalise(to_images(batch.chips, self.spec.size)))
        years = age_probabilities.float() @ self.ages
        exact, known = batch.age_low == batch.age_high, batch.gender >= 0
        if exact.any():
            self.age_mae.update(years[exact], batch.age_low[exact])
            self.age_mse.update(years[exact], batch.age_low[exact])
            self.log("val/age_mae", self.age_mae, on_epoch=True, prog_bar=True)
            self.log("val/age_mse", self.age_mse, on_epoch=True)
        if known.any():
            self.gender_accuracy.update(p_female[known].float(), batch.gender[known])
            self.log("val/gender_accuracy", self.gender_accuracy, on_epoch=True, prog_bar=True)
