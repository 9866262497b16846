"""From a checkpoint to a model file: graph, lossless storage, calibration, metadata, comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import torch

from mien.data.chips import read_chips
from mien.data.manifest import exact_ages, need_crops, read_manifest
from mien.data.sources import TERMS
from mien.errors import TrainingError
from mien.evaluation.calibration import Answers, calibrated, must_judge_by_bins, observe
from mien.files import refuse_overwriting, written_beside
from mien.pipeline.align import CANONICAL_GEOMETRY
from mien.pipeline.estimation import calibrated_p_female
from mien.pipeline.images import Pixels
from mien.pipeline.intervals import median_age
from mien.pipeline.metadata import IntervalCalibration, ModelMetadata
from mien.pipeline.model import Model
from mien.training.augment import to_images
from mien.training.checkpoint import load_checkpoint
from mien.training.module import AGES, FaceModule
from mien.training.onnx_graph import to_onnx
from mien.training.plain import make_plain

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
        differences: Largest differences from the checkpoint, in years and in p(female); None where a model
            file was calibrated anew, whose graph stays as it is.
        metrics: Validation figures written into the file.
    """

    path: Path
    megabytes: float
    differences: tuple[float, float] | None
    metrics: dict[str, float]


def export(
    sources: Sequence[Path],
    manifests: Sequence[Path],
    output: Path,
    *,
    version: str | None = None,
    plain: bool = False,
) -> ExportReport:
    """Write a calibrated model file; from checkpoints, prove that it answers as they do.

    Args:
        sources: A checkpoint written by :func:`mien.training.run.train`; two of them, whose nets are to
            answer together; or a model file (``.onnx``) that is to be calibrated anew.
        manifests: Their ``validation`` rows calibrate the age intervals, where the age is exact, and the
            probabilities of gender, where it is known; those of the first give the file's figures. With fewer
            than ten exact ages, bins calibrate the intervals too; see
            :func:`~mien.evaluation.calibration.draw_ages`.
        output: The ``.onnx`` file to write.
        version: Version of the weights; None for the model file's own, or 1.
        plain: Whether the file is for other programs as well; see :func:`mien.training.plain.make_plain`.

    Raises:
        TrainingError: If a checkpoint is not one of ours, several cannot be joined, a manifest has no
            validation rows, or the file's answers differ from the checkpoints' by more than 1e-3 years or
            1e-4 in probability; no file is left then.
        ModelError: If the model file cannot be used.
        DataError: If a manifest cannot be used or holds too few faces.
    """
    refuse_overwriting([output], [*sources, *manifests])
    tables = [_validation_rows(manifest) for manifest in manifests]
    graph, metadata, module = _read_sources(sources)
    if plain:
        make_plain(graph)
    if version is not None:
        metadata = metadata.model_copy(update={"version": version})
    differences = None
    try:
        with written_beside(output) as file:
            metadata = _calibrate(graph, metadata, tables, file)
            if module is not None:
                differences = compare(module, Model(file), _some_chips(tables[0], module.spec.size))
                _refuse_mismatch(differences, sources)
    except OSError as error:
        raise TrainingError(
            f"{output} cannot be written ({error.strerror}); choose another --output."
        ) from None
    return ExportReport(output, output.stat().st_size / 1e6, differences, metadata.metrics)


def _calibrate(
    graph: onnx.ModelProto, metadata: ModelMetadata, tables: Sequence[pd.DataFrame], file: Path
) -> ModelMetadata:
    """Write the graph, run it on all tables' faces, and write it anew with what was found."""
    _save(graph, metadata, file)
    model = Model(file)
    answers = [observe(model, table) for table in tables]
    every = Answers(
        np.concatenate([a.age_probabilities for a in answers]),
        np.concatenate([a.p_female for a in answers]),
    )
    labels = pd.concat(tables, ignore_index=True)
    metadata = calibrated(metadata, labels, every, by_bins=must_judge_by_bins(labels))
    metadata = metadata.model_copy(update={"metrics": _metrics(metadata, tables[0], answers[0])})
    _save(graph, metadata, file)
    return metadata


def _some_chips(table: pd.DataFrame, side: int) -> Pixels:
    return np.stack(list(read_chips(table[:COMPARED], side)))


def _validation_rows(manifest: Path) -> pd.DataFrame:
    rows = read_manifest(manifest)
    rows = rows[rows["split"] == "validation"].reset_index(drop=True)
    if rows.empty:
        raise TrainingError(f"{manifest} has no row of the split 'validation' to calibrate on.")
    need_crops(rows, manifest)
    return rows


def _read_sources(
    sources: Sequence[Path],
) -> tuple[onnx.ModelProto, ModelMetadata, FaceModule | None]:
    """The graph, what is known of it before it is calibrated, and the module it came from."""
    if len(sources) == 1 and sources[0].suffix == ".onnx":
        metadata = Model(sources[0]).metadata  # which refuses what is no model file
        return onnx.load(sources[0]), metadata, None
    if len(sources) > 2:
        raise TrainingError(f"{len(sources)} checkpoints are too many for one model file; give one or two.")
    (module, note), *others = (load_checkpoint(source) for source in sources)
    for other, its_note in others:
        if its_note["recipe"] != note["recipe"]:
            raise TrainingError(
                f"{sources[0]} and {sources[1]} are of the recipes {note['recipe']!r} and "
                f"{its_note['recipe']!r}; only checkpoints of one recipe can be joined."
            )
        module.join(other)
        note = note | {"training_data": dict.fromkeys([*note["training_data"], *its_note["training_data"]])}
    example = torch.zeros(2, 3, module.spec.size, module.spec.size)
    graph = to_onnx(module, example, "chips", ["age_probabilities", "p_female"], {0: "n"})
    return graph, _metadata(module, note), module


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


def _refuse_mismatch(differences: tuple[float, float], checkpoints: Sequence[Path]) -> None:
    age, probability = differences
    # Written so that a NaN is refused as well.
    if not (age <= MAX_AGE_DIFFERENCE and probability <= MAX_PROBABILITY_DIFFERENCE):
        raise TrainingError(
            f"the exported graph differs from {' and '.join(map(str, checkpoints))} by {age:.2g} years and "
            f"{probability:.2g} in probability; nothing was written."
        )


def _save(graph: onnx.ModelProto, metadata: ModelMetadata, file: Path) -> None:
    onnx.helper.set_model_props(graph, metadata.to_properties())
    onnx.save(graph, file)


def _metadata(module: FaceModule, note: dict[str, Any]) -> ModelMetadata:
    data_sets = [line.split(":")[0] for line in note["training_data"]]
    terms = [f"{name}: {TERMS.get(name, 'terms of that data set')}" for name in data_sets]
    return ModelMetadata(
        name=note["recipe"],
        version="1",
        licence="Weights follow the terms of what they were trained on. " + "; ".join(terms) + ".",
        geometry=CANONICAL_GEOMETRY,
        input_size=module.spec.size,
        channel_order=module.spec.channel_order,
        mean=module.spec.mean,
        std=module.spec.std,
        age_min=0,
        age_max=AGES - 1,
        gender_order=("male", "female"),
        interval=_UNCALIBRATED,
        training_data=tuple(note["training_data"]),
        metrics={},
    )


def _metrics(metadata: ModelMetadata, labels: pd.DataFrame, answers: Answers) -> dict[str, float]:
    exact, known = exact_ages(labels), labels["gender"] != ""
    binned = labels["age_low"] < labels["age_high"]
    years = median_age(answers.age_probabilities, age_min=metadata.age_min)
    female = calibrated_p_female(answers.p_female, metadata.gender) >= 0.5
    metrics = {"validation_n": float(len(labels))}
    if exact.any():
        errors = (years - labels["age_low"])[exact]
        metrics["validation_mae"] = round(float(np.abs(errors).mean()), 3)
        metrics["validation_rmse"] = round(float(np.sqrt((errors**2).mean())), 3)
    if binned.any():
        low, high = labels["age_low"], labels["age_high"]
        rounded = np.floor(years + 0.5)
        metrics["validation_bin_accuracy"] = round(
            float(((low <= rounded) & (rounded <= high))[binned].mean()), 4
        )
        metrics["validation_bin_distance"] = round(
            float(np.abs(years - np.clip(years, low, high))[binned].mean()), 3
        )
    if known.any():
        right = (female == (labels["gender"] == "female"))[known]
        metrics["validation_gender_accuracy"] = round(float(right.mean()), 4)
    return metrics


_UNCALIBRATED = IntervalCalibration(coverage=(0.5, 0.99), half_mass=((0.25,), (0.495,)), n=1)
"""Stands in until the graph has been run on the calibration faces; never in a file that is kept."""
