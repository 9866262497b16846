"""One training run: data, Lightning's trainer, checkpoints and records."""

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader

from mien.data.manifest import read_manifest
from mien.errors import TrainingError
from mien.training.curves import EpochRecord
from mien.training.dataset import Batch, ChipDataset, ShareSampler, load_chips
from mien.training.module import FaceModule
from mien.training.quiet import quiet_lightning
from mien.training.recipes import Recipe

LAST = "last.ckpt"
STARTING_FACES = 512
"""Training faces a recipe may look at when it starts from given weights."""

Settings = dict[str, float]


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


def read_tables(manifests: Sequence[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows of all manifests, and validation rows of the first: the set a run is judged on.

    Raises:
        DataError: If a manifest cannot be read.
        TrainingError: If either part is empty, or no validation row has an exact age.
    """
    tables = [read_manifest(path) for path in manifests]
    rows = pd.concat(tables, ignore_index=True)
    train = rows[rows["split"] == "train"].reset_index(drop=True)
    validation = tables[0][tables[0]["split"] == "validation"].reset_index(drop=True)
    for part, name in ((train, "train"), (validation, "validation")):
        if part.empty:
            raise TrainingError(
                f"{manifests[0]} has no rows whose split is '{name}'; make them with 'mien data split'."
            )
    if not (validation["age_low"] == validation["age_high"]).any():
        raise TrainingError(
            f"{manifests[0]} has no validation row with an exact age to judge the run by; name a manifest "
            "that has some first."
        )
    return train, validation


def train(
    manifests: Sequence[Path],
    recipe: Recipe,
    output: Path,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    weights: Path | None = None,
    resume: bool = False,
    limit_train_batches: float | int = 1.0,
    precision: str = "bf16-mixed",
    devices: str = "auto",
    strategy: str = "auto",
    seed: int = 0,
) -> Path:
    """Train a recipe.

    Args:
        manifests: Manifests with a ``split`` column; the first one's validation rows judge the run.
        recipe: What to train and how.
        output: Folder of the run: ``checkpoints/``, ``logs/``, ``curves/``.
        epochs: Instead of the recipe's.
        batch_size: Instead of the recipe's; on several devices, of each.
        weights: File to start from, see the recipe's ``start_from``; a resumed run has its own.
        resume: Go on from the folder's last checkpoint.
        limit_train_batches: Share (float) or number (int) of batches in an epoch, for an early look.
        precision: Lightning's name of it.
        devices: Lightning's number of devices, or ``auto``.
        strategy: Lightning's strategy for several devices.
        seed: Of weights, order and augmentation.

    Returns:
        Path of the last checkpoint.

    Raises:
        TrainingError: If there is nothing to resume, the folder already holds a run or another one, the
            weights do not fit, Lightning refuses the settings, or the run was interrupted.
        DataError: If a manifest or picture is at fault.
    """
    recipe = replace(recipe, epochs=epochs or recipe.epochs, batch_size=batch_size or recipe.batch_size)
    settings: Settings = {
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "limit_train_batches": limit_train_batches,
        "seed": seed,
    }
    last = output / "checkpoints" / LAST
    _check_folder(output, last, resume, recipe.name, settings)
    train_rows, validation_rows = read_tables(manifests)
    torch.manual_seed(seed)
    module = recipe.build()
    loaders = (
        _loader(train_rows, recipe, output, sampled=True, seed=seed),
        _loader(validation_rows, recipe, output, sampled=False, seed=seed),
    )
    if weights is not None and not resume:
        some = np.linspace(0, len(train_rows) - 1, STARTING_FACES, dtype=np.intp)
        module.start_from(weights, loaders[0].dataset.__getitems__(some).chips)
    describe = DescribeCheckpoint(recipe.name, _describe(train_rows), settings)
    with quiet_lightning():
        trainer = _trainer(
            output,
            [*_callbacks(recipe, output, seed), describe],
            max_epochs=recipe.epochs,
            limit_train_batches=limit_train_batches,
            precision=precision,
            devices=devices,
            strategy=strategy,
        )
        _fit(trainer, module, loaders, last if resume else None, last)
    return last


def _check_folder(output: Path, last: Path, resume: bool, recipe: str, settings: Settings) -> None:
    """Refuse to overwrite a run, and to resume what is not there or was another run."""
    if not last.exists():
        if resume:
            raise TrainingError(f"{output} holds no checkpoint to resume from; leave out --resume to start.")
        return
    if not resume:
        raise TrainingError(f"{output} already holds a run; give --resume to go on, or another --output.")
    note = _read_note(last)
    if note.get("recipe") != recipe:
        raise TrainingError(f"{output} holds a run of the recipe {note.get('recipe')!r}, not {recipe!r}.")
    before = note.get("settings", settings)
    for name, value in settings.items():
        if before[name] != value:
            raise TrainingError(
                f"{output} was started with {name} {before[name]}, not {value}; resume it with the same."
            )


def _read_note(checkpoint: Path) -> Mapping[str, Any]:
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        note: Mapping[str, Any] = content["mien"]
    except (OSError, RuntimeError, UnpicklingError, LookupError, TypeError):
        raise TrainingError(
            f"{checkpoint} is not a checkpoint of 'mien train'; start anew elsewhere."
        ) from None
    return note


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


def _callbacks(recipe: Recipe, output: Path, seed: int) -> list[Callback]:
    folder = output / "checkpoints"
    each = partial(ModelCheckpoint, folder, save_on_train_epoch_end=True, enable_version_counter=False)
    callbacks: list[Callback] = [
        SeedEpochs(seed),
        EpochRecord(output),
        # Two, since one that watches a metric leaves its last.ckpt at the best epoch.
        each(filename="best", monitor="val/age_mae"),
        each(filename=LAST.removesuffix(".ckpt")),
    ]
    if recipe.ema_decay is not None:
        callbacks.append(WeightAveraging(avg_fn=moving_average(recipe.ema_decay)))
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


def _fit(
    trainer: L.Trainer,
    module: FaceModule,
    loaders: "tuple[DataLoader[Batch], DataLoader[Batch]]",
    checkpoint: Path | None,
    last: Path,
) -> None:
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


def _loader(
    rows: pd.DataFrame, recipe: Recipe, output: Path, *, sampled: bool, seed: int
) -> "DataLoader[Batch]":
    dataset = ChipDataset(rows, load_chips(rows, recipe.chip_side, output / "chips"))
    sampler = ShareSampler(rows["dataset"], recipe.shares, seed) if sampled else None
    return DataLoader(
        dataset,
        batch_size=recipe.batch_size if sampled else 256,
        sampler=sampler,
        drop_last=sampler is not None and len(sampler) >= recipe.batch_size,
        collate_fn=_as_is,
        generator=torch.Generator(),  # its own, or loaders would draw from the epochs' seeds
        pin_memory=torch.cuda.is_available(),
    )


def _as_is(batch: Any) -> Any:
    """The data set already gives whole batches, of which PyTorch's types know nothing."""
    return batch


def _describe(rows: pd.DataFrame) -> list[str]:
    counts = rows["dataset"].replace("", "unnamed").value_counts()
    return [f"{name}: {count} faces" for name, count in counts.items()]
