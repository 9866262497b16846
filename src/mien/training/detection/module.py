"""Lightning module of the detector: training and validation steps, optimizer, deployable form."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mien.training.detection.losses import assign, detection_losses
from mien.training.detection.net import DetectorNet, decode, divide_smoothing, flatten, positions
from mien.training.detection.scenes import Scenes
from mien.training.optimization import OneCycleModule
from mien.training.warm_start import start_from_model_file

MEAN, STD = 127.5, 64.0


class DetectorModule(OneCycleModule):
    """Train a :class:`DetectorNet` on scenes with AdamW and a one-cycle learning rate."""

    def __init__(self, max_learning_rate: float = 3e-3, weight_decay: float = 0.02) -> None:
        """Build the network.

        Args:
            max_learning_rate: Peak of the one-cycle schedule.
            weight_decay: Weight decay of the convolution kernels.
        """
        super().__init__()
        self.net = DetectorNet()
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stubs lack it
        self.max_learning_rate = max_learning_rate
        self.weight_decay = weight_decay

    def start_from(self, path: Path, images: Tensor) -> None:
        """Start from a detector's model file and estimate batch-norm statistics from scenes.

        Args:
            path: The detector's ``.onnx`` file.
            images: uint8 (n, side, side, 3) RGB scenes.

        Raises:
            TrainingError: If the file's weights do not fit.
        """
        start_from_model_file(
            self.net, path, (_images(images) - MEAN) / STD, ["detector.net"], divide_smoothing
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect faces.

        Args:
            images: RGB (n, 3, h, w) from 0 to 255; h and w are multiples of 32.

        Returns:
            Score logits (n, k), boxes (n, k, 4) and landmarks (n, k, 10) in pixels.
        """
        return self._read(self.net((images - MEAN) / STD))

    def _read(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        outputs = flatten(maps).float()
        return outputs[..., 0], *decode(outputs, *positions(maps))

    def training_step(self, batch: Scenes, batch_index: int) -> Tensor:
        """Return the loss of a batch."""
        return self._step("train", batch)

    def validation_step(self, batch: Scenes, batch_index: int) -> None:
        """Log the same losses on the fixed validation scenes."""
        self._step("val", batch)

    def _step(self, part: str, batch: Scenes) -> Tensor:
        maps = self.net((_images(batch.images) - MEAN) / STD)
        scores, boxes, points = self._read(maps)
        assigned = assign(batch.boxes, batch.kind, *positions(maps))
        losses = detection_losses(scores, boxes, points, (batch.boxes, batch.points), assigned)
        return self.note_losses(part, losses, len(batch.images))

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # Lightning's union is wider
        """AdamW without decay of biases and norms; one cycle over all steps (Smith and Topin, 2018)."""
        return self.one_cycle(
            self.net,
            self.max_learning_rate,
            weight_decay=self.weight_decay,
            rise=0.1,
            fused=False,  # in mixed precision Lightning cannot clip the gradients of a fused optimizer
        )


class Deployed(nn.Module):
    """The detector as exported: scores are probabilities instead of logits."""

    def __init__(self, module: DetectorModule) -> None:
        """Wrap the trained module."""
        super().__init__()
        self.detector = module

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map images (n, 3, h, w) to scores (n, k), boxes (n, k, 4) and landmarks (n, k, 10)."""
        scores, boxes, landmarks = self.detector(image)
        return scores.sigmoid(), boxes, landmarks


def _images(pixels: Tensor) -> Tensor:
    """Convert uint8 (n, h, w, 3) to float32 (n, 3, h, w), still from 0 to 255."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32).contiguous(memory_format=torch.channels_last)
