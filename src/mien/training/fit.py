"""What every training shares: Lightning's trainer, checkpoints that describe themselves, resuming."""

import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader

from mien.errors import TrainingError
from mien.training.curves import EpochRecord
from mien.training.quiet import quiet_lightning

LAST = "last.ckpt"
Settings = dict[str, float | str]


class DescribeCheckpoint(Callback):
    """Write into every checkpoint what it takes to build the module again and to say what it saw."""

    def __init__(self, recipe: str, training_data: Sequence[str], settings: Settings) -> None:
        """Take the recipe's name, a line for each data set, and what a resumed run must not change."""
        self._note = {"recipe": recipe, "training_data": list(training_data), "settings": settings}

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, object]
    ) -> None:
        """Add the note under ``mien``."""
        checkpoint["mien"] = self._note


class SeedEpochs(Callback):
    """Seed each epoch's augmentation and dropout by its number: a resumed run does what a whole one does."""

    def __init__(self, seed: int) -> None:
        """Take the run's seed."""
        self._seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Another seed for each process and epoch."""
        sequence = np.random.SeedSequence((self._seed, trainer.current_epoch, trainer.global_rank))
        torch.manual_seed(int(sequence.generate_state(1)[0]))


def check_folder(output: Path, resume: bool, recipe: str, settings: Settings) -> None:
    """Refuse to overwrite a run, and to resume what is not there or was another run.

    Raises:
        TrainingError: If the folder already holds a run, or another one, or none that could be resumed.
    """
    last = output / "checkpoints" / LAST
    if not last.exists():
        if resume:
            raise TrainingError(f"{output} holds no checkpoint to resume from; leave out --resume to start.")
        return
    if not resume:
        raise TrainingError(f"{output} already holds a run; give --resume to go on, or another --output.")
    note = read_checkpoint(last)["mien"]
    if note.get("recipe") != recipe:
        raise TrainingError(f"{output} holds a run of the recipe {note.get('recipe')!r}, not {recipe!r}.")
    before = note.get("settings", settings)
    for name, value in settings.items():
        if before.get(name, value) != value:  # a checkpoint of an earlier version knows fewer settings
            raise TrainingError(
                f"{output} was started with {name} {before[name]}, not {value}; resume it with the same."
            )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content; what it says of itself is under ``mien``.

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


def _trainer(output: Path, callbacks: list[Callback], **settings: object) -> L.Trainer:
    try:
        return L.Trainer(
            default_root_dir=output,
            logger=TensorBoardLogger(output, "logs", ""),
            callbacks=callbacks,
            enable_progress_bar=any(isinstance(callback, RichProgressBar) for callback in callbacks),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=20,
            use_distributed_sampler=False,  # ShareSampler shares out an epoch itself
            **settings,  # type: ignore[arg-type]  # checked by Lightning, which names the choices
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise TrainingError(f"the trainer cannot be set up so: {error}") from None


def _callbacks(output: Path, monitor: str, ema_decay: float | None, seed: int) -> list[Callback]:
    folder = output / "checkpoints"
    each = partial(ModelCheckpoint, folder, save_on_train_epoch_end=True, enable_version_counter=False)
    callbacks: list[Callback] = [
        SeedEpochs(seed),
        EpochRecord(output),
        # Two, since one that watches a metric leaves its last.ckpt at the best epoch.
        each(filename="best", monitor=monitor),
        each(filename=LAST.removesuffix(".ckpt")),
    ]
    if ema_decay is not None:
        callbacks.append(WeightAveraging(avg_fn=moving_average(ema_decay)))
    if sys.stderr.isatty():
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    return callbacks


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential moving average whose decay grows to ``decay``, so that the random start is soon forgotten.

    After n steps it keeps min(decay, (1 + n) / (10 + n)) of the average before.
    """

    def average(averaged: Tensor, current: Tensor, n: Tensor | int) -> Tensor:
        kept = min(decay, (1 + float(n)) / (10 + float(n)))
        return averaged * kept + current * (1 - kept)

    return average


def fit(
    module: L.LightningModule,
    loaders: tuple[DataLoader[Any], DataLoader[Any]],
    output: Path,
    *callbacks: Callback,
    monitor: str,
    ema_decay: float | None,
    seed: int,
    resume: bool,
    **settings: object,
) -> Path:
    """Train a module, leaving checkpoints, logs and curves.

    Args:
        module: Logs what is to be recorded under ``train/`` and ``val/`` names.
        loaders: Of training and validation batches.
        output: Folder of the run, which :func:`check_folder` has passed.
        *callbacks: Besides those of every run; among them what checkpoints say of themselves.
        monitor: The metric whose least value makes the best epoch.
        ema_decay: Decay of the weights' moving average a step; None for none.
        seed: Of the epochs.
        resume: Go on from the folder's last checkpoint.
        **settings: Of Lightning's trainer.

    Returns:
        Path of the last checkpoint.

    Raises:
        TrainingError: If Lightning refuses the settings, the device is too small, or the run was interrupted.
    """
    last = output / "checkpoints" / LAST
    checkpoint = last if resume else None
    with quiet_lightning():
        trainer = _trainer(output, [*_callbacks(output, monitor, ema_decay, seed), *callbacks], **settings)
        try:
            trainer.fit(module, *loaders, ckpt_path=checkpoint, weights_only=False if checkpoint else None)
        except MisconfigurationException as error:
            raise TrainingError(f"training cannot go on: {error}") from None
        except torch.OutOfMemoryError:
            raise TrainingError("the device has too little memory; give a smaller --batch-size.") from None
        except SystemExit as leaving:  # Lightning's answer to Ctrl-C; from then on it ignores further ones
            if not isinstance(leaving.__context__, KeyboardInterrupt):
                raise
            signal.signal(signal.SIGINT, signal.default_int_handler)
            then = "--resume goes on after the last whole epoch" if last.exists() else "no epoch was finished"
            raise TrainingError(f"training was interrupted; {then}.") from None
    return last
