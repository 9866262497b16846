"""Predictions for the rows of a manifest, and the table that stores them."""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mien.data.layout import UNREADABLE
from mien.errors import DataError
from mien.evaluation.metrics import face_values
from mien.photo_result import PhotoResult
from mien.results import AgeEstimate, GenderEstimate, GenderLabel, rounded_years

if TYPE_CHECKING:
    from mien.predictor import Predictor
    from mien.request import Faces

COLUMNS = ("path", "age", "age_low", "age_high", "p_female", "detected")
"""Columns of the predictions."""

LABELS = {"age_low": "labelled_age_low", "age_high": "labelled_age_high", "gender": "labelled_gender"}
"""Columns of a manifest, and their names in a table of predictions."""

JUDGED = {"error": "age_error", **{name: name for name in ("covered", "bin_correct", "gender_correct")}}
"""Columns of :func:`~mien.evaluation.metrics.face_values`, and their names in a table of predictions."""

MORE_COLUMNS = ("gender", *LABELS.values(), *JUDGED.values(), "group", "reason")
"""Columns that are added to :data:`COLUMNS` if there are labels."""

NO_FACE = "no face was found"
AT_ONCE = 64
"""Number of rows that are compared with the labels and written at once."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Prediction for one row of a manifest; numbers are NaN if no face was found.

    Attributes:
        path: Path as written in the manifest.
        age: Age in years, rounded to 0.001.
        age_low: Lower end of the age interval, likewise.
        age_high: Upper end of the age interval, likewise.
        p_female: In [0, 1], rounded to 0.00001.
        detected: Whether a face was found.
        gender: The predicted label; None if no face was found.
        error: Sentence on why the picture could not be read; None if it could.
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
        """Take the first face's estimate, rounded as in the table, so that both give the same figures.

        The first face is the largest one.
        """
        if not result.faces:
            return cls(path, error=result.error)
        return cls.of_face(path, result.faces[0].age, result.faces[0].gender)

    @classmethod
    def of_face(cls, path: str, age: AgeEstimate, gender: GenderEstimate) -> "Prediction":
        """Take one face's estimate, rounded as in the table."""
        years, low, high = (rounded_years(number, 3) for number in (age.years, age.low, age.high))
        return cls(path, years, low, high, round(gender.p_female, 5), detected=True, gender=gender.label)

    def to_row(self) -> list[str]:
        """Return the table's fields, in the order of :data:`COLUMNS`."""
        if not self.detected:
            return [self.path, "", "", "", "", "false"]
        years = [f"{number:.3f}" for number in (self.age, self.age_low, self.age_high)]
        return [self.path, *years, f"{self.p_female:.5f}", "true"]


def as_table(predictions: Iterable[Prediction]) -> pd.DataFrame:
    """Make the table for the metrics: one row per prediction, with its fields and ``unreadable``."""
    table = pd.DataFrame([asdict(prediction) for prediction in predictions])
    table["unreadable"] = table["error"].notna()
    return table


def predict_manifest(
    table: pd.DataFrame, predictor: "Predictor", *, faces: "Faces" = "aligned"
) -> Iterator[Prediction]:
    """Predict for every row of a manifest, in order.

    Args:
        table: Rows as returned by :func:`~mien.data.manifest.read_manifest`. The optional column ``name``
            replaces ``path`` as the name of each picture.
        predictor: The predictor to run.
        faces: ``aligned`` treats each picture as a face crop with the row's framing. ``detect`` detects faces
            and takes the largest, since labels describe the main face of a picture.
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
        paths = (Path(path) for path, _ in run)
        if framing == "photo":
            yield from predictor.predict_many(paths, faces="detect")
        else:
            yield from predictor.predict_many(paths, faces="aligned", framing=framing)


def write_predictions(
    predictions: Iterable[Prediction], path: Path, labels: pd.DataFrame | None = None
) -> Iterator[Prediction]:
    """Write predictions as they arrive, and yield each.

    Args:
        predictions: Predictions for the rows of a manifest, in order.
        path: The CSV file to write.
        labels: The rows of the manifest, to write labels and errors as well; None for predictions only.

    Raises:
        DataError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); choose another file.") from None
    try:
        with file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS if labels is None else (*COLUMNS, *MORE_COLUMNS))
            start, waiting = 0, list[Prediction]()
            try:
                for prediction in predictions:
                    waiting.append(prediction)
                    if len(waiting) == AT_ONCE:
                        writer.writerows(_rows(waiting, start, labels))
                        start, waiting = start + len(waiting), []
                    yield prediction
            finally:  # keep all predictions, even if the stream stops early
                writer.writerows(_rows(waiting, start, labels))
    except OSError as error:
        raise DataError(
            f"{path} cannot be written any further ({error.strerror}); make room there."
        ) from None


def _rows(predictions: list[Prediction], start: int, labels: pd.DataFrame | None) -> Iterator[list[str]]:
    """Make the table's rows of some predictions; the first one belongs to row ``start`` of the labels."""
    if labels is None or not predictions:
        yield from (prediction.to_row() for prediction in predictions)
        return
    own = labels.iloc[start : start + len(predictions)].reset_index(drop=True)
    values = face_values(own, as_table(predictions))
    for row, prediction in enumerate(predictions):
        labelled = [_text(own[column][row]) for column in LABELS]
        error, *right = (values[column][row] for column in JUDGED)
        judged = ["" if math.isnan(error) else f"{error:.3f}"]
        judged += ["" if math.isnan(value) else str(value > 0).lower() for value in right]
        reason = "" if prediction.detected else prediction.error or NO_FACE
        yield [*prediction.to_row(), prediction.gender or "", *labelled, *judged, own["group"][row], reason]


def _text(label: object) -> str:
    if isinstance(label, float):
        return "" if math.isnan(label) else f"{label:g}"
    return str(label)


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a table written by :func:`write_predictions`.

    Returns:
        The columns of :data:`COLUMNS`; numbers are NaN where no face was found, ``detected`` is boolean.
        Other columns are as they were written; missing texts are empty strings.

    Raises:
        DataError: If the file cannot be read or lacks a column.
    """
    try:
        texts = dict.fromkeys(("path", "gender", "labelled_gender", "group", "reason"), str)
        table = pd.read_csv(path, dtype=texts)
    except UNREADABLE as error:
        raise DataError(f"{path} is not a readable CSV file ({error}).") from None
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}; write it with 'mien evaluate'.")
    _check_values(table, path)
    return table.assign(**{name: table[name].fillna("") for name in texts if name in table})


def _check_values(table: pd.DataFrame, path: Path) -> None:
    numbers = ("age", "age_low", "age_high", "p_female")
    wrong = [name for name in numbers if not pd.api.types.is_numeric_dtype(table[name])]
    wrong += [] if pd.api.types.is_bool_dtype(table["detected"]) or table.empty else ["detected"]
    if wrong:
        raise DataError(f"{path} has values in {', '.join(wrong)} that do not belong there; write it again.")


def stored_predictions(path: Path) -> Iterator[Prediction]:
    """Read the predictions from a table written by :func:`write_predictions`.

    Raises:
        DataError: As for :func:`read_predictions`.
    """
    table = read_predictions(path)
    for column in ("gender", "reason"):
        if column not in table:
            table[column] = ""
    columns = (table[column].tolist() for column in (*COLUMNS, "gender", "reason"))
    for name, age, low, high, p_female, detected, gender, reason in zip(*columns, strict=True):
        error = reason if not detected and reason not in ("", NO_FACE) else None
        yield Prediction(name, age, low, high, p_female, bool(detected), gender or None, error)
