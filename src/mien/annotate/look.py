"""Looking at one photo: the one place where annotation asks the predictor and reads its answer."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mien.annotate.items import Item, printable_name
from mien.annotate.schema import Rows, failed_rows
from mien.defaults import DEFAULT_DETECTOR
from mien.errors import MienError
from mien.pipeline.model import Model, default_model_path
from mien.predictor import Faces, Predictor
from mien.results import Estimate, PhotoResult


@dataclass(frozen=True, slots=True)
class Setup:
    """What is asked of every photo of a collection, and what looks at it.

    Attributes:
        model: Path of a model file; None for the one that ships.
        detector: A name that :func:`~mien.pipeline.detect.make_detector` knows.
        faces: See :meth:`~mien.predictor.Predictor.predict`.
        coverage: Of the age intervals.
        thresholds: Ages in whole years, rising.
        gender_threshold: See :class:`~mien.predictor.Predictor`.
        rotate: Likewise.
    """

    model: str | None = None
    detector: str = DEFAULT_DETECTOR
    faces: Faces = "detect"
    coverage: float = 0.9
    thresholds: tuple[int, ...] = ()
    gender_threshold: float | None = None
    rotate: bool = True

    def options(self) -> dict[str, Any]:
        """As ``run.json`` records them, by the names of the command's options; no paths of files."""
        options = asdict(self) | {"detector": self.detector.partition(":")[0]}
        del options["model"]
        return options


class Looker:
    """Looks at photos, one at a time, so that the answer depends on the photo alone.

    Args:
        setup: What is asked.
        threads: That the model uses; 0 for as many as there are cores.

    Raises:
        MienError: If the model or the detector cannot be loaded.
        ValueError: If the model cannot answer what is asked.
    """

    def __init__(self, setup: Setup, threads: int = 1) -> None:
        """Load the model and the detector."""
        self.setup = setup
        self.model_path = default_model_path() if setup.model is None else Path(setup.model)
        self.predictor = Predictor(
            Model(self.model_path, threads=threads), setup.detector, rotate=setup.rotate
        )
        self._results([])

    def look(self, item: Item) -> Rows:
        """A photo's rows; one that cannot be read has an error in its row."""
        start = time.perf_counter()
        try:
            [result] = self._results([item.source()])
        except MienError as error:
            return failed_rows(item.name, str(error), time.perf_counter() - start)
        seconds = time.perf_counter() - start
        if result.error is not None:
            return failed_rows(item.name, printable_name(result.error), seconds)
        return _rows(item.name, result, seconds)

    def _results(self, photos: list[Any]) -> Iterator[PhotoResult]:
        setup = self.setup
        return self.predictor.predict_many(
            photos,
            faces=setup.faces,
            coverage=setup.coverage,
            thresholds=setup.thresholds,
            gender_threshold=setup.gender_threshold,
        )


def _rows(name: str, result: PhotoResult, seconds: float) -> Rows:
    photo = {
        "photo": name,
        "width": result.width,
        "height": result.height,
        "faces": len(result.faces),
        "error": None,
        "seconds": seconds,
    }
    return Rows(photo, [_face(name, i, estimate) for i, estimate in enumerate(result.faces)])


def _face(name: str, index: int, estimate: Estimate) -> dict[str, Any]:
    """A face's row: the numbers of the JSON contract, rounded as there, and what it leaves out."""
    face = estimate.to_json()
    age = face["age"]
    return {
        "photo": name,
        "index": index,
        "box": face["box"],
        "landmarks": getattr(estimate, "landmarks", None),
        "detection_score": face["detection_score"],
        "age": age["years"],
        "low": age["low"],
        "high": age["high"],
        "coverage": age["coverage"],
        "p_female": face["gender"]["p_female"],
        "label": face["gender"]["label"],
        "flags": face["flags"],
        "sharpness": getattr(estimate, "sharpness", None),
        "size": (estimate.box.width + estimate.box.height) / 2,
        **{f"at_least_{threshold}": p for threshold, p in age.get("at_least", {}).items()},
    }
