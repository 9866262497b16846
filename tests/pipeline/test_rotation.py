"""Photos on their side or head: coordinates come back in the photo's own frame."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import Predictor
from mien.pipeline.align import CANONICAL_GEOMETRY, extract_chip, transform_from_box, transform_of_face
from mien.pipeline.detect import DlibDetector, TurningDetector, YuNetDetector
from mien.pipeline.detect.preprocessing import CLOSE_UP
from mien.pipeline.detect.rotation import OVERVIEW, turn_back
from mien.pipeline.images import Pixels, read_photo
from mien.results import Box, Face

TURNS = st.integers(0, 3)
SIDES = st.integers(2, 60)
POSITION = st.floats(-50, 100)


class WideOnly:
    """Sees a face in photos that are wider than high, at a fixed place."""

    def __init__(self, *, unsure: bool = False) -> None:
        self.unsure = unsure
        self.seen: list[tuple[int, ...]] = []

    def detect(self, photo: Pixels) -> list[Face]:
        self.seen.append(photo.shape[:2])
        height, width = photo.shape[:2]
        return [Face(Box(10, 5, 30, 25), 0.9, unsure=self.unsure)] if width > height else []


class SeesLight:
    """Sees a face in the middle of every photo, the surer the lighter the photo's upper half."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def detect(self, photo: Pixels) -> list[Face]:
        self.seen.append(photo.shape[:2])
        height, width = photo.shape[:2]
        box = Box(width / 4, height / 4, 3 * width / 4, 3 * height / 4)
        return [Face(box, float(photo[: height // 2].mean()) / 255)]


@given(TURNS, SIDES, SIDES, st.data())
def test_every_pixel_comes_back_to_its_place(
    turns: int, width: int, height: int, data: st.DataObject
) -> None:
    photo = np.arange(width * height).reshape(height, width)
    turned = np.rot90(photo, turns)
    y = data.draw(st.integers(0, turned.shape[0] - 1))
    x = data.draw(st.integers(0, turned.shape[1] - 1))
    box = turn_back(Face(Box(x, y, x + 1, y + 1), 1), turns, width, height).box
    assert photo[int(box.y1), int(box.x1)] == turned[y, x]
    assert (box.width, box.height) == (1, 1)


@given(TURNS, SIDES, SIDES, POSITION, POSITION, st.floats(0.5, 80), st.floats(0.5, 80))
def test_points_keep_their_place_in_the_box(
    turns: int, width: int, height: int, x: float, y: float, w: float, h: float
) -> None:
    corners = ((x, y), (x + w, y), (x + w / 2, y + h / 2), (x, y + h), (x + w, y + h))
    face = turn_back(Face(Box(x, y, x + w, y + h), 1, corners), turns, width, height)
    points = np.array(face.landmarks)
    assert [*points.min(0), *points.max(0)] == pytest.approx([*face.box], abs=1e-6)
    assert points[2] == pytest.approx([(face.box.x1 + face.box.x2) / 2, (face.box.y1 + face.box.y2) / 2])


@given(TURNS, SIDES, SIDES, POSITION, POSITION, st.floats(4, 80))
def test_the_chip_of_a_turned_photo_is_that_of_the_upright_one(
    turns: int, width: int, height: int, x: float, y: float, side: float
) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    upright = np.ascontiguousarray(np.rot90(photo, turns))
    seen = Face(Box(x, y, x + side, y + side), 1)
    chip = extract_chip(
        photo, transform_of_face(turn_back(seen, turns, width, height), CANONICAL_GEOMETRY), 32
    )
    expected = extract_chip(upright, transform_from_box(seen.box, CANONICAL_GEOMETRY), 32)
    assert np.abs(chip.astype(int) - expected).max() <= 2


def test_an_unsure_face_of_a_turned_photo_is_none() -> None:
    assert TurningDetector(WideOnly(unsure=True)).detect(np.zeros((60, 40, 3), np.uint8)) == []


@pytest.mark.parametrize(("light", "looks"), [(255, 1), (220, 4)])
def test_the_close_up_is_searched_in_four_turns_unless_the_upright_face_is_beyond_doubt(
    light: int, looks: int
) -> None:
    detector = SeesLight()
    photo = np.zeros((400, 600, 3), np.uint8)
    photo[:200] = light
    (face,) = TurningDetector(detector).detect(photo)
    assert face.quarter_turns == 0
    assert detector.seen == [(400, 600), *[(CLOSE_UP, CLOSE_UP)] * looks]


def test_a_photo_without_a_face_is_looked_at_in_four_turns_shrunk() -> None:
    detector = WideOnly()
    assert TurningDetector(detector).detect(np.zeros((640, 640, 3), np.uint8)) == []
    assert detector.seen == [(640, 640), *[(OVERVIEW, OVERVIEW)] * 4]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_the_turn_with_the_surest_face_is_taken(turns: int) -> None:
    upright = np.zeros((400, 400, 3), np.uint8)
    upright[:200] = 255
    (face,) = TurningDetector(SeesLight()).detect(np.ascontiguousarray(np.rot90(upright, -turns)))
    assert face.quarter_turns == turns


@pytest.mark.slow
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_that_was_turned_gives_the_faces_of_the_upright_one(astronaut: Path, turns: int) -> None:
    photo = read_photo(astronaut).pixels
    turned = np.ascontiguousarray(np.rot90(photo, -turns))
    (expected,) = DlibDetector().detect(photo)
    (face,) = TurningDetector(DlibDetector()).detect(turned)
    back = turn_back(expected, turns, turned.shape[1], turned.shape[0])
    assert [*face.box] == pytest.approx([*back.box], abs=3)
    assert face.quarter_turns == turns


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_points_of_a_turned_photo_bring_the_face_upright(yunet: Path, astronaut: Path, turns: int) -> None:
    photo = read_photo(astronaut).pixels
    (expected,) = YuNetDetector(yunet).detect(photo)
    chip = extract_chip(photo, transform_of_face(expected, CANONICAL_GEOMETRY), 64)
    turned = np.ascontiguousarray(np.rot90(photo, -turns))
    (face,) = TurningDetector(YuNetDetector(yunet)).detect(turned)
    found = extract_chip(turned, transform_of_face(face, CANONICAL_GEOMETRY), 64)
    assert np.abs(found.astype(int) - chip).mean() < 12


def test_a_predictor_turns_photos_unless_told_otherwise(tiny_model: Path, astronaut: Path) -> None:
    turned = np.ascontiguousarray(np.rot90(read_photo(astronaut).pixels, 1))
    (estimate,) = Predictor(tiny_model, DlibDetector()).predict(turned)
    (upright,) = Predictor(tiny_model, DlibDetector()).predict(astronaut)
    assert estimate.age.years == pytest.approx(upright.age.years, abs=1)
    assert not Predictor(tiny_model, DlibDetector(), rotate=False).predict(turned)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_photo_of_a_small_face_is_answered_as_upright(astronaut: Path, turns: int) -> None:
    photo = read_photo(astronaut).pixels
    predictor = Predictor()
    [upright] = predictor.predict(photo)
    [turned] = predictor.predict(np.ascontiguousarray(np.rot90(photo, turns)))
    assert turned.age.years == pytest.approx(upright.age.years, abs=0.5)
    assert turned.gender.label == upright.gender.label
