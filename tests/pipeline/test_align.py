"""The crop: where points land, and that nothing odd makes it fail."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.pipeline.align import (
    CANONICAL_GEOMETRY,
    PADDED_LANDMARKS,
    Transform,
    extract_chip,
    transform_from_box,
    transform_from_landmarks,
    transform_of_crop,
    transform_of_face,
)
from mien.results import Box, Face

CANONICAL = np.array(CANONICAL_GEOMETRY.landmarks)


def apply(transform: Transform, points: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(points) @ transform[:, :2].T + transform[:, 2]


def smooth(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * x / width, 255 * y / height, 128 + 0 * x], axis=-1).astype(np.uint8)


@given(st.floats(0.1, 50), st.floats(-3.1, 3.1), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_landmarks_of_any_similar_face_land_on_the_canonical_ones(
    scale: float, angle: float, x: float, y: float
) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = CANONICAL @ turn.T + (x, y)
    assert apply(transform_from_landmarks(points, CANONICAL_GEOMETRY), points) == pytest.approx(
        CANONICAL, abs=1e-6
    )


def test_coinciding_landmarks_are_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        transform_from_landmarks(np.zeros((5, 2)), CANONICAL_GEOMETRY)


def test_box_lands_on_the_canonical_box() -> None:
    left, top, width, height = CANONICAL_GEOMETRY.box
    transform = transform_from_box(Box(30, 50, 130, 150), CANONICAL_GEOMETRY)
    assert apply(transform, [[30, 50], [130, 150]]) == pytest.approx(
        np.array([[left, top], [left + width, top + height]])
    )


def test_face_is_aligned_by_its_landmarks_where_it_has_them() -> None:
    points = tuple((float(x), float(y)) for x, y in 200 * CANONICAL)
    face = Face(Box(0, 0, 10, 10), 1, points)
    assert transform_of_face(face, CANONICAL_GEOMETRY) == pytest.approx(
        np.array([[1 / 200, 0, 0], [0, 1 / 200, 0]])
    )


def test_face_without_landmarks_is_aligned_by_its_box() -> None:
    face = Face(Box(0, 0, 10, 10), 1)
    expected = transform_from_box(face.box, CANONICAL_GEOMETRY)
    assert np.array_equal(transform_of_face(face, CANONICAL_GEOMETRY), expected)


def test_canonical_crop_of_the_chips_size_is_unchanged() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    assert np.array_equal(extract_chip(photo, transform_of_crop(48, 48), 48), photo)


def test_crop_that_is_not_square_gives_its_middle() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    assert np.array_equal(extract_chip(photo, transform_of_crop(80, 48), 48), photo[:, 16:64])


def test_padded_crop_is_brought_to_the_canonical_geometry() -> None:
    transform = transform_of_crop(100, 100, "padded")
    assert apply(transform, 100 * np.array(PADDED_LANDMARKS)) == pytest.approx(CANONICAL, abs=0.015)


def test_chip_shows_the_photo_at_the_transformed_place() -> None:
    photo = smooth(400, 600)
    transform = transform_from_box(Box(200, 100, 300, 200), CANONICAL_GEOMETRY)
    chip = extract_chip(photo, transform, 64)
    x, y = np.linalg.solve(transform[:, :2], (0.5, 0.5) - transform[:, 2])
    assert chip[31:33, 31:33].mean((0, 1)) == pytest.approx([255 * x / 600, 255 * y / 400, 128], abs=1.5)


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((960, 960, 3), np.uint8)
    stripes[:, ::2] = 255
    chip = extract_chip(stripes, transform_of_crop(960, 960), 96)
    assert np.abs(chip.astype(int) - 128).max() <= 2


def test_what_lies_beyond_the_photo_repeats_its_edge() -> None:
    photo = np.full((50, 50, 3), 77, np.uint8)
    chip = extract_chip(photo, transform_from_box(Box(-200, -200, 20, 20), CANONICAL_GEOMETRY), 32)
    assert (chip == 77).all()


@given(
    st.integers(1, 90), st.integers(1, 90), st.floats(-200, 200), st.floats(-200, 200), st.floats(0.5, 400)
)
def test_any_box_gives_a_chip(width: int, height: int, x: float, y: float, side: float) -> None:
    transform = transform_from_box(Box(x, y, x + side, y + side), CANONICAL_GEOMETRY)
    assert extract_chip(smooth(height, width), transform, 32).shape == (32, 32, 3)


@pytest.mark.parametrize("shape", [(1, 1), (2, 8000), (8000, 2), (1, 70000)])
def test_odd_crops_give_a_chip(shape: tuple[int, int]) -> None:
    for framing in ("utkface", "padded"):
        transform = transform_of_crop(shape[1], shape[0], framing)
        assert extract_chip(smooth(*shape), transform, 32).shape == (32, 32, 3)


def test_enlarging_interpolates_between_pixels() -> None:
    steps = np.repeat(np.array([0, 100, 200], np.uint8)[None, :, None], 3, axis=0).repeat(3, axis=2)
    chip = extract_chip(steps, transform_of_crop(3, 3), 30)[15, :, 0].astype(int)
    assert np.diff(chip[5:25]) == pytest.approx(np.full(19, 10), abs=1)


def test_a_chip_of_a_turned_face_is_interpolated_too() -> None:
    ramp = np.tile(np.arange(100, dtype=np.uint8)[None, :, None], (100, 1, 3))
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]) / 60
    transform = np.column_stack([turn, (0.5, 0.5) - turn @ (50, 50)])
    chip = extract_chip(ramp, transform, 120)[..., 0].astype(int)
    assert set(np.abs(np.diff(chip, axis=1)).ravel()) <= {
        0,
        1,
    }  # nearest neighbours would jump by a pixel less often
    assert (np.diff(chip, axis=1) == 1).mean() == pytest.approx(np.cos(0.3) / 2, abs=0.02)


def test_shrinking_averages_all_pixels() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (960, 960, 1), np.uint8).repeat(3, axis=2)
    chip = extract_chip(noise, transform_of_crop(960, 960), 96)
    assert chip[..., 0].std() == pytest.approx(noise.std() / 10, rel=0.1)  # the mean of 100 pixels each
