"""One training run of an age model: its data, its recipe."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from mien.data.manifest import read_manifest
from mien.errors import TrainingError
from mien.training.dataset import Batch, ChipDataset, ShareSampler, load_chips
from mien.training.fit import DescribeCheckpoint, Settings, check_folder, fit
from mien.training.recipes import Recipe
from mien.training.teacher import learn_from, open_teachers

STARTING_FACES = 512
"""Training faces a recipe may look at when it starts from given weights."""


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
    teachers: Sequence[Path] = (),
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
        teachers: Model files whose answers on the training faces, averaged, count beside the labels.
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
            weights do not fit, the recipe cannot be taught, Lightning refuses the settings, or the run was
            interrupted.
        ModelError: If a teacher cannot be used.
        DataError: If a manifest or picture is at fault.
    """
    recipe = replace(recipe, epochs=epochs or recipe.epochs, batch_size=batch_size or recipe.batch_size)
    settings: Settings = {
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "limit_train_batches": limit_train_batches,
        "seed": seed,
        "teachers": ", ".join(path.name for path in teachers) or "none",
    }
    if teachers and not recipe.teachable:
        raise TrainingError(f"the recipe {recipe.name!r} learns from labels alone; leave out --teacher.")
    open_teachers(teachers)
    check_folder(output, resume, recipe.name, settings)
    train_rows, validation_rows = read_tables(manifests)
    torch.manual_seed(seed)
    module = recipe.build()
    folder = output / "chips"
    chips = load_chips(train_rows, recipe.chip_side, folder)
    lessons = learn_from(teachers, train_rows, chips, folder) if teachers else None
    sampler = ShareSampler(train_rows["dataset"], recipe.shares, seed)
    loaders = (
        _loader(ChipDataset(train_rows, chips, lessons), recipe, sampler),
        _loader(ChipDataset(validation_rows, load_chips(validation_rows, recipe.chip_side, folder)), recipe),
    )
    if weights is not None and not resume:
        some = np.linspace(0, len(train_rows) - 1, STARTING_FACES, dtype=np.intp)
        module.start_from(weights, torch.from_numpy(np.asarray(chips[some])))
    describe = DescribeCheckpoint(recipe.name, _describe(train_rows), settings)
    return fit(
        module,
        loaders,
        output,
        describe,
        monitor="val/age_mae",
        ema_decay=recipe.ema_decay,
        seed=seed,
        resume=resume,
        max_epochs=recipe.epochs,
        limit_train_batches=limit_train_batches,
        precision=precision,
        devices=devices,
        strategy=strategy,
    )


def _loader(dataset: ChipDataset, recipe: Recipe, sampler: ShareSampler | None = None) -> "DataLoader[Batch]":
    return DataLoader(
        dataset,
        batch_size=recipe.batch_size if sampler is not None else 256,
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
