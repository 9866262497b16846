"""Base of the recipes with one net and three heads: losses, mixup, group weights, schedule, warm start."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.data.sources import RACES
from mien.pipeline.model import Model
from mien.training.augment import ChipAugmentation, to_images
from mien.training.dataset import Batch
from mien.training.losses import age_loss, gender_loss, race_loss
from mien.training.module import AGES, FaceModule, InputSpec, Outcome
from mien.training.warm_start import start_from_model_file

Sides = Sequence[tuple[float, int]]
"""Pairs of a share of the epochs and the side in pixels of the training images up to that share."""

GENTLE_FROM = 0.8
"""Share of the epochs after which augmentation is weak and mixup is off, so that training ends on nearly
real faces."""
MIXING = 0.4
"""Parameter of mixup's beta distribution."""
GENDER_WEIGHT, RACE_WEIGHT = 3.0, 0.3
"""Weights of the losses relative to the age loss. The gradients of the age loss are several times as large as
those of the gender loss; race is an auxiliary task."""
GROUP_MEMORY = 0.998
"""Decay of a group's running mean loss per face of that group."""


class ThreeHeads(nn.Module):
    """A trunk, dropout, and one linear layer for all heads."""

    def __init__(self, trunk: nn.Sequential, features: int, dropout: float) -> None:
        """Add the heads to a trunk that maps images to (n, features)."""
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(features, AGES + 1 + len(RACES))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map normalised images to age logits (n, 117), logits of "female" (n,) and race logits (n, 5)."""
        out = self.heads(self.dropout(self.trunk(images))).float()
        return out[:, :AGES], out[:, AGES], out[:, AGES + 1 :]


Answers = tuple[Tensor, Tensor, Tensor]


def mean_answers(one: Answers, other: Answers) -> tuple[Tensor, Tensor]:
    """Average two outputs of :class:`ThreeHeads` to age probabilities (n, 117) and p(female) (n,)."""
    ages = (one[0].softmax(1) + other[0].softmax(1)) / 2
    return ages, (one[1].sigmoid() + other[1].sigmoid()) / 2


class MultiTaskModule(FaceModule):
    """Training of :class:`ThreeHeads`: AdamW, one-cycle learning rate, images growing with the epochs.

    If it starts from weights of the same recipe, the learning rate peaks earlier and lower, so that the net
    does not lose what it has learned.
    """

    def __init__(
        self,
        net: ThreeHeads,
        spec: InputSpec,
        *,
        sides: Sides,
        continued_sides: Sides,
        weight_decay: float,
        mixed: float,
    ) -> None:
        """Set the net and its training.

        Args:
            net: Net with random weights.
            spec: Format of its input.
            sides: Sides of the training images; the first epochs are cheap because their images are small.
            continued_sides: The same for a net that starts from weights of the same recipe, which was
                already trained on small images.
            weight_decay: Weight decay of the convolutions and the linear layer.
            mixed: Share of the batches with mixup.
        """
        super().__init__(spec)
        self.net = net
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stubs lack it
        self.augmentation = ChipAugmentation()
        self.gentle_augmentation = ChipAugmentation(gentle=True)
        self.register_buffer("group_losses", torch.ones(len(RACES) + 1, 2), persistent=False)
        self.group_losses: Tensor
        self.sides, self.continued_sides = sides, continued_sides
        self.weight_decay = weight_decay
        self.mixed = mixed

    def start_from(self, path: Path, chips: Tensor) -> None:
        """Start from a model file of this recipe; if it holds two nets, from the first."""
        Model(path)  # raises an error with the reason if this is not a model file
        images = self.normalise(to_images(chips, self.spec.size))
        start_from_model_file(self.net, path, images)
        self.continued = True

    def trunks(self) -> list[nn.Module]:
        """Return the trunk that all heads share."""
        return [self.net.trunk]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised images to age probabilities (n, 117) and p(female) (n,).

        Both are means over the image and its mirror image.
        """
        return mean_answers(self.net(images), self.net(images.flip(3)))

    def side(self) -> int:
        """Return the side of this epoch's images in pixels; the module must have a trainer."""
        sides = self.continued_sides if self.continued else self.sides
        return next(side for until, side in sides if self._done() <= until)

    def augmented(self, chips: Tensor) -> Tensor:
        """Resize chips to this epoch's side and augment them."""
        augmentation = self.gentle_augmentation if self._gentle() else self.augmentation
        return augmentation(to_images(chips, self.side()))  # type: ignore[no-any-return]  # nn.Module's call

    def _done(self) -> float:
        """Share of the epochs that is done in the middle of the current one."""
        return (self.current_epoch + 0.5) / max(1, self.trainer.max_epochs or 1)

    def _gentle(self) -> bool:
        return self._done() > GENTLE_FROM

    def judge(self, images: Tensor, batch: Batch) -> Outcome:
        """Compute the weighted sum of the three tasks' losses, in some training batches with mixup.

        Mixup (Zhang et al., ICLR 2018) blends pairs of faces and their losses with the same weights, which
        prevents memorisation.
        """
        if self.training and not self._gentle() and float(torch.rand(())) < self.mixed:
            share = float(torch.distributions.Beta(MIXING, MIXING).sample())
            order = torch.randperm(len(images), device=images.device)
            answers = self.net(share * images + (1 - share) * images[order])
            own, other = (self._compare(answers, faces) for faces in (batch, batch.reordered(order)))
            losses = {
                name: share * own.losses[name] + (1 - share) * other.losses[name] for name in own.losses
            }
            return own._replace(losses=losses)
        return self._compare(self.net(images), batch)

    def _compare(self, answers: Answers, batch: Batch) -> Outcome:
        age_logits, female, race_logits = answers
        losses = {
            "age_loss": age_loss(age_logits, batch.age_low, batch.age_high, batch.taught_ages),
            "gender_loss": gender_loss(
                female, batch.gender, self._group_weights(female.detach(), batch), batch.taught_female
            ),
            "race_loss": race_loss(race_logits, batch.race),
        }
        helpers = GENDER_WEIGHT * losses["gender_loss"] + RACE_WEIGHT * losses["race_loss"]
        losses["loss"] = losses["age_loss"] + helpers
        return Outcome(losses, self.expectation(age_logits.detach().softmax(1)), female.detach().sigmoid())

    def _group_weights(self, female: Tensor, batch: Batch) -> Tensor:
        """Weights (n,) of the gender loss, by the recent mean loss of each face's group of race and gender.

        Each face is weighted in proportion to its group's loss, so that small or hard groups are not
        neglected. This is a simple form of group DRO (Sagawa et al., ICLR 2020, section 4), whose weights are
        exponential. The losses are running means, updated in training only.
        """
        known = batch.gender >= 0
        race, gender = batch.race[known], batch.gender[known]
        if self.training:
            losses = F.binary_cross_entropy_with_logits(female[known], gender.float(), reduction="none")
            sums, counts = torch.zeros_like(self.group_losses), torch.zeros_like(self.group_losses)
            sums.index_put_((race, gender), losses, accumulate=True)
            counts.index_put_((race, gender), torch.ones_like(losses), accumulate=True)
            kept = GROUP_MEMORY**counts
            self.group_losses.mul_(kept).add_((1 - kept) * sums / counts.clamp(min=1))
        weights = self.group_losses[batch.race, batch.gender]
        return weights / weights[known].mean() if known.any() else torch.ones_like(weights)

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # Lightning's union is wider
        """AdamW without decay of biases and norms; one cycle over all steps (Smith and Topin, 2018)."""
        return self.one_cycle(
            self.net,
            self.learning_rate * (0.75 if self.continued else 1),
            weight_decay=self.weight_decay,
            rise=0.15 if self.continued else 0.3,
            fused=True,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save what a resumed run needs besides its weights."""
        checkpoint |= {"continued": self.continued, "group_losses": self.group_losses}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what :meth:`on_save_checkpoint` saved, so that a resumed run keeps its schedule."""
        self.continued, self.group_losses = checkpoint["continued"], checkpoint["group_losses"]
