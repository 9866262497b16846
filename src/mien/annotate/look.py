"""Looking at one photo: the one place where annotation asks the predictor and reads its answer."""

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
    """What is asked of every photo of a collection, and what looks at it.

    Attributes:
        request: What is asked.
        model: Path of a model file; None for the one that ships.
        device: What each process runs it on; see :class:`~mien.Predictor`.
    """

    request: Request
    model: str | None = None
    device: Device = "cpu"


class Looker:
    """Looks at photos, one at a time, so that the answer depends on the photo alone.

    Args:
        setup: What is asked.

    Attributes:
        request: What is asked, with the model's own values for what it left open.
        predictor: Asked of each photo.

    Raises:
        MienError: If the model or the detector cannot be loaded, or the device not be used.
        ValueError: If the model cannot answer what is asked.
    """

    def __init__(self, setup: Setup) -> None:
        """Load the model and the detector."""
        detector = setup.request.detector or DEFAULT_DETECTOR
        self.predictor = Predictor(setup.model, detector, device=setup.device)
        self.request = self.predictor.complete(setup.request, detector=detector)

    def look(self, item: Item) -> Rows:
        """A photo's rows; one that cannot be read has an error in its row."""
        start = time.perf_counter()
        try:
            result = self.predictor.predict(item.source(), self.request)
        except MienError as error:
            return failed_rows(item.name, printable_name(str(error)), time.perf_counter() - start)
        return _rows(item.name, result, time.perf_counter() - start)

    def schema(self) -> Any:
        """Of the rows in ``faces``."""
        metadata = self.predictor.model.metadata
        ages = metadata.age_max + 1 if self.request.distribution else None
        return faces_schema(self.request.thresholds, ages)

    def options(self) -> dict[str, Any]:
        """What is asked, as ``run.json`` records it: by the names of the request, without paths of files."""
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
    """A face's row: the numbers of the JSON contract, rounded as there, and what it leaves out."""
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
