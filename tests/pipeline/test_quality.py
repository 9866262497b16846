"""What is measured on a face, and which reasons follow from it."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.pipeline.align import CANONICAL_GEOMETRY, extract_chip, transform_of_face
from mien.pipeline.images import Pixels, read_photo
from mien.pipeline.quality import BLURRED, CUT_OFF, DARK, PROFILE, SMALL_FACE, Quality, flags_of, measure
from mien.results import Box, Face

FRONTAL = ((30.0, 40.0), (70.0, 40.0), (50.0, 60.0), (35.0, 80.0), (65.0, 80.0))
GOOD = Quality(side=200, outside=0, sharpness=1, brightness=200, asymmetry=0)
ANY_FACE = Face(Box(0, 0, 100, 100), 0.9, FRONTAL)


def quality(**changes: Any) -> Quality:
    values = {name: getattr(GOOD, name) for name in Quality.__slots__}
    return Quality(**values | changes)


@pytest.fixture(scope="module")
def chip(astronaut: Any) -> Pixels:
    face = Face(Box(176, 76, 267, 167), 1)
    return extract_chip(read_photo(astronaut).pixels, transform_of_face(face, CANONICAL_GEOMETRY), 112)


def seen(chip: Pixels, face: Face = ANY_FACE) -> Quality:
    return measure(face, chip, 100, 100)


def test_a_good_face_has_no_flags() -> None:
    assert flags_of(ANY_FACE, GOOD) == ()


@pytest.mark.parametrize(
    ("flag", "bad", "good"),
    [
        ("small_face", {"side": SMALL_FACE - 0.1}, {"side": SMALL_FACE}),
        ("blurred", {"sharpness": BLURRED * 0.99}, {"sharpness": BLURRED}),
        ("dark", {"brightness": DARK - 0.1}, {"brightness": DARK}),
        ("profile", {"asymmetry": PROFILE + 0.01}, {"asymmetry": PROFILE}),
        ("cut_off", {"outside": CUT_OFF + 0.01}, {"outside": CUT_OFF}),
    ],
)
def test_each_flag_has_its_bound(flag: str, bad: dict[str, float], good: dict[str, float]) -> None:
    assert flags_of(ANY_FACE, quality(**bad)) == (flag,)
    assert flags_of(ANY_FACE, quality(**good)) == ()


def test_a_detector_that_is_unsure_gives_low_score() -> None:
    assert flags_of(Face(Box(0, 0, 100, 100), 0.1, unsure=True), GOOD) == ("low_score",)


def test_a_good_portrait_has_no_flags(chip: Pixels) -> None:
    assert flags_of(ANY_FACE, seen(chip)) == ()


def test_blur_makes_a_face_less_sharp(chip: Pixels) -> None:
    blurs = [np.asarray(cv2.GaussianBlur(chip, (0, 0), s), np.uint8) for s in (1, 2, 4, 8)]
    sharpness = [seen(c).sharpness for c in (chip, *blurs)]
    assert sharpness == sorted(sharpness, reverse=True)
    assert flags_of(ANY_FACE, seen(blurs[-1])) == ("blurred",)


def test_less_light_makes_a_face_dark_but_hardly_less_sharp(chip: Pixels) -> None:
    dim = seen(chip // 4)
    assert dim.brightness == pytest.approx(seen(chip).brightness / 4, abs=2)
    assert dim.sharpness == pytest.approx(seen(chip).sharpness, rel=0.3)
    assert "dark" in flags_of(ANY_FACE, seen(chip // 10))


def test_a_plain_picture_can_be_measured() -> None:
    assert seen(np.zeros((48, 48, 3), np.uint8)).sharpness == 0


@pytest.mark.parametrize(
    ("box", "outside"),
    [
        (Box(0, 0, 100, 100), 0),
        (Box(-50, 0, 50, 100), 0.5),
        (Box(75, 75, 175, 125), 0.875),
        (Box(-300, 0, -200, 9), 1),
    ],
)
def test_the_share_beyond_the_photo_is_measured(chip: Pixels, box: Box, outside: float) -> None:
    assert seen(chip, Face(box, 1)).outside == pytest.approx(outside)


def test_a_face_from_the_front_is_symmetric(chip: Pixels) -> None:
    assert seen(chip).asymmetry == pytest.approx(0)


def test_a_nose_below_an_eye_is_an_asymmetry_of_one(chip: Pixels) -> None:
    points = (*FRONTAL[:2], (70.0, 60.0), *FRONTAL[3:])
    assert seen(chip, Face(Box(0, 0, 100, 100), 1, points)).asymmetry == pytest.approx(1)


@given(st.floats(-3.1, 3.1), st.floats(0.1, 20), st.floats(20, 80))
def test_asymmetry_does_not_depend_on_size_and_tilt(angle: float, scale: float, nose: float) -> None:
    points = np.array([*FRONTAL[:2], (nose, 60.0), *FRONTAL[3:]])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    grey = np.full((16, 16, 3), 128, np.uint8)
    faces = [
        Face(Box(0, 0, 9, 9), 1, tuple((float(x), float(y)) for x, y in p)) for p in (points, points @ turn.T)
    ]
    first, second = (measure(face, grey, 9, 9).asymmetry for face in faces)
    assert first == pytest.approx(abs(nose - 50) / 20, abs=1e-6)
    assert second == pytest.approx(first, abs=1e-6)


def test_without_points_there_is_no_asymmetry(chip: Pixels) -> None:
    face = Face(Box(0, 0, 100, 100), 1)
    assert seen(chip, face).asymmetry is None
    assert flags_of(face, quality(asymmetry=None)) == ()


def test_eyes_in_one_place_are_a_profile(chip: Pixels) -> None:
    points = (FRONTAL[0], FRONTAL[0], *FRONTAL[2:])
    assert flags_of(ANY_FACE, quality(asymmetry=seen(chip, Face(Box(0, 0, 9, 9), 1, points)).asymmetry)) == (
        "profile",
    )


def board(side: int) -> Pixels:
    """Black and white pixels in turn."""
    return np.asarray(np.indices((side, side)).sum(0)[..., None].repeat(3, 2) % 2 * 255, np.uint8)


def test_sharpness_is_measured_at_64_pixels_whatever_the_chips_size() -> None:
    assert seen(board(64)).sharpness > 1
    assert seen(board(128)).sharpness == 0  # averaged to grey
    coarse = board(64).repeat(2, axis=0).repeat(2, axis=1)
    assert seen(coarse).sharpness == pytest.approx(seen(board(64)).sharpness)


def test_only_the_middle_of_a_chip_is_measured() -> None:
    framed = np.full((64, 64, 3), 100, np.uint8)
    framed[[0, 1, 2, -3, -2, -1]] = board(64)[[0, 1, 2, -3, -2, -1]]
    framed[:, [0, 1, 2, -3, -2, -1]] = 255
    assert (seen(framed).sharpness, seen(framed).brightness) == (0, 100)


def test_brightness_is_what_a_tenth_of_the_face_exceeds() -> None:
    chip = np.full((64, 64, 3), 50, np.uint8)
    chip[8:14, 8:56] = 200  # an eighth of the middle
    assert seen(chip).brightness == 200
    chip[8:11, 8:56] = 50  # half of that
    assert seen(chip).brightness == 50
