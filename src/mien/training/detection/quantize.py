"""Quantization of the detector to eight bits, and the change in its accuracy."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import onnx
import pandas as pd

from mien.errors import TrainingError
from mien.evaluation import detection
from mien.pipeline.detect.mien import MienDetector
from mien.pipeline.detect.preprocessing import resize, to_tensor
from mien.pipeline.images import read_photo
from mien.training.detection.photo_tables import PhotoTables
from mien.training.detection.run import write_validation
from mien.training.quantize import quantize

PICTURES = 256
"""Number of training pictures in the calibration set that gives the ranges of values."""

SIDE = 640
"""Longest side of the calibration pictures in pixels, equal to the detector's default."""

IN_FLOAT = (".stem.0.", ".heads.")
"""Parts of the names of kernels that stay in single precision: the first layer, which is faster so because
photos need not be quantized, and the heads, whose outputs include coordinates."""


def quantize_detector(graph: onnx.ModelProto, tables: PhotoTables) -> onnx.ModelProto:
    """Quantize a detector's graph to eight bits.

    Args:
        graph: The graph in single precision.
        tables: Their ``train`` pictures give the calibration set.

    Raises:
        TrainingError: If the graph is quantized already, or there are no such pictures.
    """
    train = tables.of("train")
    images = pd.concat([train.boxes, train.empty])["image"].drop_duplicates()
    if images.empty:
        raise TrainingError(
            "There are no training pictures to find scales by; give a folder with more of them."
        )
    chosen = images.sample(min(PICTURES, len(images)), random_state=0)
    views = (resize(read_photo(image).pixels, SIDE)[0] for image in chosen)
    return quantize(graph, map(to_tensor, views), IN_FLOAT)


class DetectorDrift(NamedTuple):
    """Change caused by eight bits on validation pictures; positive values are worse.

    Attributes:
        recall: Decrease of the recall of faces at least 32 pixels high, in [-1, 1].
        average_precision: Decrease of the average precision, in [-1, 1].
        false_per_picture: Increase of the number of boxes per picture without a face.
    """

    recall: float
    average_precision: float
    false_per_picture: float

    def __str__(self) -> str:
        """Describe the change, for the middle of a sentence."""
        return (
            f"{-100 * self.recall:+.2f} points of faces found, "
            f"{-100 * self.average_precision:+.2f} points of average precision, "
            f"{self.false_per_picture:+.4f} boxes in a picture without a face"
        )


BOUNDS = DetectorDrift(recall=0.01, average_precision=0.01, false_per_picture=0.02)
"""Largest change that is accepted."""


def measure_drift(before: Path, after: Path, tables: PhotoTables) -> DetectorDrift:
    """Compare a detector in eight bits with itself in single precision.

    Args:
        before: The detector's file in single precision.
        after: The detector's file in eight bits.
        tables: Their ``validation`` pictures are used.

    Raises:
        TrainingError: If a change exceeds :data:`BOUNDS`.
        DataError: If there are no such pictures.
    """
    with TemporaryDirectory() as place:
        path = Path(place) / "validation.csv"
        write_validation(tables, path)
        table = detection.read_boxes([path])
    makers = {"before": partial(MienDetector, before), "after": partial(MienDetector, after)}
    scores = detection.evaluate_detectors(table, makers).scores
    one, other = scores["before"], scores["after"]
    drift = DetectorDrift(
        (one.recall or 0.0) - (other.recall or 0.0),
        (one.average_precision or 0.0) - (other.average_precision or 0.0),
        (other.false_per_picture or 0.0) - (one.false_per_picture or 0.0),
    )
    if not all(change <= bound for change, bound in zip(drift, BOUNDS, strict=True)):
        raise TrainingError(
            f"eight bits change too much ({drift}); nothing was written, leave out --quantize."
        )
    return drift
