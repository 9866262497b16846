"""Panoramas and long screenshots are searched in tiles, all other photos as they are."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien import Predictor
from mien.pipeline.detect import MienDetector, TilingDetector, TurningDetector, make_detector
from mien.pipeline.detect.nms import choose_between
from mien.pipeline.detect.rotation import OVERVIEW
from mien.pipeline.images import Pixels
from mien.results import Box, Face

PHOTOS = sorted((Path(__file__).parents[1] / "photos").glob("*.jpg"))


class SeesLight:
    """Sees what is not black in a photo as one face, even a part of it, and then is sure of it."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def detect(self, photo: Pixels) -> list[Face]:
        self.seen.append(photo.shape[:2])
        rows, columns = np.nonzero(photo[..., 0])
        if not len(rows):
            return []
        x1, y1, x2, y2 = map(float, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        return [Face(Box(x1, y1, x2, y2), 1 / (x2 - x1), ((x1, y1), *[(x2, y2)] * 4))]


@cache
def detector() -> MienDetector:
    return MienDetector()


@cache
def portrait(path: Path, height: int) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((height * 4 // 5, height), Image.Resampling.LANCZOS))


def canvas(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), 128, np.uint8)


def centres(faces: list[Face]) -> list[tuple[float, float]]:
    return sorted(((f.box.x1 + f.box.x2) / 2, (f.box.y1 + f.box.y2) / 2) for f in faces)


@pytest.mark.parametrize("shape", [(480, 640), (400, 600), (360, 640), (640, 360), (300, 717), (90, 225)])
def test_an_ordinary_shape_is_searched_whole(shape: tuple[int, int]) -> None:
    inner = SeesLight()
    TilingDetector(inner).detect(canvas(*shape))
    assert inner.seen == [shape]


@pytest.mark.parametrize(("length", "tiles"), [(251, 2), (300, 2), (301, 3), (800, 7), (5000, 49)])
def test_the_number_of_tiles_grows_with_the_length(length: int, tiles: int) -> None:
    for shape, tile in (((100, length), (100, 200)), ((length, 100), (200, 100))):
        inner = SeesLight()
        TilingDetector(inner).detect(canvas(*shape))
        assert inner.seen == [tile] * tiles


@given(st.integers(251, 1500), st.integers(1, 75), st.integers(1, 100), st.data())
def test_a_face_is_found_once_and_whole_wherever_it_lies(
    length: int, side: int, height: int, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, length - side))
    photo = np.zeros((100, length, 3), np.uint8)
    photo[:height, at : at + side] = 255
    for turned in (False, True):
        seen = np.ascontiguousarray(photo.transpose(1, 0, 2)) if turned else photo
        (face,) = TilingDetector(SeesLight()).detect(seen)
        box = Box(0, at, height, at + side) if turned else Box(at, 0, at + side, height)
        assert face.box == box
        assert face.landmarks == ((box.x1, box.y1), *[(box.x2, box.y2)] * 4)


def test_of_a_face_in_two_views_the_surer_is_kept() -> None:
    weak, sure, other = (Face(Box(x, 0, x + 10, 10), score) for x, score in ((0, 0.5), (1, 0.9), (30, 0.4)))
    assert choose_between([weak, other], [sure]) == ([other], [sure])
    assert choose_between([sure], [weak, other]) == ([sure], [other])
    assert choose_between([sure], [sure]) == ([sure], [])


def test_faces_that_one_view_tells_apart_are_never_merged() -> None:
    near = [Face(Box(x, 0, x + 10, 10), 0.9) for x in (0, 1)]
    assert choose_between(near, []) == (near, [])


@pytest.mark.slow
@pytest.mark.parametrize("turned", [False, True])
def test_all_faces_of_a_long_photo_are_found(turned: bool) -> None:
    """Portraits 320 px high in 8,000x1,000 or 1,000x8,000: 26 px if the whole is shrunk."""
    photo = canvas(8000, 1000) if turned else canvas(1000, 8000)
    for i, path in enumerate(PHOTOS[:8]):
        face = portrait(path, 320)
        y, x = (i * 1000 + 300, 200) if turned else (200, i * 1000 + 300)
        photo[y : y + face.shape[0], x : x + face.shape[1]] = face
    whole, tiled = detector().detect(photo), TilingDetector(detector()).detect(photo)
    assert len(whole) < len(tiled) == 8
    assert len(Predictor(detector=detector()).predict(photo)) == 8


@settings(max_examples=12)
@given(st.integers(0, 1600 - 160), st.sampled_from(PHOTOS[:4]))
def test_a_portrait_anywhere_along_a_panorama_is_one_face(at: int, path: Path) -> None:
    photo, face = canvas(300, 1600), portrait(path, 200)
    photo[50:250, at : at + 160] = face
    ((x, y),) = centres(TilingDetector(detector()).detect(photo))
    assert at < x < at + 160
    assert 50 < y < 250


def test_a_panorama_on_its_side_is_noticed() -> None:
    photo = canvas(400, 3200)
    photo[100:300, 1500:1660] = portrait(PHOTOS[0], 200)
    turned = np.ascontiguousarray(np.rot90(photo, -1))
    (face,) = TurningDetector(TilingDetector(detector())).detect(turned)
    assert face.quarter_turns == 1


def test_the_tiles_of_a_turned_panorama_are_looked_at_as_large_as_other_photos() -> None:
    inner = SeesLight()
    TurningDetector(TilingDetector(inner)).detect(np.zeros((400, 3200, 3), np.uint8))
    assert set(inner.seen) == {(400, 800), (OVERVIEW // 2, OVERVIEW), (OVERVIEW, OVERVIEW // 2)}
    assert len(inner.seen) == 7 * 5


@pytest.mark.parametrize("turns", [0, 1])
def test_an_ordinary_photo_gives_the_same_faces_to_the_bit(astronaut: Path, turns: int) -> None:
    with Image.open(astronaut) as image:
        photo = np.ascontiguousarray(np.rot90(np.asarray(image.convert("RGB"))[:288], turns))
    plain = TurningDetector(detector()).detect(photo)
    assert plain
    assert TurningDetector(TilingDetector(detector())).detect(photo) == plain


def test_more_pixels_find_smaller_faces() -> None:
    photo = canvas(1920, 2560)
    photo[300:364, 300:351] = portrait(PHOTOS[0], 64)
    predictor = Predictor()
    assert not predictor.predict(photo)
    assert len(predictor.predict(photo, longest_side=2560)) == 1


@pytest.mark.parametrize("name", ["mien", "dlib"])
def test_a_detector_for_another_size_is_the_same_as_one_made_so(astronaut: Path, name: str) -> None:
    with Image.open(astronaut) as image:
        photo = np.asarray(image.convert("RGB"))
    own = make_detector(name)
    other = make_detector(name, longest_side=300)
    before = own.detect(photo)
    assert own.with_longest_side(300).detect(photo) == other.detect(photo) != before
    assert own.detect(photo) == before


def test_a_detector_of_ones_own_takes_no_size() -> None:
    predictor = Predictor(detector=SeesLight())
    with pytest.raises(ValueError, match=r"^longest_side is for mien's own detectors"):
        predictor.predict(canvas(40, 40), longest_side=640)
    assert len(predictor.predict(canvas(40, 40))) == 1
