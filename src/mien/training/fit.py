"""Common parts of all training runs: Lightning's trainer, self-describing checkpoints, resuming."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    RichProgressBar,
    WeightAveraging,
)
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader

from mien.errors import TrainingError
from mien.training.checkpoint import WholeFiles, read_checkpoint
from mien.training.curves import EpochRecord
from mien.training.devices import check_devices
from mien.training.lightning_logs import quiet_lightning
from mien.training.running import LAST, RefuseInfinite, say

Settings = dict[str, float | str]


class DescribeCheckpoint(Callback):
    """Add to every checkpoint the recipe, the training data and the settings of the run."""

    def __init__(self, recipe: str, training_data: Sequence[str], settings: Settings) -> None:
        """Set the recipe's name, a line per data set, and the settings that a resumed run must not change."""
        self.recipe, self.training_data, self.settings = recipe, training_data, settings

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, object]
    ) -> None:
        """Add the description under the key ``mien``."""
        checkpoint["mien"] = {
            "recipe": self.recipe,
            "training_data": list(self.training_data),
            "settings": self.settings,
        }


class SeedEpochs(Callback):
    """Seed augmentation and dropout by the epoch's number, so that a run can be resumed exactly."""

    def __init__(self, seed: int) -> None:
        """Set the run's seed."""
        self._seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Set a seed that differs by process and epoch."""
        sequence = np.random.SeedSequence((self._seed, trainer.current_epoch, trainer.global_rank))
        torch.manual_seed(int(sequence.generate_state(1)[0]))


def check_folder(output: Path, resume: bool, recipe: str, settings: Settings) -> bool:
    """Check that a run can be started in a folder or resumed from it.

    Args:
        output: Folder of the run.
        resume: Whether the run is to be resumed.
        recipe: The recipe's name.
        settings: Settings that a resumed run must not change, by name.

    Returns:
        True if the run to be resumed has finished already; a message then says so.

    Raises:
        TrainingError: If a new run would overwrite one, or if the run to be resumed does not exist or had
            another recipe or other settings.
    """
    last = output / "checkpoints" / LAST
    if not last.exists():
        if resume:
            raise TrainingError(f"{output} holds no checkpoint to resume from; leave out --resume to start.")
        return False
    if not resume:
        raise TrainingError(f"{output} already holds a run; give --resume to go on, or another --output.")
    content = read_checkpoint(last)
    note = content["mien"]
    if note.get("recipe") != recipe:
        raise TrainingError(f"{output} holds a run of the recipe {note.get('recipe')!r}, not {recipe!r}.")
    before = settings | note.get("settings", {})  # a checkpoint of an earlier version knows fewer settings
    done = int(content["epoch"]) + 1
    if done == before["epochs"] != settings["epochs"]:
        raise TrainingError(_how_to_go_on(output, done, int(settings["epochs"])))
    for name, value in settings.items():
        if before[name] != value:
            raise TrainingError(
                f"{output} was started with {name} {before[name]}, not {value}; resume it with the same."
            )
    stopped = _stopped_early(content)
    if stopped or done == before["epochs"]:
        how = "stopped early, after" if stopped else "already finished its"
        say(f"The run in {output} has {how} {done} epochs.")
        return True
    return False


def _how_to_go_on(output: Path, done: int, epochs: int) -> str:
    """Explain that a finished run cannot get more epochs, since its learning-rate schedule has ended."""
    more = epochs - done if epochs > done else epochs
    return (
        f"{output} has finished its {done} epochs, which its learning rate was planned for; start a new run "
        f"from its weights instead: --weights {output / 'checkpoints' / LAST} --epochs {more} and another "
        "--output, without --resume."
    )


def _stopped_early(checkpoint: Mapping[str, Any]) -> bool:
    states = checkpoint.get("callbacks", {})
    return any(state["stopped_epoch"] for name, state in states.items() if name.startswith(Patience.__name__))


class Patience(EarlyStopping):
    """Stop a run that has not improved for some epochs, and print a message."""

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print why the run stopped and which checkpoint is the best."""
        if self.stopped_epoch:
            say(
                f"Stopped after {self.stopped_epoch + 1} epochs: {self.monitor} was not below "
                f"{float(self.best_score):.4g} for {self.patience} epochs. best.ckpt is the epoch with that."
            )


def _callbacks(
    output: Path, monitor: str, patience: int | None, ema_decay: float | None, seed: int
) -> list[Callback]:
    folder = output / "checkpoints"
    each = partial(ModelCheckpoint, folder, save_on_train_epoch_end=True, enable_version_counter=False)
    callbacks: list[Callback] = [
        SeedEpochs(seed),
        RefuseInfinite(),
        EpochRecord(output),
        # Two callbacks: one that monitors a metric would save last.ckpt only at the best epoch.
        each(filename="best", monitor=monitor),
        each(filename=LAST.removesuffix(".ckpt")),
    ]
    if patience is not None:
        callbacks.append(Patience(monitor, patience=patience, check_finite=False))
    if ema_decay is not None:
        callbacks.append(WeightAveraging(avg_fn=moving_average(ema_decay)))
    if sys.stderr.isatty():
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    return callbacks


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return an exponential moving average whose decay grows to ``decay``, so that the start soon fades.

    After n steps the decay is min(decay, (1 + n) / (10 + n)).
    """

    def average(averaged: Tensor, current: Tensor, n: Tensor | int) -> Tensor:
        kept = min(decay, (1 + float(n)) / (10 + float(n)))
        return averaged * kept + current * (1 - kept)

    return average


def make_trainer(
    output: Path,
    *callbacks: Callback,
    monitor: str,
    patience: int | None = None,
    ema_decay: float | None,
    seed: int,
    precision: str,
    devices: str,
    **settings: object,
) -> L.Trainer:
    """Create Lightning's trainer, which writes checkpoints, logs and curves.

    Call it before reading pictures, so that wrong settings fail at once.

    Args:
        output: Folder of the run, checked by :func:`check_folder`.
        *callbacks: Callbacks in addition to those of every run, such as :class:`DescribeCheckpoint`.
        monitor: The metric whose lowest value marks the best epoch.
        patience: Epochs without improvement after which the run stops; None for all epochs.
        ema_decay: Decay per step of the weights' moving average; None for no average.
        seed: Seed of the epochs.
        precision: Lightning's name of the precision.
        devices: Lightning's number of devices, or ``auto``.
        **settings: Further arguments of Lightning's trainer.

    Raises:
        TrainingError: If Lightning refuses the settings, or there are too few devices.
    """
    check_devices(devices)
    every = [*_callbacks(output, monitor, patience, ema_decay, seed), *callbacks]
    try:
        with quiet_lightning():
            trainer = L.Trainer(
                default_root_dir=output,
                logger=TensorBoardLogger(output, "logs", ""),
                callbacks=every,
                plugins=[WholeFiles()],
                enable_progress_bar=any(isinstance(callback, RichProgressBar) for callback in every),
                enable_model_summary=False,
                num_sanity_val_steps=0,
                log_every_n_steps=20,
                use_distributed_sampler=False,  # ShareSampler divides an epoch among processes itself
                precision=precision,  # type: ignore[arg-type]  # checked by Lightning, which names the choices
                devices=devices,
                **settings,  # type: ignore[arg-type]  # likewise
            )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise TrainingError(f"the trainer cannot be set up so: {error}") from None
    say(f"Training on {trainer.strategy.root_device.type} in {precision}.")
    return trainer


def fit(
    trainer: L.Trainer,
    module: L.LightningModule,
    loaders: tuple[DataLoader[Any], DataLoader[Any]],
    output: Path,
    *,
    resume: bool,
) -> Path:
    """Train a module, within :func:`~mien.training.running.running`.

    Args:
        trainer: The result of :func:`make_trainer`.
        module: The module; values that it logs under ``train/`` and ``val/`` names are recorded.
        loaders: Loaders of training and validation batches.
        output: Folder of the run.
        resume: Continue from the folder's last checkpoint.

    Returns:
        Path of the last checkpoint.

    Raises:
        TrainingError: If Lightning refuses the configuration.
    """
    last = output / "checkpoints" / LAST
    checkpoint = last if resume else None
    try:
        with quiet_lightning():
            trainer.fit(module, *loaders, ckpt_path=checkpoint, weights_only=False if checkpoint else None)
    except MisconfigurationException as error:
        raise TrainingError(f"training cannot go on: {error}") from None
    return last
