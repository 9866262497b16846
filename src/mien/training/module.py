"""Base class of the recipes' Lightning modules: input format, steps, metrics."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanMetric, MeanSquaredError, Metric
from torchmetrics.classification import BinaryAccuracy

from mien.errors import TrainingError
from mien.training.augment import to_images
from mien.training.dataset import Batch
from mien.training.optimization import OneCycleModule

AGES = 117
"""Number of ages in the age distribution: 0, 1, …, 116 years, the range of UTKFace's labels."""


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """Format of the net's input.

    Attributes:
        size: Side in pixels.
        channel_order: ``RGB`` or ``BGR``.
        mean: Subtracted from each channel, which is in [0, 1] before; in ``channel_order``.
        std: Each channel is divided by it afterwards; in ``channel_order``.
    """

    size: int
    channel_order: str = "RGB"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)


class Outcome(NamedTuple):
    """Losses and estimates of a batch.

    Attributes:
        losses: Scalars by name; ``loss`` is minimised.
        years: (n,) estimated ages in years.
        p_female: (n,) in [0, 1].
    """

    losses: dict[str, Tensor]
    years: Tensor
    p_female: Tensor


class FaceMetrics(nn.Module):
    """Age errors over exact ages and over age bins, and gender accuracy over known genders.

    For bins, ``age_bin_distance`` is the mean distance in years to the nearest end of the bin, 0 inside, and
    ``age_bin_accuracy`` is the share of estimates that lie inside when rounded to whole years.
    """

    def __init__(self) -> None:
        """Create empty metrics."""
        super().__init__()
        self.age_mae, self.age_rmse = MeanAbsoluteError(), MeanSquaredError(squared=False)
        self.age_bin_distance, self.age_bin_accuracy = MeanAbsoluteError(), MeanMetric()
        self.gender_accuracy = BinaryAccuracy()

    def update(self, batch: Batch, years: Tensor, p_female: Tensor) -> dict[str, Metric]:
        """Add a batch; return, by name, the metrics for which it had labels."""
        updated: dict[str, Metric] = {}
        exact, known = batch.age_low == batch.age_high, batch.gender >= 0
        binned = batch.age_low < batch.age_high
        if exact.any():
            self.age_mae.update(years[exact].float(), batch.age_low[exact])
            self.age_rmse.update(years[exact].float(), batch.age_low[exact])
            updated |= {"age_mae": self.age_mae, "age_rmse": self.age_rmse}
        if binned.any():
            age, low, high = years[binned].float(), batch.age_low[binned], batch.age_high[binned]
            rounded = (age + 0.5).floor()
            self.age_bin_distance.update(age, age.clamp(low, high))
            self.age_bin_accuracy.update(((low <= rounded) & (rounded <= high)).float())
            updated |= {"age_bin_distance": self.age_bin_distance, "age_bin_accuracy": self.age_bin_accuracy}
        if known.any():
            self.gender_accuracy.update(p_female[known].float(), batch.gender[known])
            updated["gender_accuracy"] = self.gender_accuracy
        return updated


class FaceModule(OneCycleModule):
    """Base class of the recipes' modules.

    A subclass implements ``forward`` (normalised images (n, 3, size, size) to age probabilities (n, 117),
    whose rows sum to 1, and p(female) (n,)), :meth:`augmented`, :meth:`judge` and ``configure_optimizers``.

    Attributes:
        continued: Whether training started from weights of the same recipe.
        learning_rate: Peak learning rate, from :class:`~mien.training.recipes.Recipe`.
        frozen: Whether the trunk is frozen and only the heads are trained.
    """

    continued = False
    learning_rate = 1e-3
    frozen = False

    def __init__(self, spec: InputSpec) -> None:
        """Set the input format."""
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("ages", torch.arange(AGES, dtype=torch.float32), persistent=False)
        self.train_metrics, self.val_metrics = FaceMetrics(), FaceMetrics()
        self.mean: Tensor
        self.std: Tensor
        self.ages: Tensor

    def trunks(self) -> list[nn.Module]:
        """Return the parts that can be frozen.

        Raises:
            TrainingError: If the recipe has none.
        """
        raise TrainingError("this recipe has no trunk to freeze; leave out --freeze-trunk.")

    def freeze_trunks(self) -> None:
        """Freeze the trunks' weights and batch-norm statistics."""
        self.frozen = True
        for trunk in self.trunks():
            trunk.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation mode; a frozen trunk always stays in evaluation mode."""
        super().train(mode)
        for trunk in self.trunks() if self.frozen else ():
            trunk.eval()
        return self

    def side(self) -> int:
        """Return the side of this epoch's images in pixels; a recipe may increase it with the epochs."""
        return self.spec.size

    def augmented(self, chips: Tensor) -> Tensor:
        """Augment uint8 chips (n, side, side, 3) to training images (n, 3, s, s), RGB in [0, 1]."""
        raise NotImplementedError

    def judge(self, images: Tensor, batch: Batch) -> Outcome:
        """Compute the losses and estimates of normalised images (n, 3, s, s)."""
        raise NotImplementedError

    def start_from(self, path: Path, chips: Tensor) -> None:
        """Load all weights, or the trunk's, from a file.

        Args:
            path: A file in a format that the recipe reads.
            chips: uint8 (n, side, side, 3) training faces, on which missing statistics are estimated.

        Raises:
            TrainingError: If the recipe cannot start from this file.
            ModelError: If the file should be a model file and is not.
        """
        raise NotImplementedError

    def normalise(self, images: Tensor) -> Tensor:
        """Convert RGB images (n, 3, s, s) in [0, 1] to the net's input."""
        if self.spec.channel_order == "BGR":
            images = images.flip(1)
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def expectation(self, age_probabilities: Tensor) -> Tensor:
        """Return the mean (n,) in years of each age distribution (n, 117).

        A matrix product would be rounded to a quarter of a year by automatic mixed precision.
        """
        return (age_probabilities * self.ages).sum(1)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Augment a batch and return its loss."""
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            images = self.normalise(self.augmented(batch.chips))
        return self._step("train", self.train_metrics, images, batch)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Log losses and metrics of chips without augmentation, at the current training side."""
        images = self.normalise(to_images(batch.chips, self.side()))
        self._step("val", self.val_metrics, images, batch)

    def _step(self, part: str, metrics: FaceMetrics, images: Tensor, batch: Batch) -> Tensor:
        """Compute and log a batch's losses and metrics; :mod:`mien.training.curves` records them."""
        losses, years, p_female = self.judge(images, batch)
        for name, metric in metrics.update(batch, years.detach(), p_female.detach()).items():
            self.log(
                f"{part}/{name}",
                metric,
                on_step=False,
                on_epoch=True,
                logger=False,
                prog_bar=part == "val" and name != "age_rmse",  # saves space in the bar
                batch_size=len(batch.chips),
            )
        return self.note_losses(part, losses, len(batch.chips))
