"""One training run of the detector: its pictures, its teachers, its scenes."""

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
from mien.training.detection.scenes import NewScenes, SceneDataset, Scenes, Sources
from mien.training.devices import choose_precision
from mien.training.fit import DescribeCheckpoint, Settings, check_folder, fit, make_trainer
from mien.training.running import LAST, running

RECIPE = "detector"
SIDE = 320
SCENES, VALIDATION_SCENES = 4000, 480
FACES = 12000
"""Aligned faces taken of each data set."""

STARTING_SCENES = 64
TRAPPED = 0.2
"""Score from which something was taken for a face."""


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
        manifests: Of aligned faces: ``train`` rows are pasted into scenes, ``validation`` rows into those
            that the run is judged on.
        teachers: Detectors that fill in what the boxes lack; the first also marks the aligned faces.
        output: Folder of the run; ``validation.csv`` there names the pictures that judge it.
        epochs: Number of epochs of :data:`SCENES` scenes.
        batch_size: Scenes in a batch.
        weights: A detector's file to start from; pictures without faces in which it sees some are then drawn
            more often. A resumed run has its own.
        resume: Go on from the folder's last checkpoint.
        precision: Lightning's name of it, or ``auto``: bfloat16 where the device has it, else float32.
        devices: Lightning's number of devices, or ``auto``.
        seed: Of weights and scenes; with another number of cores or another device, of another detector.

    Returns:
        Path of the last checkpoint.

    Raises:
        TrainingError: If there is nothing to resume, the folder holds another run, or it was interrupted.
        DataError: If a table or picture is at fault.
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
        sampler=NewScenes(SCENES) if training else None,
        drop_last=training,
        num_workers=1,  # beside the training: making a scene takes a third as long as learning from it
        generator=torch.Generator(),  # its own, or loaders would draw from the epochs' seeds
    )


def write_validation(tables: PhotoTables, path: Path) -> None:
    """Leave the pictures that judge a run as ``mien evaluate-detector`` takes them."""
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
