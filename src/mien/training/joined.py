"""Two nets that answer together, each for its own side of the face."""

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
"""What a checkpoint says of itself."""


class JoinedNets(FaceModule):
    """The first net looks at the face, the second at its mirror image; their answers are averaged.

    As much work as one net does that looks at both, and nearer the truth: the errors of two nets that were
    trained apart are less alike. Where their inputs differ, chips have the form of the larger one's, and the
    other net sees them resampled.
    """

    def __init__(self, face: MultiTaskModule, mirror: MultiTaskModule) -> None:
        """Take over the nets of two modules."""
        super().__init__(max(face.spec, mirror.spec, key=lambda spec: spec.size))
        self.net, self.mirror_net = face.net, mirror.net
        self.face_view, self.mirror_view = View(self.spec, face.spec), View(self.spec, mirror.spec)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images to age probabilities (n, 117) and p(female) (n,)."""
        seen, mirrored = self.face_view(images), self.mirror_view(images.flip(3))
        return mean_answers(self.net(seen), self.mirror_net(mirrored))


class View(nn.Module):
    """Images normalised for one net, as another takes them."""

    def __init__(self, given: InputSpec, wanted: InputSpec) -> None:
        """Take the two forms, of one order of channels; the other must not be larger."""
        super().__init__()
        self.side = wanted.size if wanted.size != given.size else None
        self.same = (given.mean, given.std) == (wanted.mean, wanted.std)
        pairs = list(zip(given.mean, given.std, wanted.mean, wanted.std, strict=True))
        self.register_buffer("factor", _by_channel([std / its_std for _, std, _, its_std in pairs]))
        self.register_buffer("offset", _by_channel([(m - its_m) / its_std for m, _, its_m, its_std in pairs]))
        self.factor: Tensor
        self.offset: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, size, size) of one form to the other's."""
        if self.side is not None:
            images = F.interpolate(images, (self.side, self.side), mode="bilinear")
        return images if self.same else images * self.factor + self.offset


def _by_channel(values: list[float]) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)


def read_nets(sources: Sequence[Path]) -> tuple[FaceModule, Note]:
    """The module of a checkpoint, or the joined nets of two sources, in evaluation mode, with its note.

    Args:
        sources: One or two, checkpoints or model files; the first one's net looks at the face, the second
            one's at the mirror image.

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
    """One net of a model file, the first of the names that it has."""
    metadata = Model(path).metadata  # which refuses what is no model file
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
