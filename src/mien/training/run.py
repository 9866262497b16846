"""One training run: data, Lightning's trainer, checkpoints, logs and curves."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from mien.data.manifest import read_manifest
from mien.errors import TrainingError
from mien.training.curves import CurvePlots
from mien.training.dataset import Batch, ChipDataset, ShareSampler, load_chips
from mien.training.recipes import Recipe

LAST = "last.ckpt"


class DescribeCheckpoint(Callback):
    """Write into every checkpoint what it takes to build the module again and to say what it saw."""

    def __init__(self, recipe: str, training_data: Sequence[str]) -> None:
        """Take the recipe's name and a line for each data set."""
        self._note = {"recipe": recipe, "training_data": list(training_data)}

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, object]
    ) -> None:
        """Add the note under ``mien``."""
        checkpoint["mien"] = self._note


def read_tables(manifests: Sequence[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows of all manifests, and validation rows of the first: the set a run is judged on.

    Raises:
        TrainingError: If either part is empty.
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
    return train, validation


def train(
    manifests: Sequence[Path],
    recipe: Recipe,
    output: Path,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
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
        batch_size: Instead of the recipe's.
        resume: Go on from the folder's last checkpoint.
        limit_train_batches: Share (float) or number (int) of batches in an epoch, for an early look.
        precision: Lightning's name of it.
        devices: Lightning's number of devices, or ``auto``.
        strategy: Lightning's strategy for several devices.
        seed: Of weights, order and augmentation.

    Returns:
        Path of the last checkpoint.

    Raises:
        TrainingError: If there is nothing to resume, or the folder already holds a run.
        DataError: If a manifest or picture is at fault.
    """
    last = output / "checkpoints" / LAST
    if resume and not last.exists():
        raise TrainingError(f"{output} holds no checkpoint to resume from; leave out --resume to start.")
    if last.exists() and not resume:
        raise TrainingError(f"{output} already holds a run; give --resume to go on, or another --output.")
    recipe = replace(recipe, epochs=epochs or recipe.epochs, batch_size=batch_size or recipe.batch_size)
    train_rows, validation_rows = read_tables(manifests)
    L.seed_everything(seed, verbose=False)
    module = recipe.build()
    trainer = L.Trainer(
        default_root_dir=output,
        max_epochs=recipe.epochs,
        limit_train_batches=limit_train_batches,
        precision=precision,  # type: ignore[arg-type]  # checked by Lightning, which names the choices
        devices=devices,
        strategy=strategy,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        logger=[TensorBoardLogger(output, "logs", ""), CSVLogger(output, "logs", "")],
        callbacks=_callbacks(recipe, output, _describe(train_rows)),
    )
    trainer.fit(
        module,
        _loader(train_rows, recipe, output, sampled=True, seed=seed),
        _loader(validation_rows, recipe, output, sampled=False, seed=seed),
        ckpt_path=last if resume else None,
        weights_only=False if resume else None,
    )
    return last


def _callbacks(recipe: Recipe, output: Path, training_data: Sequence[str]) -> list[Callback]:
    checkpoints = ModelCheckpoint(
        output / "checkpoints", filename="best", monitor="val/age_mae", save_last=True, enable_version_counter=False
    )
    callbacks: list[Callback] = [checkpoints, LearningRateMonitor("epoch"), CurvePlots(output)]
    if recipe.ema_decay is not None:
        callbacks.append(EMAWeightAveraging(decay=recipe.ema_decay))
    return [*callbacks, DescribeCheckpoint(recipe.name, training_data)]


def _loader(rows: pd.DataFrame, recipe: Recipe, output: Path, *, sampled: bool, seed: int) -> "DataLoader[Batch]":
    dataset = ChipDataset(rows, load_chips(rows, recipe.chip_side, output / "chips"))
    return DataLoader(
        dataset,
        batch_size=recipe.batch_size if sampled else 256,
        sampler=ShareSampler(rows["dataset"], recipe.shares, seed) if sampled else None,
        drop_last=sampled and len(rows) >= recipe.batch_size,
        collate_fn=_as_is,
        pin_memory=torch.cuda.is_available(),
    )


def _as_is(batch: Batch) -> Batch:
    """The data set already gives whole batches."""
    return batch


def _describe(rows: pd.DataFrame) -> list[str]:
    counts = rows["dataset"].replace("", "unnamed").value_counts()
    return [f"{name}: {count} faces" for name, count in counts.items()]
