"""Knowledge distillation: the outputs of model files (teachers) on the training faces as training targets.

An ensemble of two nets is better than either; a net distilled from it comes close at the cost of one net
(Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from mien.errors import TrainingError
from mien.files import written_beside
from mien.pipeline.model import Model
from mien.progress import progress
from mien.training.augment import to_images
from mien.training.dataset import Lessons, digest, state_of
from mien.training.module import AGES

PART = 256
"""Batch size for the teachers."""


def open_teachers(paths: Sequence[Path]) -> list[Model]:
    """Load the teachers' model files.

    Raises:
        ModelError: If one cannot be used.
        TrainingError: If a teacher's range of ages is not that of the recipes.
    """
    teachers = [Model(path, threads=0) for path in paths]
    for path, teacher in zip(paths, teachers, strict=True):
        low, high = teacher.metadata.age_min, teacher.metadata.age_max
        if (low, high) != (0, AGES - 1):
            raise TrainingError(
                f"{path} knows the ages {low} to {high}, a teacher must know 0 to {AGES - 1}."
            )
    return teachers


def learn_from(
    paths: Sequence[Path], table: pd.DataFrame, chips: npt.NDArray[np.uint8], folder: Path
) -> Lessons:
    """Run the teachers on every training face once; later calls read the stored outputs.

    Args:
        paths: The teachers' model files.
        table: The training rows.
        chips: (n, side, side, 3) their chips; resized to each teacher's input size.
        folder: Folder for the outputs.

    Returns:
        The means of the teachers' outputs.

    Raises:
        ModelError: If a teacher cannot be used.
        TrainingError: If a teacher's range of ages is not that of the recipes.
    """
    files = (hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    shown = digest(chips.shape, *table["path"], *table["framing"], state_of(table["path"]), *files)
    path = folder / f"lessons-{shown}.npz"
    if not path.exists():
        teachers = open_teachers(paths)
        ages, female = np.zeros((len(chips), AGES), np.float16), np.zeros(len(chips), np.float16)
        parts = [slice(start, start + PART) for start in range(0, len(chips), PART)]
        for part in progress(parts, "Running the teachers", len(parts)):
            images = torch.from_numpy(np.array(chips[part]))
            answers = [teacher.run(_sized(images, teacher.metadata.input_size)) for teacher in teachers]
            ages[part] = np.mean([a for a, _ in answers], 0)
            female[part] = np.mean([f for _, f in answers], 0)
        with written_beside(path) as partial:
            np.savez(partial, ages=ages, female=female)
    with np.load(path) as kept:
        return Lessons(kept["ages"], kept["female"])


def _sized(chips: torch.Tensor, side: int) -> npt.NDArray[np.uint8]:
    resized: npt.NDArray[np.uint8] = (
        (to_images(chips, side) * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    )
    return resized
