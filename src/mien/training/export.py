"""Export of checkpoints to a model file: graph, quantization, calibration, metadata, comparison."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
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
from mien.training.joined import read_nets
from mien.training.logit_adjustment import adjust_ages, age_frequencies
from mien.training.module import AGES, FaceModule
from mien.training.onnx_graph import to_onnx
from mien.training.plain import make_plain
from mien.training.quantize import Drift, measure_drift, quantize_model

MAX_AGE_DIFFERENCE = 1e-3
MAX_PROBABILITY_DIFFERENCE = 1e-4
NOTHING_LEARNED = 0.95
"""A model has learned nothing if its error is at least this share of that of one constant age."""

COMPARED = 256
"""Maximum number of validation faces on which the file and the checkpoint are compared."""


@dataclass(frozen=True)
class ExportReport:
    """Result of an export.

    Attributes:
        path: The file written.
        megabytes: Its size in 10^6 bytes.
        differences: Largest differences from the checkpoint before quantization, in years and in p(female);
            None if the source was a model file.
        metrics: Validation metrics written into the file.
        warnings: Shortcomings of the model, one sentence each.
        drift: Change caused by quantization; None if the export did not quantize.
    """

    path: Path
    megabytes: float
    differences: tuple[float, float] | None
    metrics: dict[str, float]
    warnings: tuple[str, ...] = ()
    drift: Drift | None = None


def export(
    sources: Sequence[Path],
    manifests: Sequence[Path],
    output: Path,
    *,
    version: str | None = None,
    name: str | None = None,
    plain: bool = False,
    quantize: bool = False,
    logit_adjustment: float = 0.0,
) -> ExportReport:
    """Write a calibrated model file; check that its outputs equal those of the source checkpoints.

    Args:
        sources: A checkpoint written by :func:`mien.training.run.train`, or a model file (``.onnx``) to be
            recalibrated; or two of either, which form an ensemble.
        manifests: Their ``validation`` rows are the calibration set: rows with exact ages for the age
            intervals, rows with a gender for the probabilities of gender. Those of the first manifest also
            give the file's metrics. With fewer than ten exact ages, bins calibrate the intervals too; see
            :func:`~mien.evaluation.calibration.draw_ages`.
        output: The ``.onnx`` file to write.
        version: Version of the weights; None for the source file's own, or 1.
        name: Name of the model; None for the source file's own, or that of the recipe.
        plain: Whether to use only operators that other programs support; see
            :func:`mien.training.plain.make_plain`.
        quantize: Whether to quantize the net to eight bits, with value ranges from ``train`` rows of the
            manifests; see :func:`mien.training.quantize.quantize`. Calibration follows quantization.
        logit_adjustment: Strength of the correction for ages that are rare among the ``train`` rows, from 0
            to 1; see :func:`mien.training.logit_adjustment.adjust_ages`.

    Raises:
        TrainingError: If a source is not a checkpoint of mien, two cannot be joined, a manifest has no
            validation rows, the file's outputs differ from the checkpoints' by more than 1e-3 years or
            1e-4 in probability, or quantization changes more than :data:`mien.training.quantize.BOUNDS`.
            Then no file is left.
        ModelError: If the model file cannot be used.
        DataError: If a manifest cannot be used or holds too few faces.
    """
    refuse_overwriting([output], [*sources, *manifests])
    tables = [_rows(manifest, "validation", "calibrate on") for manifest in manifests]
    if all(table["age_low"].isna().all() for table in tables):
        raise TrainingError(f"{manifests[0]} has no validation rows with an age to calibrate on.")
    graph, metadata, module = _read_sources(sources)
    if plain:
        make_plain(graph)
    given = {"version": version, "name": name}
    metadata = metadata.model_copy(update={field: text for field, text in given.items() if text is not None})
    differences = before = None
    try:
        with written_beside(output) as file:
            _save(graph, metadata, file)
            if module is not None:
                differences = compare(module, Model(file), _some_chips(tables[0], module.spec.size))
                _refuse_mismatch(differences, sources)
            if logit_adjustment:
                adjust_ages(graph, _frequencies(manifests), logit_adjustment)
                _save(graph, metadata, file)
            if quantize:
                before = observe(Model(file), tables[0])
                faces = [_rows(manifest, "train", "find scales by") for manifest in manifests]
                graph = quantize_model(graph, metadata, pd.concat(faces))
            metadata, answers = _calibrate(graph, metadata, tables, file)
            drift = measure_drift(metadata, tables[0], before, answers) if before is not None else None
    except OSError as error:
        raise TrainingError(
            f"{output} cannot be written ({error.strerror}); choose another --output."
        ) from None
    warnings = (*_of_ages(metadata, tables[0], answers), *_of_genders(metadata, tables[0], answers))
    megabytes = output.stat().st_size / 1e6
    return ExportReport(output, megabytes, differences, metadata.metrics, warnings, drift)


def _calibrate(
    graph: onnx.ModelProto, metadata: ModelMetadata, tables: Sequence[pd.DataFrame], file: Path
) -> tuple[ModelMetadata, Answers]:
    """Write the graph, run it on the faces of all tables, and rewrite it with calibration and metrics.

    Returns:
        The calibrated metadata, and the outputs for the first table's faces.
    """
    _save(graph, metadata, file)
    model = Model(file, threads=0)
    answers = [observe(model, table) for table in tables]
    every = Answers(
        np.concatenate([a.age_probabilities for a in answers]),
        np.concatenate([a.p_female for a in answers]),
    )
    labels = pd.concat(tables, ignore_index=True)
    metadata = calibrated(metadata, labels, every, by_bins=must_judge_by_bins(labels))
    metadata = metadata.model_copy(update={"metrics": _metrics(metadata, tables[0], answers[0])})
    _save(graph, metadata, file)
    return metadata, answers[0]


def _frequencies(manifests: Sequence[Path]) -> npt.NDArray[np.float64]:
    """Frequencies of the exact ages among the training rows of all manifests."""
    rows = pd.concat([_rows(manifest, "train", "count ages in") for manifest in manifests])
    ages = rows["age_low"][exact_ages(rows)]
    if ages.empty:
        raise TrainingError(f"{manifests[0]} has no training rows with an exact age to count.")
    return age_frequencies(ages.to_numpy(np.float64), AGES)


def _some_chips(table: pd.DataFrame, side: int) -> Pixels:
    return np.stack(list(read_chips(table[:COMPARED], side)))


def _rows(manifest: Path, split: str, purpose: str) -> pd.DataFrame:
    rows = read_manifest(manifest)
    rows = rows[rows["split"] == split].reset_index(drop=True)
    if rows.empty:
        raise TrainingError(f"{manifest} has no row of the split {split!r} to {purpose}.")
    need_crops(rows, manifest)
    return rows


def _read_sources(
    sources: Sequence[Path],
) -> tuple[onnx.ModelProto, ModelMetadata, FaceModule | None]:
    """Return the graph, its metadata before calibration, and the module it came from, if any."""
    if len(sources) == 1 and sources[0].suffix == ".onnx":
        metadata = Model(sources[0]).metadata  # refuses anything but a model file
        return onnx.load(sources[0]), metadata, None
    if len(sources) > 2:
        raise TrainingError(f"{len(sources)} nets are too many for one model file; give one or two.")
    module, note = read_nets(sources)
    example = torch.zeros(2, 3, module.spec.size, module.spec.size)
    graph = to_onnx(module, example, "chips", ["age_probabilities", "p_female"], {0: "n"})
    return graph, _metadata(module, note), module


def compare(module: FaceModule, model: Model, chips: Pixels) -> tuple[float, float]:
    """Compute the largest differences between a module and a model file on the same chips.

    Args:
        module: A module in evaluation mode; run in single precision.
        model: The loaded file.
        chips: uint8 (n, size, size, 3), RGB.

    Returns:
        Largest difference of the expected age in years, and of p(female).
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
    # This form also refuses NaN.
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


def _of_ages(metadata: ModelMetadata, labels: pd.DataFrame, answers: Answers) -> Iterator[str]:
    """Warn if one constant age for all faces would be almost as accurate as the model."""
    aged = labels["age_low"].notna().to_numpy(bool)
    low, high = (labels.loc[aged, end].to_numpy(np.float64) for end in ("age_low", "age_high"))
    years = median_age(answers.age_probabilities[aged], age_min=metadata.age_min)

    def off(ages: npt.NDArray[np.float64] | float) -> float:
        return float(np.abs(ages - np.clip(ages, low, high)).mean())

    constant = min(map(float, range(metadata.age_min, metadata.age_max + 1)), key=off)
    if off(years) >= NOTHING_LEARNED * off(constant):
        yield (
            f"This model has not learned to tell ages: it is {off(years):.1f} years off on average, and "
            f"{constant:.0f} for every validation face would be {off(constant):.1f}."
        )


def _of_genders(metadata: ModelMetadata, labels: pd.DataFrame, answers: Answers) -> Iterator[str]:
    """Warn if the labels cannot verify p(female), or if one gender for all faces would be as accurate."""
    known = (labels["gender"] != "").to_numpy(bool)
    female = (labels["gender"] == "female").to_numpy(bool)[known]
    fewest = min(int(female.sum()), int((~female).sum()))
    if fewest == 0:
        genders = "are all female" if female.any() else "are all male" if len(female) else "are missing"
        yield f"The genders of the first validation rows {genders}: nothing says whether p(female) is right."
        return
    right = (calibrated_p_female(answers.p_female[known], metadata.gender) >= 0.5) == female
    if right.mean() <= 1 - fewest / len(female):
        yield (
            f"This model has not learned to tell genders: {100 * right.mean():.0f} % of its labels are "
            f"right, and one label for every face would be in {100 - 100 * fewest / len(female):.0f} %."
        )


_UNCALIBRATED = IntervalCalibration(coverage=(0.5, 0.99), half_mass=((0.25,), (0.495,)), n=1)
"""Placeholder until the graph has run on the calibration set; never in a file that is kept."""
