"""Pictures at other sizes and angles, beside what OpenCV makes of them."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.pipeline.detect import preprocessing
from mien.pipeline.images import Pixels
from mien.pipeline.resampling import invert, resize, warp

SIZES = [(96, 96), (50, 77), (17, 9), (1, 1)]


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height: int, width: int) -> Pixels:
    return np.asarray(cv2.GaussianBlur(noise(height, width), (0, 0), 3), np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_shrinking_gives_the_means_of_areas(size: tuple[int, int]) -> None:
    photo = noise(203, 151)
    expected = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    assert np.abs(resize(photo, *size).astype(int) - expected).max() <= 1


def test_enlarging_is_linear() -> None:
    photo = noise(7, 5)
    expected = cv2.resize(photo, (20, 21), interpolation=cv2.INTER_LINEAR)
    assert np.abs(resize(photo, 20, 21).astype(int) - expected).max() <= 1


def test_grey_pictures_are_resized_too() -> None:
    photo = noise(60, 40)
    assert np.array_equal(resize(photo[..., 1], 11, 13), resize(photo, 11, 13)[..., 1])


@given(*[st.integers(1, 60)] * 4, st.integers(0, 255))
def test_any_size_keeps_a_plain_picture_plain(h: int, w: int, height: int, width: int, value: int) -> None:
    resized = resize(np.full((h, w, 3), value, np.uint8), width, height)
    assert resized.shape == (height, width, 3) and (resized == value).all()


@given(st.floats(-3, 3), st.floats(0.3, 3), st.floats(-40, 80), st.floats(-40, 80))
def test_warping_interpolates_and_repeats_the_edge(angle: float, scale: float, x: float, y: float) -> None:
    photo = smooth(50, 70)
    matrix = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]) * scale
    matrix[:, 2] = x, y
    to_opencv = matrix.copy()
    to_opencv[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # its pixel centres lie at integers
    expected = cv2.warpAffine(photo, to_opencv, (40, 40), borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(warp(photo, matrix, 40).astype(int) - expected).max() <= 3  # OpenCV 4 rounds positions


def test_a_matrix_and_its_inverse_lead_back() -> None:
    matrix = np.array([[2.0, 0.5, 3.0], [-0.5, 2.0, 7.0]])
    there = matrix @ (5, 6, 1)
    assert invert(matrix) @ (*there, 1) == pytest.approx((5, 6))


@pytest.mark.parametrize("side", [701, 1500, 3003])
def test_the_detectors_view_is_close_to_the_means_of_areas(side: int) -> None:
    photo = smooth(side, side * 3 // 4)
    view, scale = preprocessing.resize(photo, 640)
    expected = cv2.resize(photo, view.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert scale == 640 / side
    assert np.abs(view.astype(int) - expected).mean() < 1.5


def test_the_detectors_view_is_not_shifted() -> None:
    """The blocks of eight rows that are averaged first do not end where the photo does."""
    ramp = np.linspace(0, 255, 90).round().astype(np.uint8)
    photo = np.repeat(np.repeat(ramp[:, None, None], 4000, 1), 3, 2)
    view, _ = preprocessing.resize(photo, 320)
    expected = (np.arange(7) + 0.5) * 255 / 7
    assert view[1:-1, 100, 0] == pytest.approx(expected[1:-1], abs=2)
