"""Ensemble of two nets: one for the face, one for its mirror image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import TrainingError
from mien.pipeline.model import Model
from mien.training.checkpoint import load_checkpoint
from mien.training.module import FaceModule, InputSpec
from mien.training.recipes import RECIPES
from mien.training.recipes.multitask import MultiTaskModule, mean_answers
from mien.training.warm_start import NETS, load_net

Note = dict[str, Any]
"""The description that a checkpoint contains."""


class JoinedNets(FaceModule):
    """Run the first net on the face and the second on its mirror image, and average their outputs.

    This costs as much as one net on both images and is more accurate, since the errors of separately trained
    nets are less correlated. If the input formats differ, chips have the larger one's; the other net gets
    them resampled.
    """

    def __init__(self, face: MultiTaskModule, mirror: MultiTaskModule) -> None:
        """Use the nets of two modules."""
        super().__init__(max(face.spec, mirror.spec, key=lambda spec: spec.size))
        self.net, self.mirror_net = face.net, mirror.net
        self.face_view, self.mirror_view = View(self.spec, face.spec), View(self.spec, mirror.spec)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised images to age probabilities (n, 117) and p(female) (n,)."""
        seen, mirrored = self.face_view(images), self.mirror_view(images.flip(3))
        return mean_answers(self.net(seen), self.mirror_net(mirrored))


class View(nn.Module):
    """Converter of images from the input format of one net to that of another."""

    def __init__(self, given: InputSpec, wanted: InputSpec) -> None:
        """Set the two formats; both have the same channel order, and ``wanted`` is not larger."""
        super().__init__()
        self.side = wanted.size if wanted.size != given.size else None
        self.same = (given.mean, given.std) == (wanted.mean, wanted.std)
        pairs = list(zip(given.mean, given.std, wanted.mean, wanted.std, strict=True))
        self.register_buffer("factor", _by_channel([std / its_std for _, std, _, its_std in pairs]))
        self.register_buffer("offset", _by_channel([(m - its_m) / its_std for m, _, its_m, its_std in pairs]))
        self.factor: Tensor
        self.offset: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Convert (n, 3, size, size) from the given to the wanted format."""
        if self.side is not None:
            images = F.interpolate(images, (self.side, self.side), mode="bilinear")
        return images if self.same else images * self.factor + self.offset


def _by_channel(values: list[float]) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)


def read_nets(sources: Sequence[Path]) -> tuple[FaceModule, Note]:
    """Load the module of one source, or join the nets of two, in evaluation mode, with its description.

    Args:
        sources: One or two checkpoints or model files. The first one's net is for the face, the second one's
            for the mirror image.

    Raises:
        TrainingError: If a source cannot be used, or one of two is of a recipe whose nets cannot be joined.
        ModelError: If a model file cannot be used.
    """
    read = [
        load_checkpoint(source) if source.suffix != ".onnx" else _net_of_file(source, names)
        for source, names in zip(sources, (NETS, NETS[::-1]), strict=False)
    ]
    if len(read) == 1:
        return read[0]
    (face, note), (mirror, its_note) = read
    for source, (module, its) in zip(sources, read, strict=True):
        if not isinstance(module, MultiTaskModule):
            raise TrainingError(
                f"{source} is of the recipe {its['recipe']!r}, whose nets cannot be joined; give it alone."
            )
    assert isinstance(face, MultiTaskModule) and isinstance(mirror, MultiTaskModule)
    return JoinedNets(face, mirror).eval(), {
        "recipe": "+".join(dict.fromkeys([note["recipe"], its_note["recipe"]])),
        "training_data": list(dict.fromkeys([*note["training_data"], *its_note["training_data"]])),
    }


def _net_of_file(path: Path, names: Sequence[str]) -> tuple[FaceModule, Note]:
    """Load one net of a model file: the first of the names that fits a recipe."""
    metadata = Model(path).metadata  # refuses anything but a model file
    for name in names:
        for recipe in RECIPES.values():
            module = recipe.build()
            if isinstance(module, MultiTaskModule) and _fits(module, path, name):
                return module.eval(), {"recipe": recipe.name, "training_data": [*metadata.training_data]}
    raise TrainingError(f"{path} holds a net of no recipe that can be joined; give a single source.")


def _fits(module: MultiTaskModule, path: Path, name: str) -> bool:
    try:
        load_net(module.net, path, [name])
    except TrainingError:
        return False
    return True
