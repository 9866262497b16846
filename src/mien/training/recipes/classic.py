"""The ``classic`` recipe: two VGG16 nets, for age and for gender, as in the notebook that mien grew from."""

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.training.augment import to_images
from mien.training.dataset import Batch
from mien.training.losses import gender_loss
from mien.training.module import FaceModule, InputSpec, Outcome
from mien.training.vggface import BGR_MEANS, FEATURES, glorot, make_trunk, read_trunk_weights

INPUT = InputSpec(
    size=200,
    channel_order="BGR",
    mean=(BGR_MEANS[0] / 255, BGR_MEANS[1] / 255, BGR_MEANS[2] / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
)
"""Converts [0, 1] to exactly the input of VGGFace's weights: BGR, 0 to 255, minus the means."""

GENDER_LEARNING_RATE = 0.1
"""Learning rate of the gender net as a share of the age net's."""
GENDER_SHARE = 25 / 30
"""Share of the training steps in which the gender net is trained: 25 of the notebook's 30 epochs."""

LAST_THREE = ("conv5_1.", "conv5_2.", "conv5_3.")


class KerasAugmentation(nn.Module):
    """Keras' ``ImageDataGenerator`` with the notebook's settings, as one bilinear resampling.

    Rotation ±10°, shifts ±0.2 of the side, zoom 0.8 to 1.2 for each axis independently, horizontal flip. Edge
    pixels are repeated beyond the picture. ``shear_range`` is in degrees, so the notebook's 0.2, which looks
    like a fraction, is a shear of at most 0.2°: almost none. It is kept unchanged.
    """

    degrees = 10.0
    shift = 0.2
    shear_degrees = 0.2
    zoom = 0.2

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, 3, side, side) in [0, 1] to the same shape and range."""
        n, side, device = len(images), images.shape[-1], images.device
        draws = torch.rand(n, 6, device=device) * 2 - 1
        angle = torch.deg2rad(self.degrees * draws[:, 0])
        shear = torch.deg2rad(self.shear_degrees * draws[:, 1])
        moved = warp(images, angle, self.shift * side * draws[:, 2:4], shear, 1 + self.zoom * draws[:, 4:6])
        flipped = torch.rand(n, 1, 1, 1, device=device) < 0.5
        return torch.where(flipped, moved.flip(3), moved)


def warp(images: Tensor, angle: Tensor, shift: Tensor, shear: Tensor, zoom: Tensor) -> Tensor:
    """Resample as ``keras.preprocessing.image.apply_affine_transform`` does.

    The matrix, rotation times shift times shear times zoom, maps (row, column) offsets from the centre of the
    new picture to offsets from the centre of the old one. So a zoom above 1 shows more of the picture.

    Args:
        images: (n, channels, side, side).
        angle: (n,) in radians.
        shift: (n, 2) in pixels, along rows and columns.
        shear: (n,) in radians.
        zoom: (n, 2) along rows and columns.
    """
    cos, sin = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    one, zero = torch.ones_like(shear), torch.zeros_like(shear)
    shearing = torch.stack([torch.stack([one, -shear.sin()], 1), torch.stack([zero, shear.cos()], 1)], 1)
    linear = rotation @ shearing * zoom[:, None, :]
    offset = rotation @ shift[:, :, None] * (2 / images.shape[-1])  # in grid_sample half the side is 1
    matrix = torch.cat([linear.flip(1, 2), offset.flip(1)], 2)  # and coordinates are (column, row)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


class ClassicNet(nn.Module):
    """VGG16 with average pooling and three hidden layers; one output per image (n, 3, s, s)."""

    def __init__(self, dropout: tuple[float, float, float]) -> None:
        """Build the net with a dropout rate for each of the head's hidden layers."""
        super().__init__()
        self.trunk = make_trunk()
        self.trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stubs lack it
        layers: list[nn.Module] = []
        inputs = FEATURES
        for outputs, p in zip((512, 256, 128), dropout, strict=True):
            layers += [glorot(nn.Linear(inputs, outputs)), nn.ReLU(), nn.Dropout(p)]
            inputs = outputs
        self.head = nn.Sequential(*layers, glorot(nn.Linear(inputs, 1)))

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images to (n,) float32."""
        features = self.trunk(images).float()
        with torch.autocast(images.device.type, enabled=False):  # above 64, bfloat16 has steps of 0.5
            return self.head(features)[:, 0]  # type: ignore[no-any-return]  # nn.Module's call


class ClassicModule(FaceModule):
    """Both nets: squared error on the age, cross-entropy on the gender, Adam for each.

    The nets share only the batches, so the sum of their losses trains each as if it were alone.
    """

    def __init__(self, trainable: Literal["all", "last3"] = "all") -> None:
        """Build the nets.

        Args:
            trainable: The layers of the trunks to train: all, as in the notebook, or the last three
                convolutions.
        """
        super().__init__(INPUT)
        self.age_net = ClassicNet(dropout=(0.3, 0.2, 0.2))
        self.gender_net = ClassicNet(dropout=(0.5, 0.5, 0.5))
        self.augmentation = KerasAugmentation()
        self.register_buffer("age_sigma", torch.tensor(10.0))
        self.age_sigma: Tensor
        if trainable == "last3":
            for net in (self.age_net, self.gender_net):
                for name, parameter in net.trunk.named_parameters():
                    parameter.requires_grad_(name.startswith(LAST_THREE))

    def trunks(self) -> list[nn.Module]:
        """Return the trunks of both nets."""
        return [self.age_net.trunk, self.gender_net.trunk]

    def start_from(self, path: Path, chips: Tensor) -> None:
        """Start both trunks from the published VGGFace weights."""
        state = read_trunk_weights(path)
        self.age_net.trunk.load_state_dict(state)
        self.gender_net.trunk.load_state_dict(state)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised images to age probabilities (n, 117) and p(female) (n,)."""
        return age_distribution(self.age_net(images), self.age_sigma, self.ages), self.gender_net(
            images
        ).sigmoid()

    def augmented(self, chips: Tensor) -> Tensor:
        """Augment chips as Keras' generator does."""
        return self.augmentation(to_images(chips, self.spec.size))  # type: ignore[no-any-return]  # nn.Module's call

    def judge(self, images: Tensor, batch: Batch) -> Outcome:
        """Compute the squared error over exact ages and the cross-entropy over known genders."""
        years, female = self.age_net(images), self.gender_net(images)
        exact = batch.age_low == batch.age_high
        squared = torch.where(exact, years - batch.age_low, 0) ** 2
        losses = {
            "age_loss": squared.sum() / exact.sum().clamp(min=1),
            "gender_loss": gender_loss(female, batch.gender),
        }
        losses["loss"] = losses["age_loss"] + losses["gender_loss"]
        estimated = self.expectation(age_distribution(years.detach(), self.age_sigma, self.ages))
        return Outcome(losses, estimated, female.detach().sigmoid())

    def on_validation_epoch_end(self) -> None:
        """Set the width of the age distribution to the validation RMSE."""
        if self.val_metrics.age_rmse.update_count:
            self.age_sigma.copy_(self.val_metrics.age_rmse.compute())

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # Lightning's union is wider
        """Adam with a learning rate per net; the gender net's drops to 0 after :data:`GENDER_SHARE`.

        Adam updates every weight independently, so one optimizer with two groups equals the notebook's two.
        """
        groups = [
            {"params": _trainable(self.age_net), "lr": self.learning_rate, "name": "age"},
            {
                "params": _trainable(self.gender_net),
                "lr": GENDER_LEARNING_RATE * self.learning_rate,
                "name": "gender",
            },
        ]
        optimizer = torch.optim.Adam(groups)
        until = round(GENDER_SHARE * int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, [lambda step: 1.0, lambda step: 1.0 if step < until else 0.0]
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def age_distribution(years: Tensor, sigma: Tensor, ages: Tensor) -> Tensor:
    """Compute a discretised Gaussian around each estimate; its mean equals the estimate within 0.2 years.

    Near an end of the range the standard deviation is limited to about a third of the distance to that end,
    but to no less than half a year: the full width, cut off at 0, would make every baby some years old.

    Args:
        years: (n,) estimates; clipped into the range of ``ages``.
        sigma: Standard deviation in years, a scalar.
        ages: (ages,) 0, 1, …

    Returns:
        (n, ages) probabilities.
    """
    centre = years.clamp(ages[0], ages[-1])[:, None]
    room = torch.minimum(centre - ages[0], ages[-1] - centre) + 0.5
    width = torch.minimum(sigma, room / 3).clamp(min=0.5)
    return torch.softmax(-((ages - centre) ** 2) / (2 * width**2), dim=1)


def _trainable(net: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in net.parameters() if parameter.requires_grad]
