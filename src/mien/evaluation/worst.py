"""The faces with the worst errors. A report shows them only on request, since they are people."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from mien.evaluation.result import Evaluation
from mien.pipeline.images import read_photo
from mien.results import whole_percent, whole_years

Floats = npt.NDArray[np.float64]

SIDE = 128
"""Longest side of a picture in the report, in pixels."""


@dataclass(frozen=True, slots=True)
class WorstFace:
    """A face with a bad estimate.

    Attributes:
        name: Name in the manifest.
        labelled: The label, as text.
        estimated: The estimate, as text.
        picture: A JPEG as a data URI.
    """

    name: str
    labelled: str
    estimated: str
    picture: str


def worst_faces(evaluation: Evaluation, count: int) -> list[tuple[str, list[WorstFace]]]:
    """Find the faces with the largest age errors and the most confident gender errors, worst first.

    For an age known as a bin, the error is the distance of the estimate to the nearest end of the bin.

    Args:
        evaluation: The evaluation.
        count: Maximum number of faces in each list.

    Returns:
        Titles and faces of the lists that are not empty.
    """
    labels, predictions = evaluation.labels, evaluation.predictions
    years = predictions["age"].to_numpy(np.float64)
    low, high = (labels[column].to_numpy(np.float64) for column in ("age_low", "age_high"))
    off = np.maximum(low - years, years - high)
    p_female = predictions["p_female"].to_numpy(np.float64)
    wrong_by = np.where(labels["gender"] == "female", 0.5 - p_female, p_female - 0.5)
    wrong_by = np.where(labels["gender"] == "", np.nan, wrong_by)
    lists = (
        ("Largest age errors", [_age(labels, years, row) for row in _largest(off, count)]),
        (
            "Most confident gender errors",
            [_gender(labels, p_female, row) for row in _largest(wrong_by, count)],
        ),
    )
    return [(title, faces) for title, faces in lists if faces]


def _largest(badness: Floats, count: int) -> list[int]:
    """Return the rows with the largest numbers above 0, largest first."""
    order = np.argsort(-np.where(badness > 0, badness, -np.inf), kind="stable")
    return [int(row) for row in order[:count] if badness[row] > 0]


def _age(labels: pd.DataFrame, years: Floats, row: int) -> WorstFace:
    label = labels.iloc[row]
    low, high = label["age_low"], label["age_high"]
    said = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return WorstFace(
        _name(label), f"labelled {said}", f"estimated {whole_years(years[row])}", _picture(label["path"])
    )


def _gender(labels: pd.DataFrame, p_female: Floats, row: int) -> WorstFace:
    label, p = labels.iloc[row], float(p_female[row])
    likelier = "female" if p >= 0.5 else "male"
    estimated = f"estimated {likelier} ({whole_percent(max(p, 1 - p))} %)"
    return WorstFace(_name(label), f"labelled {label['gender']}", estimated, _picture(label["path"]))


def _name(label: "pd.Series[str]") -> str:
    return str(label["name"] if "name" in label else label["path"])


def _picture(path: str) -> str:
    image = Image.fromarray(read_photo(path).pixels)
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
