"""mien's own detector, on a file that takes white squares for faces."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_detector import POINTS, build_detector, detector_metadata

from mien.errors import DetectorError
from mien.pipeline.detect import MienDetector
from mien.pipeline.detect.nms import MOST_FACES
from mien.pipeline.images import Pixels
from mien.results import Box


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_detector(tmp_path_factory.mktemp("detector") / "tiny.onnx")


def squares(height: int, width: int, *corners: tuple[int, int], side: int = 8) -> Pixels:
    """White squares on black."""
    photo = np.zeros((height, width, 3), np.uint8)
    for x, y in corners:
        photo[y : y + side, x : x + side] = 255
    return photo


def test_a_face_is_found_where_it_is(file: Path) -> None:
    (face,) = MienDetector(file).detect(squares(100, 150, (64, 40)))
    assert face.box == Box(60, 36, 76, 52)
    assert face.score == 1
    assert np.array(face.landmarks) == pytest.approx(np.array([68, 44]) + 8 * np.array(POINTS), abs=1e-4)


def test_boxes_and_points_are_in_the_pixels_of_a_photo_that_was_shrunk(file: Path) -> None:
    (face,) = MienDetector(file, longest_side=64).detect(squares(128, 256, (128, 32), side=32))
    assert np.array([*face.box]) == pytest.approx([112, 16, 176, 80])
    assert face.landmarks is not None
    assert face.landmarks[2] == pytest.approx((144, 51.2))


def test_small_photos_are_not_enlarged(file: Path) -> None:
    (face,) = MienDetector(file, longest_side=2000).detect(squares(20, 20, (8, 8)))
    assert face.box == Box(4, 4, 20, 20)


class Looks:
    """Stands in for the graph: gives one box in each view, and remembers the views."""

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self.boxes = list(boxes)
        self.views: list[tuple[int, ...]] = []

    def run(self, names: list[str], inputs: dict[str, Any]) -> list[Any]:
        self.views.append(inputs["image"].shape[2:])
        box = np.array(self.boxes[len(self.views) - 1], np.float32)
        points = box[:2] + (box[2:] - box[:2]) * (0.5 + np.array(POINTS, np.float32) / 2)
        return [np.array([[0.9]]), box[None, None], points.reshape(1, 1, 10)]


def seen(file: Path, side: int, *boxes: tuple[float, float, float, float]) -> tuple[list[Box], Looks]:
    detector, looks = MienDetector(file), Looks(*boxes)
    detector._session = looks
    return [face.box for face in detector.detect(np.zeros((side, side, 3), np.uint8))], looks


def test_a_large_face_is_where_the_smaller_view_has_it(file: Path) -> None:
    boxes, looks = seen(file, 640, (0, 0, 300, 300), (56, 56, 168, 168))
    assert looks.views == [(640, 640), (224, 224)]
    assert [[*box] for box in boxes] == [pytest.approx([160, 160, 480, 480])]


def test_a_face_that_is_not_large_is_where_the_larger_view_has_it(file: Path) -> None:
    boxes, _ = seen(file, 1280, (100, 100, 200, 200), (34, 34, 70, 70))
    assert [[*box] for box in boxes] == [pytest.approx([200, 200, 400, 400])]


def test_a_face_that_the_views_hold_for_large_and_not_large_is_found(file: Path) -> None:
    boxes, _ = seen(file, 640, (100, 100, 400, 400), (56, 56, 154, 154))  # sides of 300 and 280
    assert [[*box] for box in boxes] == [pytest.approx([160, 160, 440, 440])]


def test_a_small_photo_is_looked_at_once(file: Path) -> None:
    boxes, looks = seen(file, 256, (-30, -30, 300, 300))
    assert looks.views == [(256, 256)]
    assert boxes == [Box(-30, -30, 300, 300)]


@pytest.mark.parametrize(("nms_iou", "count"), [(0.3, 1), (0.4, 2)])
def test_boxes_that_overlap_more_than_the_file_allows_are_one_face(
    tmp_path: Path, nms_iou: float, count: int
) -> None:
    file = build_detector(tmp_path / "tiny.onnx", detector_metadata(nms_iou=nms_iou, threshold=0.9))
    neighbours = squares(64, 64, (16, 24), (24, 24))  # their boxes share a third
    assert len(MienDetector(file).detect(neighbours)) == count


def test_a_higher_threshold_finds_less(file: Path) -> None:
    photo = squares(64, 64, (8, 8)) // 2 + squares(64, 64, (40, 40)) // 4  # scores of 0.5 and 0.25
    assert [len(MienDetector(file, threshold=t).detect(photo)) for t in (0.2, 0.4, 0.6)] == [2, 1, 0]


def test_the_threshold_is_the_files_own_where_none_is_given(file: Path) -> None:
    assert MienDetector(file).threshold == 0.5


def test_scores_below_the_files_bound_are_unsure(tmp_path: Path) -> None:
    file = build_detector(tmp_path / "tiny.onnx", detector_metadata(unsure_below=0.8))
    photo = squares(64, 64, (8, 8)) // 4 * 3 + squares(64, 64, (40, 40))
    assert [face.unsure for face in MienDetector(file).detect(photo)] == [False, True]


def test_every_face_of_a_crowd_is_found(file: Path) -> None:
    corners = [(x, y) for x in range(0, 600, 24) for y in range(0, 480, 24)]
    faces = MienDetector(file, threshold=0.9).detect(squares(480, 600, *corners))
    assert {(face.box.x1 + 4, face.box.y1 + 4) for face in faces} == set(corners)
    assert len(faces) == 500


def test_faces_without_end_are_bounded(file: Path) -> None:
    assert len(MienDetector(file).detect(np.full((640, 640, 3), 255, np.uint8))) <= MOST_FACES


@pytest.mark.parametrize("shape", [(1, 1), (8000, 2), (2, 8000), (33, 31)])
def test_odd_black_photos_have_no_face(file: Path, shape: tuple[int, int]) -> None:
    assert MienDetector(file).detect(np.zeros((*shape, 3), np.uint8)) == []


def test_threads_share_a_detector(file: Path) -> None:
    detector = MienDetector(file)
    photos = [squares(64 + 8 * i, 96, (8 * i, 8)) for i in range(8)]
    alone = [detector.detect(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detector.detect, photos)) == alone


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(DetectorError, match=r"no detector file nowhere\.onnx"):
        MienDetector("nowhere.onnx")


def test_a_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "text.onnx"
    file.write_text("no graph")
    with pytest.raises(DetectorError, match="not an ONNX file"):
        MienDetector(file)


def test_an_age_model_is_refused(tiny_model: Path) -> None:
    with pytest.raises(DetectorError, match="not a detector of mien"):
        MienDetector(tiny_model)


def test_a_threshold_that_is_no_share_is_refused(tmp_path: Path) -> None:
    file = build_detector(tmp_path / "tiny.onnx", detector_metadata(threshold=2))
    with pytest.raises(DetectorError, match="no usable 'threshold'"):
        MienDetector(file)


def test_other_outputs_are_refused(tmp_path: Path) -> None:
    file = build_detector(tmp_path / "tiny.onnx", outputs="points")
    with pytest.raises(DetectorError, match="does not map image to scores, boxes, landmarks"):
        MienDetector(file)


class Portrait:
    """Stands in for the graph: a sure face and a smaller one, which a close-up gives another score."""

    def __init__(self, side: float, score: float, close_up: float) -> None:
        self.answers = [
            ([0.9, score], [[20, 20, 120, 120], [150, 150, 150 + side, 150 + side]]),
            ([close_up, 0.99], [[32, 32, 96, 96], [0, 0, 20, 20]]),
        ]

    def run(self, names: list[str], inputs: dict[str, Any]) -> list[Any]:
        scores, corners = self.answers.pop(0)
        boxes = np.array([corners], np.float32)
        points = boxes[..., None, :2] + (boxes[..., 2:] - boxes[..., :2])[..., None, :] * np.array(POINTS)
        return [np.array([scores]), boxes, points.reshape(1, 2, 10)]


@pytest.mark.parametrize(
    ("side", "score", "close_up", "faces"),
    [
        (30, 0.65, 0.7, 2),  # the close-up confirms it
        (30, 0.65, 0.5, 1),
        (30, 0.75, 0.1, 2),  # clear by itself
        (40, 0.65, 0.1, 2),  # not so small
        (12, 0.5, 0.9, 1),  # tiny and unsure
        (12, 0.65, 0.9, 2),  # tiny, sure, and confirmed
    ],
)
def test_a_small_face_beside_a_large_one_has_to_stand_a_close_up(
    tmp_path: Path, side: float, score: float, close_up: float, faces: int
) -> None:
    file = build_detector(tmp_path / "d.onnx", detector_metadata(unsure_below=0.55, threshold=0.4))
    detector = MienDetector(file)
    detector._session = Portrait(side, score, close_up)
    assert len(detector.detect(np.zeros((200, 200, 3), np.uint8))) == faces


def test_small_faces_among_themselves_need_no_close_up(file: Path) -> None:
    detector = MienDetector(file)
    looks = Looks((20, 20, 40, 40))
    detector._session = looks
    assert len(detector.detect(np.zeros((200, 200, 3), np.uint8))) == 1
    assert len(looks.views) == 1
