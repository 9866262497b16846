"""Detectors against marked faces: figures worked out by hand."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from mien.cli import app
from mien.data.boxes import POINTS
from mien.errors import DataError
from mien.evaluation.detection import (
    average_precision,
    evaluate_detectors,
    landmark_error,
    match,
    precision_recall,
    read_boxes,
)
from mien.evaluation.detection_report import to_json, to_markdown
from mien.pipeline.images import Pixels
from mien.results import Box, Face

FIVE = ((20.0, 20.0), (30.0, 20.0), (25.0, 25.0), (20.0, 30.0), (30.0, 30.0))


class Fixed:
    """Gives faces by the width of the picture, if their score reaches the threshold."""

    def __init__(self, faces: dict[int, list[Face]], threshold: float = 0.6) -> None:
        self.faces = faces
        self.threshold = threshold

    def detect(self, photo: Pixels) -> list[Face]:
        return [face for face in self.faces.get(photo.shape[1], []) if face.score >= self.threshold]


def maker(faces: dict[int, list[Face]]) -> Callable[..., Fixed]:
    return lambda **settings: Fixed(faces, **settings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures 100, 110 and 120 px wide; the first has two faces, the second one, the third none."""
    for width in (100, 110, 120):
        Image.new("RGB", (width, 100)).save(tmp_path / f"{width}.png")
    points = ",".join(POINTS)
    five = ",".join(f"{value:g}" for point in FIVE for value in point)
    rows = [
        f"100.png,10,10,50,50,a,{five}",
        "100.png,60,60,80,80,a" + "," * 10,
        "110.png,0,0,40,64,b" + "," * 10,
    ]
    (tmp_path / "boxes.csv").write_text("\n".join([f"image,x1,y1,x2,y2,label,{points}", *rows]) + "\n")
    (tmp_path / "no-face.csv").write_text("image\n120.png\n")
    return tmp_path


FACES = {
    100: [
        Face(
            Box(10, 10, 50, 50), 0.9, tuple((x + 1, y) for x, y in FIVE)
        ),  # off by a tenth of the eyes' distance
        Face(Box(0, 80, 10, 90), 0.8),  # nothing there
        Face(Box(60, 60, 80, 80), 0.3),  # right, but below the threshold
    ],
    110: [Face(Box(0, 0, 40, 32), 0.7)],  # half of a face
    120: [Face(Box(0, 0, 9, 9), 0.65), Face(Box(50, 50, 90, 90), 0.2)],
}


def test_figures_are_those_worked_out_by_hand(folder: Path) -> None:
    table = read_boxes([folder / "boxes.csv", folder / "no-face.csv"])
    evaluation = evaluate_detectors(table, {"fixed": maker(FACES)}, by=["label"])
    score = evaluation.scores["fixed"]
    assert (evaluation.faces, evaluation.pictures, evaluation.empty_pictures) == (3, 3, 1)
    assert score.recall == 1  # of the two faces that are at least 32 px high
    assert score.recall_by_size == {"16-32": 0, "32-64": 1, "64-128": 1}
    assert score.recall_by == {"label": {"a": 1, "b": 1}}
    assert score.precision == pytest.approx(2 / 4)
    assert (score.false_boxes, score.false_per_picture) == (1, 1)
    assert score.landmark_error == pytest.approx(0.1)
    # By score: right, wrong, right (an overlap of exactly 0.5), wrong, right, wrong.
    assert score.average_precision == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_the_report_holds_the_same_figures(folder: Path) -> None:
    table = read_boxes([folder / "boxes.csv", folder / "no-face.csv"])
    evaluation = evaluate_detectors(table, {"fixed": maker(FACES), "blind": maker({})}, by=["label"])
    answer = json.loads(json.dumps(to_json(evaluation)))
    assert answer["detectors"]["fixed"]["precision"] == 0.5
    assert answer["detectors"]["blind"]["recall"] == 0
    assert answer["detectors"]["blind"]["precision"] is None
    lines = to_markdown(evaluation).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith(
        "| fixed | 100.0% | 0.0% | 100.0% | 100.0% | 100.0% | 100.0% | 50.0% | 75.6% | 1 in 1 |"
    )


def test_a_face_is_found_once() -> None:
    overlaps = np.array([[0.9, 0.0], [0.8, 0.4], [0.7, 0.0]])
    assert match(overlaps, 0.35).tolist() == [0, 1, -1]


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 100))
def test_no_face_is_claimed_twice(boxes: int, faces: int, seed: int) -> None:
    rows = match(np.random.default_rng(seed).random((boxes, faces)), 0.3)
    claimed = rows[rows >= 0]
    assert len(rows) == boxes
    assert len(set(claimed.tolist())) == len(claimed)


def test_average_precision_takes_the_best_precision_at_each_recall_or_beyond() -> None:
    curve = precision_recall([(0.9, True), (0.8, False), (0.7, True), (0.6, True)], 4)
    assert curve[0].tolist() == [0.25, 0.25, 0.5, 0.75]
    assert average_precision(*curve) == pytest.approx(0.25 * (1 + 0.75 + 0.75))


def test_equal_scores_do_not_depend_on_their_order() -> None:
    one = precision_recall([(0.9, True), (0.9, False)], 1)
    other = precision_recall([(0.9, False), (0.9, True)], 1)
    assert average_precision(*one) == average_precision(*other) == 0.5


def test_nothing_found_is_an_average_precision_of_zero() -> None:
    assert average_precision(*precision_recall([], 3)) == 0


def test_landmark_error_is_a_share_of_the_eyes_distance() -> None:
    five = np.array(FIVE)
    assert landmark_error(five + np.array([3, 4]), five) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture\na.png\n", "lacks the column image"),
        ("image,x1,y1,x2,y2\na.png,1,2,x,4\n", "x2 that is no number"),
        ("image,x1,y1,x2,y2\na.png,1,2,3,4\na.png,5,5,5,9\n", "empty or half box in line 3"),
        ("image,x1,y1,x2,y2\na.png,1,2,,\n", "empty or half box in line 2"),
        ("image,x1,y1,x2,y2\n", "no picture in"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_boxes([file])


def test_a_missing_table_is_refused() -> None:
    with pytest.raises(DataError, match="is missing or not a table"):
        read_boxes([Path("nowhere.csv")])


def test_an_unknown_split_or_column_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="of the split 'test'"):
        read_boxes([folder / "boxes.csv"], "test")
    with pytest.raises(DataError, match="no column 'race'"):
        evaluate_detectors(read_boxes([folder / "boxes.csv"]), {}, by=["race"])


@pytest.mark.skipif(sys.platform == "win32", reason="there it is how paths are written")
def test_tables_that_windows_wrote_are_understood(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("image,x1,y1,x2,y2\nphotos\\one.jpg,1,1,9,9\n")
    assert list(read_boxes([tmp_path / "boxes.csv"])["image"]) == [str(tmp_path / "photos/one.jpg")]


def test_a_picture_that_cannot_be_read_is_named_and_left_out(folder: Path) -> None:
    (folder / "110.png").write_bytes(b"")
    evaluation = evaluate_detectors(read_boxes([folder / "boxes.csv"]), {"fixed": maker(FACES)})
    assert evaluation.faces == 2
    assert [sentence.split("/")[-1] for sentence in evaluation.unreadable] == [
        "110.png is empty; copy or download it again."
    ]


def test_the_command_prints_a_table_and_writes_a_report(folder: Path) -> None:
    report = folder / "report"
    arguments = [
        "evaluate-detector",
        str(folder / "boxes.csv"),
        "--detector",
        "dlib",
        "--report",
        str(report),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "| dlib | 0.0% |" in done.stdout
    assert {path.name for path in report.iterdir()} == {
        "detectors.json",
        "detectors.md",
        "precision-recall.png",
    }


def test_an_empty_table_of_faces_has_no_recall(folder: Path) -> None:
    evaluation = evaluate_detectors(read_boxes([folder / "no-face.csv"]), {"fixed": maker(FACES)})
    score = evaluation.scores["fixed"]
    assert (score.recall, score.average_precision, score.landmark_error) == (None, None, None)
