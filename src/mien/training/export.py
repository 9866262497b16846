"""From a checkpoint to a model file: graph, lossless storage, calibration, metadata, comparison."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from mien.data.manifest import read_manifest
from mien.data.sources import TERMS
from mien.errors import TrainingError
from mien.images import Pixels
from mien.intervals import calibrate
from mien.metadata import CANONICAL_GEOMETRY, IntervalCalibration, ModelMetadata
from mien.model import Model
from mien.training.augment import to_images
from mien.training.dataset import load_chips
from mien.training.fit import read_checkpoint
from mien.training.graph import to_onnx
from mien.training.module import AGES, FaceModule
from mien.training.recipes import get_recipe

MAX_AGE_DIFFERENCE = 1e-3
MAX_PROBABILITY_DIFFERENCE = 1e-4
COMPARED = 256
"""Validation faces on which the file and the checkpoint are compared."""


@dataclass(frozen=True)
class ExportReport:
    """What an export found.

    Attributes:
        path: The file written.
        megabytes: Its size in 10^6 bytes.
        age_difference: Largest difference from the checkpoint in years.
        probability_difference: Largest difference in p(female).
        metrics: Validation figures written into the file.
    """

    path: Path
    megabytes: float
    age_difference: float
    probability_difference: float
    metrics: dict[str, float]


def export(checkpoint: Path, manifest: Path, output: Path, *, version: str = "1") -> ExportReport:
    """Write a model file and prove that it answers as the checkpoint does.

    Args:
        checkpoint: Written by :func:`mien.training.run.train`.
        manifest: Its ``validation`` rows calibrate the age interval and give the file's figures.
        output: The ``.onnx`` file to write.
        version: Version of the weights.

    Raises:
        TrainingError: If the checkpoint is not one of ours, the manifest has no validation rows with exact
            ages, or the file's answers differ from the checkpoint's by more than 1e-3 years or 1e-4 in
            probability; no file is left then.
    """
    module, note = load_checkpoint(checkpoint)
    rows = read_manifest(manifest)
    chosen = (rows["split"] == "validation") & (rows["age_low"] == rows["age_high"])
    rows = rows[chosen].reset_index(drop=True)
    if rows.empty:
        raise TrainingError(f"{manifest} has no validation rows with exact ages to calibrate on.")
    ages, genders = rows["age_low"].to_numpy(np.float64), rows["gender"].to_numpy(str)
    example = torch.zeros(2, 3, module.spec.size, module.spec.size)
    graph = to_onnx(module, example, "chips", ["age_probabilities", "p_female"], {0: "n"})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / output.name
        chips = np.array(load_chips(rows, module.spec.size, Path(folder)))
        _save(graph, _metadata(module, note, version, _UNCALIBRATED, {}), file)
        age_probabilities, p_female = Model(file).run(chips)
        metrics = _metrics(age_probabilities, p_female, ages, genders)
        _save(graph, _metadata(module, note, version, calibrate(age_probabilities, ages), metrics), file)
        differences = compare(module, Model(file), chips[:COMPARED])
        _refuse_mismatch(differences, checkpoint)
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, output)
        except OSError as error:
            raise TrainingError(f"{output} cannot be written ({error.strerror}).") from None
    return ExportReport(output, output.stat().st_size / 1e6, *differences, metrics)


def load_checkpoint(path: Path) -> tuple[FaceModule, dict[str, Any]]:
    """Build the module that a checkpoint describes, in evaluation mode, with its note.

    Raises:
        TrainingError: If the file is missing or not a checkpoint of a mien run.
    """
    content = read_checkpoint(path)
    note = content["mien"]
    module = get_recipe(note["recipe"]).build()
    try:
        lacking, unknown = module.load_state_dict(content["state_dict"], strict=False)
    except RuntimeError:
        lacking, unknown = [], ["weights of another shape"]
    # The augmentation of earlier versions kept its settings as weights.
    if lacking or any("augmentation" not in name for name in unknown):
        raise TrainingError(f"{path} does not fit the recipe {note['recipe']!r} of this version.")
    return module.eval(), note


def compare(module: FaceModule, model: Model, chips: Pixels) -> tuple[float, float]:
    """Largest differences between a module and a model file on the same chips.

    Args:
        module: In evaluation mode; run in single precision.
        model: The loaded file.
        chips: uint8 (n, size, size, 3), RGB.

    Returns:
        In the expected age in years, and in p(female).
    """
    with torch.no_grad():
        images = module.normalise(to_images(torch.from_numpy(chips), module.spec.size))
        expected_ages, expected_female = module(images)
    ages, p_female = model.run(chips)
    support = np.arange(AGES)
    age_difference = np.abs(ages @ support - expected_ages.double().numpy() @ support).max()
    return float(age_difference), float(np.abs(p_female - expected_female.double().numpy()).max())


def _refuse_mismatch(differences: tuple[float, float], checkpoint: Path) -> None:
    age, probability = differences
    # Written so that a NaN is refused as well.
    if not (age <= MAX_AGE_DIFFERENCE and probability <= MAX_PROBABILITY_DIFFERENCE):
        raise TrainingError(
            f"the exported graph differs from {checkpoint} by {age:.2g} years and {probability:.2g} in "
            "probability; nothing was written."
        )


def _save(graph: onnx.ModelProto, metadata: ModelMetadata, file: Path) -> None:
    onnx.helper.set_model_props(graph, metadata.to_properties())
    onnx.save(graph, file)


def _metadata(
    module: FaceModule,
    note: dict[str, Any],
    version: str,
    interval: IntervalCalibration,
    metrics: dict[str, float],
) -> ModelMetadata:
    data_sets = [line.split(":")[0] for line in note["training_data"]]
    terms = [f"{name}: {TERMS.get(name, 'terms of that data set')}" for name in data_sets]
    return ModelMetadata(
        name=note["recipe"],
        version=version,
        licence="Weights follow the terms of what they were trained on. " + "; ".join(terms) + ".",
        geometry=CANONICAL_GEOMETRY,
        input_size=module.spec.size,
        channel_order=module.spec.channel_order,
        mean=module.spec.mean,
        std=module.spec.std,
        age_min=0,
        age_max=AGES - 1,
        gender_order=("male", "female"),
        interval=interval,
        training_data=tuple(note["training_data"]),
        metrics=metrics,
    )


def _metrics(
    age_probabilities: npt.NDArray[np.float64],
    p_female: npt.NDArray[np.float64],
    ages: npt.NDArray[np.float64],
    genders: npt.NDArray[np.str_],
) -> dict[str, float]:
    errors = age_probabilities @ np.arange(AGES) - ages
    known = genders != ""
    right = (p_female >= 0.5) == (genders == "female")
    return {
        "validation_n": float(len(ages)),
        "validation_mae": round(float(np.abs(errors).mean()), 3),
        "validation_rmse": round(float(np.sqrt((errors**2).mean())), 3),
        "validation_gender_accuracy": round(float(right[known].mean()), 4),
    }


_UNCALIBRATED = IntervalCalibration(coverage=(0.5, 0.99), half_mass=(0.25, 0.495), n=1)
"""Stands in until the graph has been run on the calibration faces; never in a file that is kept."""
