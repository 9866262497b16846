"""Writing and reading of checkpoints, and modules built from them."""

import io
import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mien.errors import TrainingError
from mien.files import written_beside
from mien.training.module import FaceModule
from mien.training.recipes import get_recipe

SUFFIX = ".ckpt"


class WholeFiles(TorchCheckpointIO):
    """Write each checkpoint to a partial file in its own folder, then rename it.

    Lightning writes to the system's temporary folder and moves the file into place. If that folder is on
    another file system, the move is a copy: a process killed then leaves half a file in place of the old one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: object = None
    ) -> None:
        """Write a checkpoint; the old file of that name stays until the new one is complete."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with written_beside(Path(path)) as partial:
            partial.write_bytes(content.getbuffer())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint's content; its description is under the key ``mien``.

    Raises:
        TrainingError: If the file is missing or was not written by a run of mien.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise TrainingError(f"{path} does not exist; give a .ckpt file of a run.") from None
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        raise TrainingError(f"{path} is not a readable checkpoint ({type(error).__name__}).") from None
    if not isinstance(content, dict) or "mien" not in content:
        raise TrainingError(f"{path} was not written by 'mien train'.")
    return content


def load_checkpoint(path: Path) -> tuple[FaceModule, dict[str, Any]]:
    """Build the module of a checkpoint, in evaluation mode; return it with the checkpoint's description.

    Raises:
        TrainingError: If the file is missing, is not a checkpoint of a mien run, or does not fit its recipe.
    """
    content = read_checkpoint(path)
    note = content["mien"]
    module = get_recipe(note["recipe"]).build()
    try:
        lacking, unknown = module.load_state_dict(content["state_dict"], strict=False)
    except RuntimeError:
        lacking, unknown = [], ["weights of another shape"]
    # The augmentation of earlier versions stored its settings as weights.
    if lacking or any("augmentation" not in name for name in unknown):
        raise TrainingError(f"{path} does not fit the recipe {note['recipe']!r} of this version.")
    return module.eval(), note
