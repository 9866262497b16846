import numpy as np
import pytest
from tiny_model import tiny_metadata

from mien.pipeline.estimation import estimate_faces
from mien.pipeline.metadata import GenderCalibration
from mien.request import Request

AGES = (2, 4, 5, 40)


def labels(calibration: GenderCalibration, request: Request) -> list[str]:
    """The labels of faces of 2, 4, 5 and 40 years, each of which is likely female with 0.9."""
    metadata = tiny_metadata().model_copy(update={"gender": calibration})
    mass = np.eye(metadata.age_max - metadata.age_min + 1)[[age - metadata.age_min for age in AGES]]
    faces = estimate_faces(metadata, mass, np.full(len(AGES), 0.9), request)
    return [gender.label for _, gender in faces]


def test_children_below_five_have_a_threshold_of_their_own() -> None:
    calibration = GenderCalibration(unsure_below=0.75, child_unsure_below=1.0)
    assert labels(calibration, Request()) == ["uncertain", "uncertain", "female", "female"]


def test_a_requested_threshold_counts_for_children_too() -> None:
    calibration = GenderCalibration(unsure_below=0.75, child_unsure_below=1.0)
    assert labels(calibration, Request(gender_threshold=0.8)) == ["female"] * 4


@pytest.mark.parametrize("threshold", [0.75, 0.95])
def test_files_without_a_threshold_of_children_have_one_for_all(threshold: float) -> None:
    assert len(set(labels(GenderCalibration(unsure_below=threshold), Request()))) == 1
