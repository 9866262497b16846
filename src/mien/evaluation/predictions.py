"""A prediction for each row of a manifest, and the table they are kept in."""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mien.data.layout import UNREADABLE
from mien.errors import DataError
from mien.types import AgeEstimate, GenderEstimate, GenderLabel, PhotoResult, rounded_years

if TYPE_CHECKING:
    from mien.predictor import Faces, Predictor

COLUMNS = ("path", "age", "age_low", "age_high", "p_female", "detected")


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was predicted for one row of a manifest; numbers are NaN where no face was found.

    Attributes:
        path: As written in the manifest.
        age: Years, to 0.001.
        age_low: Lower end of the age interval.
        age_high: Upper end.
        p_female: In [0, 1], to 0.00001.
        detected: Whether a face was found.
        gender: The label that was given; None where no face was found.
        error: None, or the sentence that says why the picture could not be read.
    """

    path: str
    age: float = math.nan
    age_low: float = math.nan
    age_high: float = math.nan
    p_female: float = math.nan
    detected: bool = False
    gender: GenderLabel | None = None
    error: str | None = None

    @classmethod
    def from_result(cls, path: str, result: PhotoResult) -> "Prediction":
        """The largest face's estimate, rounded as the table has it, so that both give the same figures."""
        if not result.faces:
            return cls(path, error=result.error)
        return cls.of_face(path, result.faces[0].age, result.faces[0].gender)

    @classmethod
    def of_face(cls, path: str, age: AgeEstimate, gender: GenderEstimate) -> "Prediction":
        """One face's estimate, rounded likewise."""
        years, low, high = (rounded_years(number, 3) for number in (age.years, age.low, age.high))
        return cls(path, years, low, high, round(gender.p_female, 5), detected=True, gender=gender.label)

    def to_row(self) -> list[str]:
        """The table's fields, in the order of :data:`COLUMNS`."""
        if not self.detected:
            return [self.path, "", "", "", "", "false"]
        years = [f"{number:.3f}" for number in (self.age, self.age_low, self.age_high)]
        return [self.path, *years, f"{self.p_female:.5f}", "true"]


def predict_manifest(
    table: pd.DataFrame, predictor: "Predictor", *, faces: "Faces" = "aligned"
) -> Iterator[Prediction]:
    """Predict for every row of a manifest, in order.

    Args:
        table: As :func:`~mien.data.manifest.read_manifest` gives it; a column ``name`` holds what to call
            each picture, its ``path`` where there is none.
        predictor: Gives the estimates.
        faces: ``aligned`` takes each picture for a face crop, framed as its row says; ``detect`` looks for
            faces and takes the largest, since the labels speak of a picture's main face.
    """
    names = iter(table["name"] if "name" in table else table["path"])
    for result in _results(table, predictor, faces):
        yield Prediction.from_result(next(names), result)


def _results(table: pd.DataFrame, predictor: "Predictor", faces: "Faces") -> Iterator[PhotoResult]:
    if faces == "detect":
        yield from predictor.predict_many(map(Path, table["path"]), faces="detect")
        return
    rows = zip(table["path"], table["framing"], strict=True)
    for framing, run in groupby(rows, key=itemgetter(1)):
        yield from predictor.predict_many((Path(path) for path, _ in run), faces="aligned", framing=framing)


def write_predictions(predictions: Iterable[Prediction], path: Path) -> Iterator[Prediction]:
    """Write each prediction as soon as it is known, and hand it on.

    Raises:
        DataError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); choose another file.") from None
    with file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for prediction in predictions:
            writer.writerow(prediction.to_row())
            yield prediction


def read_predictions(path: Path) -> pd.DataFrame:
    """Read what :func:`write_predictions` wrote, to score it again.

    Returns:
        The columns of :data:`COLUMNS`; numbers are NaN where no face was found, ``detected`` is boolean.

    Raises:
        DataError: If the file cannot be read or lacks a column.
    """
    try:
        table = pd.read_csv(path, dtype={"path": str})
    except UNREADABLE as error:
        raise DataError(f"{path} is not a readable CSV file ({error}).") from None
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}; write it with 'mien evaluate'.")
    return table
