"""A portrait of one person is one face: at every size, cropped, mirrored, grey or toned, and turned."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mien import Predictor
from mien.pipeline.detect import Detector, MienDetector, TurningDetector
from mien.pipeline.images import Pixels, read_photo
from mien.results import Box, Face

PORTRAITS = sorted((Path(__file__).parent / "photos").glob("*.jpg"))
SIZES = (64, 96, 128, 200, 250, 400, 600, 1000, 1600, 3000)
"""Of the longer side, in pixels."""

TONE = np.array([1.0, 0.82, 0.65])
VIEWS: dict[str, Callable[[Pixels], Pixels]] = {
    "grey": lambda photo: photo,
    "mirrored": lambda photo: np.ascontiguousarray(photo[:, ::-1]),
    "toned": lambda photo: (photo * TONE).astype(np.uint8),
}

portraits = pytest.mark.parametrize("portrait", PORTRAITS, ids=lambda path: path.stem)


@cache
def search() -> TurningDetector:
    return TurningDetector(MienDetector())


@cache
def predictor() -> Predictor:
    return Predictor()


@cache
def pixels(portrait: Path) -> Pixels:
    return read_photo(portrait).pixels


@cache
def face_of(portrait: Path) -> Box:
    """Where the face is, as both looks agree on a portrait of its own size."""
    (face,) = MienDetector().detect(pixels(portrait))
    return face.box


def resized(photo: Pixels, longer_side: int) -> Pixels:
    scale = longer_side / max(photo.shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=how), np.uint8)


def test_there_are_a_dozen_portraits() -> None:
    assert len(PORTRAITS) == 12


@portraits
@pytest.mark.parametrize("view", VIEWS)
def test_a_portrait_of_any_size_is_one_face(portrait: Path, view: str) -> None:
    photo = VIEWS[view](pixels(portrait))
    counts = {size: len(search().detect(resized(photo, size))) for size in SIZES}
    assert counts == dict.fromkeys(SIZES, 1)


@portraits
def test_a_turned_portrait_is_one_face_of_the_same_age(portrait: Path) -> None:
    for size in (128, 250, 600, 1000):
        photo = resized(pixels(portrait), size)
        turned = [predictor().predict(np.ascontiguousarray(np.rot90(photo, k))) for k in range(4)]
        assert [len(faces) for faces in turned] == [1] * 4
        ages = [faces[0].age.years for faces in turned]
        assert ages == pytest.approx([ages[0]] * 4, abs=2), size


@settings(max_examples=60)
@given(
    st.sampled_from(PORTRAITS),
    st.floats(0.8, 2.2),
    st.floats(-0.1, 0.1),
    st.floats(-0.1, 0.1),
    st.integers(96, 1500),
    st.booleans(),
)
@example(PORTRAITS[0], 1.0, 0.0, 0.0, 1000, False)
def test_a_square_crop_is_one_face_down_to_inside_the_face(
    portrait: Path, widths: float, dx: float, dy: float, side: int, mirrored: bool
) -> None:
    box, photo = face_of(portrait), pixels(portrait)
    height, width = photo.shape[:2]
    wanted = round(min(widths * box.height, width, height))
    x = int(np.clip((box.x1 + box.x2 - wanted) / 2 + dx * wanted, 0, width - wanted))
    y = int(np.clip((box.y1 + box.y2 - wanted) / 2 + dy * wanted, 0, height - wanted))
    crop = resized(photo[y : y + wanted, x : x + wanted], side)
    assert len(search().detect(crop[:, ::-1] if mirrored else crop)) == 1


def test_a_couple_is_two_faces() -> None:
    for left, right in zip(PORTRAITS[::2], PORTRAITS[1::2], strict=True):
        a, b = (resized(_close(portrait), 300) for portrait in (left, right))
        couple = np.zeros((480, 640, 3), np.uint8)
        couple[90:390, 15:315], couple[90:390, 325:625] = a, b
        assert len(search().detect(couple)) == 2, (left, right)


def _close(portrait: Path) -> Pixels:
    """A square of 1.2 times the face's height."""
    box, photo = face_of(portrait), pixels(portrait)
    side = round(1.2 * box.height)
    x, y = int(max(0, (box.x1 + box.x2 - side) / 2)), int(max(0, (box.y1 + box.y2 - side) / 2))
    return photo[y : y + side, x : x + side]


def test_a_portrait_in_a_frame_beside_a_head_stays() -> None:
    photo = resized(pixels(PORTRAITS[0]), 600)
    small = resized(pixels(PORTRAITS[1]), 120)
    photo[8 : 8 + small.shape[0], 8 : 8 + small.shape[1]] = small
    assert len(search().detect(photo)) == 2


def test_a_face_on_a_shirt_stays() -> None:
    photo = resized(pixels(PORTRAITS[0]), 1000)
    small = resized(pixels(PORTRAITS[1]), 160)
    height, width = small.shape[:2]
    photo[-height:, 330 : 330 + width] = small
    assert len(search().detect(photo)) == 2


class OneBox:
    """Gives the same boxes whatever the photo."""

    def __init__(self, *boxes: Box) -> None:
        self.boxes = boxes

    def detect(self, photo: Pixels) -> list[Face]:
        return [Face(box, 0.9) for box in self.boxes]


def test_the_face_with_the_largest_part_inside_the_photo_comes_first(tiny_model: Path) -> None:
    beyond, inside = Box(-300, -300, 40, 40), Box(40, 40, 100, 100)
    detector: Detector = OneBox(beyond, inside)
    faces = Predictor(tiny_model, detector, rotate=False).predict(np.zeros((120, 120, 3), np.uint8))
    assert [face.box for face in faces] == [inside, beyond]
