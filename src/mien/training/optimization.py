"""Loss logging and the optimizer, shared by the training of the age model and of the detector."""

from collections.abc import Mapping

import lightning as L
import torch
from torch import Tensor, nn


class OneCycleModule(L.LightningModule):
    """A module that logs losses for :mod:`mien.training.curves` and trains with one learning-rate cycle."""

    def note_losses(self, part: str, losses: Mapping[str, Tensor], count: int) -> Tensor:
        """Log the losses of a batch.

        Args:
            part: ``train`` or ``val``.
            losses: Scalars by name.
            count: Number of faces or scenes in the batch.

        Returns:
            The loss named ``loss``, which is minimised.
        """
        for name, value in losses.items():
            self.log(
                f"{part}/{name}",
                value.detach(),
                on_step=False,
                on_epoch=True,
                logger=False,
                sync_dist=True,
                batch_size=count,
            )
        if part == "train":
            self.log("loss", losses["loss"].detach(), on_step=True, on_epoch=False, prog_bar=True)
        return losses["loss"]

    def one_cycle(
        self, net: nn.Module, peak: float, *, weight_decay: float, rise: float, fused: bool
    ) -> dict[str, object]:
        """AdamW without decay of biases and norms; one cycle over all steps (Smith and Topin, 2018).

        Args:
            net: The net whose weights are trained, except frozen ones.
            peak: The highest learning rate.
            weight_decay: Weight decay of matrices and kernels.
            rise: Share of the steps before the peak.
            fused: Whether to use PyTorch's fused AdamW, which is faster. In mixed precision Lightning cannot
                clip gradients with it.

        Returns:
            The optimizer and scheduler in the form that Lightning's ``configure_optimizers`` returns.
        """
        learning = [p for p in net.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in learning if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=peak, fused=fused)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, peak, total_steps=int(self.trainer.estimated_stepping_batches), pct_start=rise
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
