"""The part every recipe shares: steps, metrics, and the form in which a model is exported."""

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
"""Bins of the age distribution: 0, 1, …, 116 years, the range of UTKFace's labels."""


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """How a chip becomes the net's input: side in pixels, channel order, statistics on the [0, 1] scale."""

    size: int
    channel_order: str = "RGB"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)


class Outcome(NamedTuple):
    """What a recipe makes of a batch.

    Attributes:
        losses: Scalars by name; the one called ``loss`` is minimised.
        years: (n,) estimated ages.
        p_female: (n,) in [0, 1].
    """

    losses: dict[str, Tensor]
    years: Tensor
    p_female: Tensor


class FaceMetrics(nn.Module):
    """Age errors over the exact ages and over the bins, gender accuracy over the known genders.

    A bin has no error in years; ``age_bin_distance`` is that to its nearest end, 0 inside, and
    ``age_bin_accuracy`` the share of ages that, rounded to whole years, lie inside.
    """

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.age_mae, self.age_rmse = MeanAbsoluteError(), MeanSquaredError(squared=False)
        self.age_bin_distance, self.age_bin_accuracy = MeanAbsoluteError(), MeanMetric()
        self.gender_accuracy = BinaryAccuracy()

    def update(self, batch: Batch, years: Tensor, p_female: Tensor) -> dict[str, Metric]:
        """Take in a batch; return, by name, the metrics it had labels for."""
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
    """Base of the recipes' modules.

    A subclass implements ``forward`` (normalised images (n, 3, size, size) to age probabilities (n, 117),
    whose rows sum to 1, and p(female) (n,)), :meth:`augmented`, :meth:`judge` and ``configure_optimizers``.

    Attributes:
        continued: Whether it started from weights of its own recipe.
        learning_rate: The highest one; :class:`~mien.training.recipes.Recipe` has it.
        frozen: Whether the trunk stays as it is and the heads alone learn.
    """

    continued = False
    learning_rate = 1e-3
    frozen = False

    def __init__(self, spec: InputSpec) -> None:
        """Take the form of the input."""
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
        """The parts that may be frozen; a recipe may have some.

        Raises:
            TrainingError: If this one does not.
        """
        raise TrainingError("this recipe has no trunk to freeze; leave out --freeze-trunk.")

    def freeze_trunks(self) -> None:
        """Keep the trunks' weights and statistics as they are."""
        self.frozen = True
        for trunk in self.trunks():
            trunk.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Train or judge from now on; a frozen trunk always answers as when it is judged."""
        super().train(mode)
        for trunk in self.trunks() if self.frozen else ():
            trunk.eval()
        return self

    def side(self) -> int:
        """Side of this epoch's images in pixels; a recipe may grow it with the epochs."""
        return self.spec.size

    def augmented(self, chips: Tensor) -> Tensor:
        """Training images, RGB in [0, 1], (n, 3, s, s), from uint8 chips (n, side, side, 3)."""
        raise NotImplementedError

    def judge(self, images: Tensor, batch: Batch) -> Outcome:
        """Losses and estimates of normalised images (n, 3, s, s)."""
        raise NotImplementedError

    def start_from(self, path: Path, chips: Tensor) -> None:
        """Take weights from a file instead of random ones: all, or the trunk's.

        Args:
            path: What the recipe can read.
            chips: uint8 (n, side, side, 3) training faces, for what has to be measured on some.

        Raises:
            TrainingError: If the file is not what this recipe can start from.
            ModelError: If it should be a model file and is none.
        """
        raise NotImplementedError

    def normalise(self, images: Tensor) -> Tensor:
        """RGB images in [0, 1], (n, 3, s, s), to the net's input."""
        if self.spec.channel_order == "BGR":
            images = images.flip(1)
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def expectation(self, age_probabilities: Tensor) -> Tensor:
        """Mean of each distribution (n, 117) in years.

        Not as a matrix product, which automatic mixed precision would round to a quarter of a year.
        """
        return (age_probabilities * self.ages).sum(1)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The loss of a batch, augmented."""
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            images = self.normalise(self.augmented(batch.chips))
        return self._step("train", self.train_metrics, images, batch)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """The same losses and metrics on chips as they are, at the side that is being trained."""
        images = self.normalise(to_images(batch.chips, self.side()))
        self._step("val", self.val_metrics, images, batch)

    def _step(self, part: str, metrics: FaceMetrics, images: Tensor, batch: Batch) -> Tensor:
        """Judge a batch and note its losses and metrics; :mod:`mien.training.curves` writes them down."""
        losses, years, p_female = self.judge(images, batch)
        for name, metric in metrics.update(batch, years.detach(), p_female.detach()).items():
            self.log(
                f"{part}/{name}",
                metric,
                on_step=False,
                on_epoch=True,
                logger=False,
                prog_bar=part == "val" and name != "age_rmse",  # the bar is short
                batch_size=len(batch.chips),
            )
        return self.note_losses(part, losses, len(batch.chips))
