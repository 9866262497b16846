"""A predictor that says what it is told to, for manifests of pictures that do not exist."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from mien.pipeline.images import PhotoSource
from mien.pipeline.model import Model
from mien.predictor import Faces, Framing, Predictor
from mien.results import AgeEstimate, Box, Estimate, GenderEstimate, PhotoResult


def estimate(years: float, p_female: float = 0.5, side: float = 100) -> Estimate:
    age = AgeEstimate(years, max(0, years - 10), years + 10, 0.9)
    return Estimate(Box(0, 0, side, side), 1.0, age, GenderEstimate(p_female))


class FakePredictor(Predictor):
    """Answers by file name; a name it does not know is an unreadable picture."""

    def __init__(self, answers: Mapping[str, tuple[Estimate, ...]], model: Path) -> None:
        self.answers = answers
        self.model = Model(model)
        self.coverage = 0.9
        self.gender_threshold: float | None = None
        self.calls: list[tuple[str, str, list[str]]] = []

    def predict_many(
        self,
        photos: Iterable[PhotoSource],
        *,
        faces: Faces = "detect",
        framing: Framing = "utkface",
        coverage: float | None = None,
        thresholds: Sequence[int] = (),
        gender_threshold: float | None = None,
    ) -> Iterator[PhotoResult]:
        names = [Path(str(photo)).name for photo in photos]
        self.calls.append((faces, framing, names))
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
