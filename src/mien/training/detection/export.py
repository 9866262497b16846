"""From a checkpoint to the detector's file: graph, metadata, comparison."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from mien.errors import TrainingError
from mien.files import refuse_overwriting, written_beside
from mien.pipeline.detect.mien import DetectorMetadata
from mien.training.checkpoint import read_checkpoint
from mien.training.detection.module import Deployed, DetectorModule
from mien.training.detection.run import RECIPE
from mien.training.onnx_graph import to_onnx

OUTPUTS = ("scores", "boxes", "landmarks")
MAX_SCORE_DIFFERENCE, MAX_PIXEL_DIFFERENCE = 1e-3, 0.05


@dataclass(frozen=True)
class DetectorReport:
    """What an export found.

    Attributes:
        path: The file written.
        megabytes: Its size in 10^6 bytes.
        score_difference: Largest difference of a score from the checkpoint's.
        pixel_difference: Largest difference of a coordinate, where the score is above a tenth.
    """

    path: Path
    megabytes: float
    score_difference: float
    pixel_difference: float


def export_detector(
    checkpoint: Path,
    output: Path,
    *,
    threshold: float,
    unsure_below: float = 0.0,
    small_penalty: float = 0.0,
    nms_iou: float = 0.4,
    version: str = "1",
) -> DetectorReport:
    """Write the detector's file and prove that it answers as the checkpoint does.

    Args:
        checkpoint: Written by :func:`~mien.training.detection.run.train_detector`.
        output: The ``.onnx`` file to write.
        threshold: Least score of a face.
        unsure_below: Score below which a face is marked as unsure, and looked for in turned photos.
        small_penalty: Subtracted from the scores' log odds on the finest level, where nearly all that is
            taken for a face by mistake is found; so one threshold fits faces of all sizes.
        nms_iou: Overlap from which two boxes are of one face.
        version: Version of the weights.

    Raises:
        TrainingError: If the checkpoint is not one of a detector, or the file's answers differ from its.
    """
    refuse_overwriting([output], [checkpoint])
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
    graph = to_onnx(deployed, torch.zeros(2, 3, 96, 128), "image", OUTPUTS, {0: "n", 2: "h", 3: "w"})
    metadata = DetectorMetadata(
        kind="detector",
        name="mien",
        version=version,
        licence="Weights follow the terms of what they were trained on: research use, non-commercial.",
        training_data=tuple(content["mien"]["training_data"]),
        threshold=threshold,
        unsure_below=unsure_below,
        nms_iou=nms_iou,
        metrics={},
    )
    onnx.helper.set_model_props(graph, {"mien": metadata.model_dump_json()})
    try:
        with written_beside(output) as file:
            onnx.save(graph, file)
            score, pixel = _compare(deployed, file)
            if not (score <= MAX_SCORE_DIFFERENCE and pixel <= MAX_PIXEL_DIFFERENCE):  # refuses NaN as well
                raise TrainingError(f"the exported graph differs from {checkpoint}; nothing was written.")
    except OSError as error:
        raise TrainingError(
            f"{output} cannot be written ({error.strerror}); choose another --output."
        ) from None
    return DetectorReport(output, output.stat().st_size / 1e6, score, pixel)


def _compare(deployed: nn.Module, file: Path) -> tuple[float, float]:
    """Largest differences in scores and, where a face may be, in coordinates, on noise of two sizes."""
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
