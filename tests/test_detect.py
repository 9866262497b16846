"""The detectors: what they find, and what cannot upset them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mien.detect import Detector, DlibDetector, YuNetDetector, _Spares, make_detector
from mien.errors import DetectorError
from mien.images import Pixels, read_photo
from mien.types import Box

FACE = Box(176, 76, 267, 167)


@pytest.fixture(scope="module")
def photo(astronaut: Path) -> Pixels:
    return read_photo(astronaut).pixels


@pytest.fixture(scope="module", params=["dlib", "yunet"])
def detector(request: pytest.FixtureRequest) -> Detector:
    if request.param == "dlib":
        return DlibDetector()
    return YuNetDetector(request.getfixturevalue("yunet"))


def overlap(a: Box, b: Box) -> float:
    width, height = min(a.x2, b.x2) - max(a.x1, b.x1), min(a.y2, b.y2) - max(a.y1, b.y1)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (a.area + b.area - shared)


def test_the_example_has_one_face(detector: Detector, photo: Pixels) -> None:
    faces = detector.detect(photo)
    assert len(faces) == 1
    assert overlap(faces[0].box, FACE) > 0.6


@pytest.mark.parametrize("scale", [0.5, 3])
def test_boxes_are_in_the_photos_own_pixels(detector: Detector, photo: Pixels, scale: float) -> None:
    import cv2

    resized = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    boxes = [face.box for face in detector.detect(resized)]
    assert any(overlap(Box(*(v / scale for v in box)), FACE) > 0.6 for box in boxes)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (8000, 2), (2, 8000), (1, 70000), (480, 640)])
@pytest.mark.parametrize("value", [0, 255])
def test_photos_without_a_face_give_none(detector: Detector, shape: tuple[int, int], value: int) -> None:
    assert detector.detect(np.full((*shape, 3), value, np.uint8)) == []


def test_a_photo_is_left_as_it_is(detector: Detector, photo: Pixels) -> None:
    before = photo.copy()
    detector.detect(photo)
    assert np.array_equal(photo, before)


def test_threads_get_what_one_thread_gets(detector: Detector, photo: Pixels) -> None:
    views = [photo, np.ascontiguousarray(photo[20:400, 40:]), photo[::2, ::2].copy()] * 4
    alone = [detector.detect(view) for view in views]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detector.detect, views)) == alone


def test_yunet_gives_landmarks(yunet: Path, photo: Pixels) -> None:
    landmarks = YuNetDetector(yunet).detect(photo)[0].landmarks
    assert landmarks is not None
    left_eye, right_eye, nose, left_mouth, right_mouth = np.array(landmarks)
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert left_mouth[0] < right_mouth[0]


def test_yunet_prints_nothing(yunet: Path, photo: Pixels, capfd: pytest.CaptureFixture[str]) -> None:
    YuNetDetector(yunet).detect(photo)
    assert capfd.readouterr() == ("", "")


def test_a_higher_threshold_finds_fewer(photo: Pixels) -> None:
    assert DlibDetector(threshold=3).detect(photo) == []


def test_names_make_detectors(yunet: Path) -> None:
    assert isinstance(make_detector("dlib"), DlibDetector)
    assert isinstance(make_detector(f"yunet:{yunet}"), YuNetDetector)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mtcnn", "no detector 'mtcnn'; choose dlib or yunet:PATH"),
        ("", "no detector ''"),
        ("dlib:x", "no detector 'dlib:x'"),
        ("yunet", "write yunet:PATH"),
        ("yunet:/no/such.onnx", "no YuNet file /no/such.onnx"),
    ],
)
def test_other_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        make_detector(name)


def test_files_that_are_no_yunet_are_refused(tmp_path: Path, tiny_model: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    for path in (text, tiny_model):
        with pytest.raises(DetectorError, match="is not a YuNet model"):
            YuNetDetector(path)


def test_spares_are_lent_to_one_thread_at_a_time() -> None:
    spares = _Spares(threading.Lock)
    with spares.lend() as one, spares.lend() as other:
        assert one is not other
    with spares.lend() as again:
        assert again in (one, other)
