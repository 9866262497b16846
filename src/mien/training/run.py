"""Training run of an age model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from mien.data.chips import read_chips
from mien.data.crop import look_like_photos
from mien.data.manifest import exact_ages, need_crops, read_manifest
from mien.errors import TrainingError
from mien.evaluation.calibration import LEAST_FACES, must_judge_by_bins
from mien.files import contents_of, refuse_overwriting
from mien.pipeline.detect import make_detector
from mien.request import DEFAULT_DETECTOR
from mien.training.checkpoint import SUFFIX, load_checkpoint
from mien.training.dataset import Batch, ChipDataset, ShareSampler, load_chips
from mien.training.devices import choose_precision
from mien.training.fit import DescribeCheckpoint, Settings, check_folder, fit, make_trainer
from mien.training.module import FaceModule
from mien.training.recipes import Recipe
from mien.training.running import LAST, running, say
from mien.training.teacher import learn_from, open_teachers

KERAS = (".h5", ".hdf5", ".keras")

STARTING_FACES = 512
"""Number of training faces on which a recipe can estimate statistics when it starts from given weights."""


def read_tables(manifests: Sequence[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the training rows of all manifests, and the validation rows of the first.

    Training faces that are also validation faces of the first manifest are left out; a message gives their
    number.

    Raises:
        DataError: If a manifest cannot be read.
        TrainingError: If either part is empty or has no ages, or every training face is a validation face.
    """
    tables = [read_manifest(path) for path in manifests]
    for path, table in zip(manifests, tables, strict=True):
        need_crops(table[table["split"].isin(["train", "validation"])], path)
    rows = pd.concat(tables, ignore_index=True)
    train = rows[rows["split"] == "train"].reset_index(drop=True)
    validation = tables[0][tables[0]["split"] == "validation"].reset_index(drop=True)
    for part, name in ((train, "train"), (validation, "validation")):
        if part.empty:
            raise TrainingError(
                f"{manifests[0]} has no rows whose split is '{name}'; make them with 'mien data split'."
            )
        if part["age_low"].isna().all():
            raise TrainingError(f"{manifests[0]} has no age in the rows of its split '{name}'; add some.")
    seen = faces_of(validation)
    shared = train["path"].isin(validation["path"]) | faces_of(train).isin(seen[seen != ""])
    if shared.all():
        raise TrainingError(
            "every training face is a validation face too; divide them with 'mien data split'."
        )
    if shared.any():
        say(f"{shared.sum():,} training faces are validation faces too and are left out of training.")
    return train[~shared].reset_index(drop=True), validation


def faces_of(table: pd.DataFrame) -> "pd.Series[str]":
    """Return a key per row that is equal for rows of the same group in any manifest; empty without a group.

    Group names made by ``mien data split`` are hashes of the pictures' content. Other names are only valid
    within their data set, whose name is put before them.
    """
    group = table["group"]
    own = group.where(group.str.fullmatch("[0-9a-f]{16}"), table["dataset"] + "/" + group)
    return own.where(group != "", "")


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
    precision: str = "auto",
    devices: str = "auto",
    strategy: str = "auto",
    seed: int = 0,
) -> Path:
    """Train a recipe.

    Args:
        manifests: Manifests with a ``split`` column. The first one's validation rows are the validation set.
        recipe: What to train and how; ``get_recipe("small").but(learning_rate=1e-3)`` changes a setting.
        output: Folder of the run: ``checkpoints/``, ``logs/``, ``curves/``.
        epochs: Number of epochs; None for the recipe's.
        batch_size: Faces in a batch, on each device; None for the recipe's.
        weights: A checkpoint of the recipe to start from, or a file that its ``start_from`` reads. A resumed
            run keeps its weights.
        teachers: Model files whose averaged outputs on the training faces are part of the training targets.
        resume: Continue from the folder's last checkpoint.
        limit_train_batches: Share (float) or number (int) of batches in an epoch, for quick trials.
        precision: Lightning's name of the precision, or ``auto``: bfloat16 if the device supports it, else
            float32.
        devices: Lightning's number of devices, or ``auto``.
        strategy: Lightning's strategy for several devices.
        seed: Seed of weights, order and augmentation. Another device or number of cores sums numbers in
            another order, and gives another model with the same seed.

    Returns:
        Path of the last checkpoint.

    Raises:
        TrainingError: If there is nothing to resume, the folder holds a run that would be overwritten or does
            not match, the weights do not fit, the recipe cannot use teachers, Lightning refuses the settings,
            or the run was interrupted.
        ModelError: If a teacher cannot be used.
        DataError: If a manifest or picture cannot be used.
    """
    recipe = recipe.but(epochs=epochs, batch_size=batch_size)
    precision = choose_precision(precision)
    if teachers and not recipe.teachable:
        raise TrainingError(f"the recipe {recipe.name!r} learns from labels alone; leave out --teacher.")
    open_teachers(teachers)
    train_rows, validation_rows = read_tables(manifests)
    if recipe.freeze_trunk and weights is None and not resume:
        raise TrainingError("a trunk of random weights is not worth freezing; give --weights to start from.")
    if recipe.exact_ages:
        _need_exact_ages(recipe, train_rows, validation_rows)
    by_bins = must_judge_by_bins(validation_rows)
    settings: Settings = {
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "freeze_trunk": recipe.freeze_trunk,
        "patience": recipe.patience or 0,
        "balance_ages": recipe.balance_ages,
        "limit_train_batches": limit_train_batches,
        "seed": seed,
        "precision": precision,
        "manifests of content": contents_of(manifests),
        "teachers": ", ".join(path.name for path in teachers) or "none",
        "teachers of content": contents_of(teachers),
    }
    if weights is not None or not resume:
        settings["weights of content"] = contents_of([weights] if weights else [])
    with running(output) as signals:
        if check_folder(output, resume, recipe.name, settings):
            return output / "checkpoints" / LAST
        if not resume:
            kept = [output / "checkpoints" / name for name in ("best.ckpt", LAST)]
            refuse_overwriting(kept, [*manifests, weights, *teachers])
        trainer = make_trainer(
            output,
            signals,
            DescribeCheckpoint(recipe.name, _describe(train_rows), settings),
            monitor="val/age_bin_distance" if by_bins else "val/age_mae",
            patience=recipe.patience,
            ema_decay=recipe.ema_decay,
            seed=seed,
            max_epochs=recipe.epochs,
            limit_train_batches=limit_train_batches,
            precision=precision,
            devices=devices,
            strategy=strategy,
        )
        torch.manual_seed(seed)
        module = recipe.make()
        if weights is not None and not resume:
            _start(module, recipe, weights, train_rows)
        if recipe.freeze_trunk:
            module.freeze_trunks()
        _say_what_is_missing(train_rows, validation_rows, recipe.batch_size)
        if look_like_photos(train_rows, make_detector(DEFAULT_DETECTOR)):
            say("The pictures do not look like crops of faces; cut the faces out with 'mien data crop'.")
        loaders = _loaders(train_rows, validation_rows, recipe, teachers, output / "chips", seed)
        return fit(trainer, module, loaders, output, resume=resume)


def _need_exact_ages(recipe: Recipe, train_rows: pd.DataFrame, validation_rows: pd.DataFrame) -> None:
    for rows, part in ((train_rows, "training"), (validation_rows, "validation")):
        if not exact_ages(rows).any():
            raise TrainingError(
                f"the recipe {recipe.name!r} learns from exact ages alone, and no {part} row has one; take "
                "the recipe 'small' or 'dlib', which learn from age bins too."
            )


def _start(module: FaceModule, recipe: Recipe, weights: Path, rows: pd.DataFrame) -> None:
    """Load the weights of a file; statistics that it lacks are estimated on some of the faces."""
    if weights.suffix == SUFFIX:
        other, note = load_checkpoint(weights)
        if note["recipe"] != recipe.name:
            raise TrainingError(f"{weights} is of the recipe {note['recipe']!r}, not {recipe.name!r}.")
        module.load_state_dict(other.state_dict())
        module.continued = True
        return
    if weights.suffix in KERAS and recipe.name != "classic":
        raise TrainingError(f"{weights} is a Keras file, which the recipe 'classic' starts from.")
    some = np.linspace(0, len(rows) - 1, STARTING_FACES, dtype=np.intp)
    module.start_from(
        weights, torch.from_numpy(np.stack(list(read_chips(rows.iloc[some], recipe.chip_side))))
    )


def _say_what_is_missing(train_rows: pd.DataFrame, validation_rows: pd.DataFrame, batch_size: int) -> None:
    """Warn before the run about anything that the model cannot learn from these data."""
    if len(train_rows) < batch_size:
        say(f"{len(train_rows)} training faces, less than one batch of {batch_size}, teach nothing general.")
    genders = sorted(set(train_rows["gender"]) - {""})
    if not genders:
        say("No training row has a gender: the age alone is learned, and p(female) will mean nothing.")
    elif len(genders) == 1:
        say(f"All known genders are {genders[0]}: p(female) will mean nothing.")
    if must_judge_by_bins(validation_rows):
        say(
            "The validation rows know ages as bins: the best epoch is the one whose ages are nearest to "
            "their bins, and intervals will rest on ages drawn within the bins."
        )
    aged = int(validation_rows["age_low"].notna().sum())
    if aged < LEAST_FACES:
        say(f"{aged} validation rows have an age; 'mien export' will need at least {LEAST_FACES}.")


def _loaders(
    train_rows: pd.DataFrame,
    validation_rows: pd.DataFrame,
    recipe: Recipe,
    teachers: Sequence[Path],
    folder: Path,
    seed: int,
) -> tuple["DataLoader[Batch]", "DataLoader[Batch]"]:
    chips = load_chips(train_rows, recipe.chip_side, folder)
    lessons = learn_from(teachers, train_rows, chips, folder) if teachers else None
    sampler = ShareSampler(train_rows, recipe.shares, seed, recipe.balance_ages)
    judged = ChipDataset(validation_rows, load_chips(validation_rows, recipe.chip_side, folder))
    return _loader(ChipDataset(train_rows, chips, lessons), recipe, sampler), _loader(judged, recipe)


def _loader(dataset: ChipDataset, recipe: Recipe, sampler: ShareSampler | None = None) -> "DataLoader[Batch]":
    return DataLoader(
        dataset,
        batch_size=recipe.batch_size if sampler is not None else 256,
        sampler=sampler,
        drop_last=sampler is not None and len(sampler) >= recipe.batch_size,
        collate_fn=_as_is,
        generator=torch.Generator(),  # its own: the default one would consume the epochs' random numbers
        pin_memory=torch.cuda.is_available(),
    )


def _as_is(batch: Any) -> Any:
    """Return the batch: the data set already gives whole batches, which PyTorch's types do not describe."""
    return batch


def _describe(rows: pd.DataFrame) -> list[str]:
    described = []
    for name, part in rows.groupby(rows["dataset"].replace("", "unnamed")):
        binned = "" if exact_ages(part).any() else ", ages known as bins"
        binned = binned if part["age_low"].notna().any() else ", ages not known"
        described.append((len(part), f"{name}: {len(part)} faces{binned}"))
    return [line for _, line in sorted(described, key=lambda known: -known[0])]
