"""Annotation of one photo: runs the predictor and turns its result into rows."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mien.annotate.items import Item, printable_name
from mien.annotate.schema import Rows, faces_schema, failed_rows
from mien.errors import MienError
from mien.photo_result import PhotoResult
from mien.pipeline.device_names import Device
from mien.predictor import Predictor
from mien.request import DEFAULT_DETECTOR, Request
from mien.results import Estimate


@dataclass(frozen=True, slots=True)
class Setup:
    """The request, model and device for all photos of a collection.

    Attributes:
        request: The request for every photo.
        model: Path of a model file; None for the bundled model.
        device: Device of each process; see :class:`~mien.Predictor`.
    """

    request: Request
    model: str | None = None
    device: Device = "cpu"


class Looker:
    """Annotates photos one at a time, not in batches, so that a result depends only on its photo.

    Args:
        setup: The request, model and device.

    Attributes:
        request: The request, completed with the model's defaults.
        predictor: The predictor for every photo.

    Raises:
        MienError: If the model or the detector cannot be loaded, or the device cannot be used.
        ValueError: If the model does not support the request.
    """

    def __init__(self, setup: Setup) -> None:
        """Load the model and the detector."""
        detector = setup.request.detector or DEFAULT_DETECTOR
        self.predictor = Predictor(setup.model, detector, device=setup.device)
        self.request = self.predictor.complete(setup.request, detector=detector)

    def look(self, item: Item) -> Rows:
        """The rows of a photo; the row of an unreadable photo holds the error."""
        start = time.perf_counter()
        try:
            result = self.predictor.predict(item.source(), self.request)
        except MienError as error:
            return failed_rows(item.name, printable_name(str(error)), time.perf_counter() - start)
        return _rows(item.name, result, time.perf_counter() - start)

    def schema(self) -> Any:
        """The pyarrow schema of ``faces``."""
        metadata = self.predictor.model.metadata
        ages = metadata.age_max + 1 if self.request.distribution else None
        return faces_schema(self.request.thresholds, ages)

    def options(self) -> dict[str, Any]:
        """The request as ``run.json`` records it, with the kind of the detector but not its path."""
        return asdict(self.request) | {"detector": str(self.request.detector).partition(":")[0]}


def _rows(name: str, result: PhotoResult, seconds: float) -> Rows:
    photo = {
        "photo": name,
        "width": result.width,
        "height": result.height,
        "faces": len(result.faces),
        "error": None,
        "seconds": seconds,
    }
    return Rows(photo, [face_row(name, i, estimate) for i, estimate in enumerate(result.faces)])


def face_row(name: str, index: int, estimate: Estimate) -> dict[str, Any]:
    """The row of a face: the values of its JSON form, rounded as there, and some that the JSON lacks."""
    face = estimate.to_json()
    age = face["age"]
    return {
        "photo": name,
        "index": index,
        "box": face["box"],
        "landmarks": face["landmarks"],
        "detection_score": face["detection_score"],
        "age": age["years"],
        "low": age["low"],
        "high": age["high"],
        "coverage": age["coverage"],
        "p_female": face["gender"]["p_female"],
        "label": face["gender"]["label"],
        "flags": face["flags"],
        "sharpness": estimate.sharpness,
        "size": (estimate.box.width + estimate.box.height) / 2,
        **{f"at_least_{threshold}": p for threshold, p in age.get("at_least", {}).items()},
        "distribution": estimate.age.distribution and np.asarray(estimate.age.distribution, np.float16),
    }
