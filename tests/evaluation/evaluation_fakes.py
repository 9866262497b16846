"""A predictor that says what it is told to, for manifests of pictures that do not exist."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Unpack

import pandas as pd

from mien.photo_result import PhotoResult
from mien.pipeline.images import ImageFormat, PhotoSource
from mien.predictor import Predictor
from mien.request import Options, Request
from mien.results import AgeEstimate, Box, Estimate, GenderEstimate


def estimate(years: float, p_female: float = 0.5, side: float = 100) -> Estimate:
    age = AgeEstimate(years, max(0, years - 10), years + 10, 0.9)
    return Estimate(Box(0, 0, side, side), 1.0, age, GenderEstimate(p_female))


class FakePredictor(Predictor):
    """Answers by file name; a name it does not know is an unreadable picture."""

    def __init__(self, answers: Mapping[str, tuple[Estimate, ...]], model: Path) -> None:
        super().__init__(model)
        self.answers = answers
        self.calls: list[tuple[str, str, list[str]]] = []

    def predict_many(
        self,
        photos: Iterable[PhotoSource],
        request: Request | None = None,
        *,
        image_format: ImageFormat = "RGB",
        **options: Unpack[Options],
    ) -> Iterator[PhotoResult]:
        asked = self.complete(request, **options)
        names = [Path(str(photo)).name for photo in photos]
        self.calls.append((asked.faces, asked.framing, names))
        for name in names:
            if name in self.answers:
                yield PhotoResult(name, 200, 200, self.answers[name])
            else:
                yield PhotoResult(name, error=f"{name} is not a picture.")


def labels(**columns: object) -> pd.DataFrame:
    """Rows of a manifest once read; ages of 30, no gender, race or group unless told otherwise."""
    rows = max((len(c) for c in columns.values() if isinstance(c, list)), default=1)
    path = [f"{i}.jpg" for i in range(rows)]
    table = pd.DataFrame({"path": path, "age_low": 30.0, "age_high": 30.0} | columns)
    for column in ("gender", "race", "group"):
        if column not in table:
            table[column] = ""
    return table


def predictions(**columns: object) -> pd.DataFrame:
    """Predictions; 30 ± 10 years, perhaps female, detected unless told otherwise."""
    rows = max((len(c) for c in columns.values() if isinstance(c, list)), default=1)
    path = [f"{i}.jpg" for i in range(rows)]
    defaults = {
        "path": path,
        "age": 30.0,
        "age_low": 20.0,
        "age_high": 40.0,
        "p_female": 0.5,
        "detected": True,
    }
    return pd.DataFrame(defaults | columns)
