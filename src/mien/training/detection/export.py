"""Export of a detector from a checkpoint to a model file: graph, metadata, comparison."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from mien.errors import TrainingError
from mien.files import refuse_overwriting, written_beside
from mien.pipeline.detect.mien import DetectorMetadata, MienDetector
from mien.training.checkpoint import read_checkpoint
from mien.training.detection.module import Deployed, DetectorModule
from mien.training.detection.photo_tables import read_photo_tables
from mien.training.detection.quantize import DetectorDrift, measure_drift, quantize_detector
from mien.training.detection.run import RECIPE
from mien.training.onnx_graph import to_onnx

OUTPUTS = ("scores", "boxes", "landmarks")
MAX_SCORE_DIFFERENCE, MAX_PIXEL_DIFFERENCE = 1e-3, 0.05


@dataclass(frozen=True)
class DetectorReport:
    """Result of an export.

    Attributes:
        path: The file written.
        megabytes: Its size in 10^6 bytes.
        score_difference: Largest difference between the scores of the file, in single precision, and of the
            checkpoint; None if the source was a detector's file.
        pixel_difference: Likewise for coordinates in pixels, where the score is above 0.1.
        drift: Change caused by quantization; None if the export did not quantize.
    """

    path: Path
    megabytes: float
    score_difference: float | None
    pixel_difference: float | None
    drift: DetectorDrift | None = None


def export_detector(
    source: Path,
    output: Path,
    *,
    threshold: float | None = None,
    unsure_below: float | None = None,
    small_penalty: float = 0.0,
    nms_iou: float = 0.4,
    version: str | None = None,
    quantize: Sequence[Path] = (),
) -> DetectorReport:
    """Write the detector's file and check that its outputs equal the checkpoint's.

    Args:
        source: A checkpoint written by :func:`~mien.training.detection.run.train_detector`, or a detector's
            file. A file keeps its metadata, except for the values given here.
        output: The ``.onnx`` file to write.
        threshold: Least score of a face; for a checkpoint 0.5 unless given.
        unsure_below: Score below which a face is marked as unsure, and the photo is also searched in its
            turns; for a checkpoint 0 unless given.
        small_penalty: Subtracted from the score logits on the finest level, where nearly all false positives
            occur, so that one threshold fits faces of all sizes. For checkpoints only.
        nms_iou: Intersection over union above which two boxes are merged into one face. For checkpoints only.
        version: Version of the weights; for a checkpoint 1 unless given.
        quantize: Folders of photos as for :func:`~mien.training.detection.run.train_detector`, used to
            quantize the graph to eight bits and to measure the change; none for single precision.

    Raises:
        TrainingError: If the checkpoint is not of a detector, the file's outputs differ from the
            checkpoint's, or quantization changes more than
            :data:`mien.training.detection.quantize.BOUNDS`. Then no file is left.
        DetectorError: If the detector's file cannot be used.
        DataError: If a table of the folders cannot be used.
    """
    refuse_overwriting([output], [source])
    given: dict[str, Any] = {"threshold": threshold, "unsure_below": unsure_below, "version": version}
    given = {name: value for name, value in given.items() if value is not None}
    differences: tuple[float | None, float | None] = None, None
    drift = None
    if source.suffix == ".onnx":
        if small_penalty:
            raise TrainingError("--small-penalty is for checkpoints; give the checkpoint of that detector.")
        metadata, deployed = MienDetector(source).metadata, None  # refuses anything but a detector
        graph = onnx.load(source)
    else:
        deployed, metadata = _deploy(source, small_penalty, nms_iou)
        graph = to_onnx(deployed, torch.zeros(2, 3, 96, 128), "image", OUTPUTS, {0: "n", 2: "h", 3: "w"})
    metadata = metadata.model_copy(update=given)
    try:
        with written_beside(output) as file:
            _save(graph, metadata, file)
            if deployed is not None:
                score, pixel = differences = _compare(deployed, file)
                if not (score <= MAX_SCORE_DIFFERENCE and pixel <= MAX_PIXEL_DIFFERENCE):  # refuses NaN too
                    raise TrainingError(f"the exported graph differs from {source}; nothing was written.")
            if quantize:
                drift = _quantize(graph, metadata, file, quantize)
    except OSError as error:
        raise TrainingError(
            f"{output} cannot be written ({error.strerror}); choose another --output."
        ) from None
    return DetectorReport(output, output.stat().st_size / 1e6, *differences, drift)


def _quantize(
    graph: onnx.ModelProto, metadata: DetectorMetadata, file: Path, folders: Sequence[Path]
) -> DetectorDrift:
    """Replace the file by one in eight bits, and measure the change."""
    tables = read_photo_tables(folders)
    with TemporaryDirectory() as place:
        before = Path(place) / "before.onnx"
        shutil.copyfile(file, before)
        _save(quantize_detector(graph, tables), metadata, file)
        return measure_drift(before, file, tables)


def _save(graph: onnx.ModelProto, metadata: DetectorMetadata, file: Path) -> None:
    onnx.helper.set_model_props(graph, {"mien": metadata.model_dump_json()})
    onnx.save(graph, file)


def _deploy(checkpoint: Path, small_penalty: float, nms_iou: float) -> tuple[nn.Module, DetectorMetadata]:
    """Build the exportable network of a checkpoint, and its metadata."""
    content = read_checkpoint(checkpoint)
    if content["mien"]["recipe"] != RECIPE:
        raise TrainingError(f"{checkpoint} is no checkpoint of 'mien train-detector'.")
    module = DetectorModule()
    try:
        module.load_state_dict(content["state_dict"])
    except RuntimeError:
        raise TrainingError(f"{checkpoint} does not fit the detector of this version.") from None
    finest = module.net.heads[0]
    assert isinstance(finest, nn.Conv2d) and finest.bias is not None
    finest.bias.data[0] -= small_penalty
    deployed = Deployed(module.eval()).eval()
    return deployed, DetectorMetadata(
        kind="detector",
        name="mien",
        version="1",
        licence="Weights follow the terms of what they were trained on: research use, non-commercial.",
        training_data=tuple(content["mien"]["training_data"]),
        threshold=0.5,
        nms_iou=nms_iou,
        metrics={},
    )


def _compare(deployed: nn.Module, file: Path) -> tuple[float, float]:
    """Largest differences of scores and, at scores above 0.1, of coordinates, on noise of two sizes."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    differences = [(0.0, 0.0)]
    for shape in ((1, 3, 256, 320), (3, 3, 160, 96)):
        image = random.integers(0, 256, shape).astype(np.float32)
        with torch.no_grad():
            expected = [part.numpy() for part in deployed(torch.from_numpy(image))]
        found = session.run(list(OUTPUTS), {"image": image})
        off = [np.abs(a - b) for a, b in zip(expected, found, strict=True)]
        seen = expected[0] > 0.1
        pixels = [part[seen].max(initial=0) for part in off[1:]]
        differences.append((float(off[0].max()), float(max(pixels))))
    return max(d[0] for d in differences), max(d[1] for d in differences)
