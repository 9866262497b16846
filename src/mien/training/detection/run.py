"""Training run of the detector."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch.utils.data import DataLoader

from mien.data.manifest import need_crops, read_manifest
from mien.errors import TrainingError
from mien.files import contents_of, refuse_overwriting, written_beside
from mien.pipeline.detect import Detector
from mien.pipeline.detect.mien import MienDetector
from mien.training.dataset import digest
from mien.training.detection.labels import (
    TAUGHT_SIDE,
    find_traps,
    identify,
    label_faces,
    label_photos,
    read_empty,
)
from mien.training.detection.module import DetectorModule
from mien.training.detection.photo_tables import TABLES, PhotoTables, read_photo_tables
from mien.training.detection.scenes import NewScenes, SceneDataset, Scenes, Sources, collate
from mien.training.devices import choose_precision
from mien.training.fit import DescribeCheckpoint, Settings, check_folder, fit, make_trainer
from mien.training.running import LAST, running

RECIPE = "detector"
SIDE = 320
SCENES, VALIDATION_SCENES = 4000, 480
FACES = 12000
"""Maximum number of aligned faces per manifest."""

STARTING_SCENES = 64
"""Number of scenes on which batch-norm statistics are estimated when a run starts from given weights."""

TRAPPED = 0.2
"""Least score at which a detection in a picture without faces counts as a false positive."""


def train_detector(
    folders: Path | Sequence[Path],
    manifests: Sequence[Path],
    teachers: Sequence[Detector],
    output: Path,
    *,
    epochs: int = 40,
    batch_size: int = 16,
    weights: Path | None = None,
    resume: bool = False,
    precision: str = "auto",
    devices: str = "auto",
    seed: int = 0,
) -> Path:
    """Train the detector.

    Args:
        folders: One or several. Each holds some of ``boxes.csv``, ``no-face.csv`` and ``unlabelled.csv``, and
            the pictures they name; see :func:`~mien.training.detection.photo_tables.read_photo_tables`.
        manifests: Manifests of aligned faces. Their ``train`` rows are used for training scenes, their
            ``validation`` rows for validation scenes.
        teachers: Detectors that complete the human labels; the first also labels the aligned faces.
        output: Folder of the run; its ``validation.csv`` lists the validation pictures.
        epochs: Number of epochs of :data:`SCENES` scenes each.
        batch_size: Number of scenes in a batch.
        weights: A detector's file to start from; its false positives in pictures without faces then get
            scenes of their own. A resumed run keeps its weights.
        resume: Continue from the folder's last checkpoint.
        precision: Lightning's name of the precision, or ``auto``: bfloat16 if the device supports it, else
            float32.
        devices: Lightning's number of devices, or ``auto``.
        seed: Seed of weights and scenes. Another device or number of cores gives another detector.

    Returns:
        Path of the last checkpoint.

    Raises:
        TrainingError: If there is nothing to resume, the folder holds another run, a split has too few
            pictures, Lightning refuses the settings, or the run was interrupted.
        DataError: If a table or picture cannot be used.
        DetectorError: If the file to start from is no detector.
    """
    precision = choose_precision(precision)
    folders = [folders] if isinstance(folders, Path) else list(folders)
    before = None if weights is None else MienDetector(weights, longest_side=TAUGHT_SIDE, threshold=TRAPPED)
    settings: Settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
        "precision": precision,
        "tables of content": contents_of(
            [*(path for folder in folders for name in TABLES if (path := folder / name).exists()), *manifests]
        ),
        "teachers of content": digest(*map(identify, teachers)),
    }
    if weights is not None or not resume:
        settings["weights of content"] = contents_of([weights] if weights else [])
    refuse_overwriting([output / "validation.csv"], manifests)
    with running(output) as signals:
        if check_folder(output, resume, RECIPE, settings):
            return output / "checkpoints" / LAST
        note = DescribeCheckpoint(RECIPE, [], settings)
        trainer = make_trainer(
            output,
            signals,
            note,
            monitor="val/loss",
            ema_decay=0.999,
            seed=seed,
            max_epochs=epochs,
            precision=precision,
            devices=devices,
            gradient_clip_val=5.0,
        )
        tables = read_photo_tables(folders)
        write_validation(tables, output / "validation.csv")
        training, validation = (
            _sources(tables, manifests, teachers, output / "cache", split)
            for split in ("train", "validation")
        )
        if before is not None:
            training = replace(training, traps=find_traps(training.empty, before))
        note.training_data = _describe(training)
        scenes = SceneDataset(training, SCENES, SIDE, seed)
        judged = SceneDataset(validation, VALIDATION_SCENES, SIDE, seed)
        torch.manual_seed(seed)
        module = DetectorModule(max_learning_rate=3e-3 if weights is None else 2e-3)
        if weights is not None and not resume:
            module.start_from(weights, torch.stack([judged[i].images for i in range(STARTING_SCENES)]))
        loaders = _loader(scenes, batch_size, training=True), _loader(judged, batch_size, training=False)
        return fit(trainer, module, loaders, output, resume=resume)


def _loader(scenes: SceneDataset, batch_size: int, *, training: bool) -> "DataLoader[Scenes]":
    return DataLoader(
        scenes,
        batch_size=batch_size,
        collate_fn=collate,
        sampler=NewScenes(SCENES) if training else None,
        drop_last=training,
        num_workers=1,  # one suffices: making a scene takes a third of the time of training on it
        generator=torch.Generator(),  # its own: the default one would consume the epochs' random numbers
    )


def write_validation(tables: PhotoTables, path: Path) -> None:
    """Write the table of validation pictures in the format that ``mien evaluate-detector`` reads."""
    judged = tables.of("validation")
    table = pd.concat([judged.boxes.dropna(subset=["x1"]), judged.empty])
    with written_beside(path) as partial:
        table.to_csv(partial, index=False)


def _sources(
    tables: PhotoTables, manifests: Sequence[Path], teachers: Sequence[Detector], cache: Path, split: str
) -> Sources:
    side = tables.of(split)
    chosen = [rows[rows["split"] == split] for rows in map(read_manifest, manifests)]
    names = [*map(str, manifests), "boxes.csv", "no-face.csv"]
    for name, table in zip(names, [*chosen, side.boxes, side.empty], strict=True):
        if table.empty:
            raise TrainingError(f"{name} leaves no picture for the split '{split}'; it needs more of them.")
    faces = []
    for path, rows in zip(manifests, chosen, strict=True):
        need_crops(rows, path)
        faces += label_faces(rows.sample(min(FACES, len(rows)), random_state=0), teachers, cache)
    photos = [label_photos(table, teachers, cache) for table in (side.boxes, side.unlabelled)]
    return Sources([*photos[0], *photos[1]], read_empty(side.empty, cache), faces)


def _describe(sources: Sources) -> list[str]:
    count = sum(int(photo.known.sum()) for photo in sources.photos)
    return [
        f"photos: {len(sources.photos)} with {count} faces",
        f"pictures without faces: {len(sources.empty)}",
        f"aligned faces: {len(sources.faces)}",
    ]
