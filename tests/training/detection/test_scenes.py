import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.training.detection.labels import Picture, no_faces
from mien.training.detection.photometry import HIDDEN, hide_faces, spoil
from mien.training.detection.scenes import (
    NewScenes,
    SceneDataset,
    Sources,
    collate,
    crop_photo,
    crop_trap,
    make_scene,
    mosaic,
    paste_faces,
    to_tensors,
    warp,
)

SIDE = 96
COLOURS = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 0], [250, 0, 250]], np.uint8)


def marked_face(side: int = 120) -> Picture:
    """A grey picture with a face box whose five points are dots of five colours."""
    pixels = np.full((side, side, 3), 90, np.uint8)
    points = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.4, 0.7], [0.6, 0.7]]) * side
    for (x, y), colour in zip(points.astype(int), COLOURS, strict=True):
        pixels[y - 4 : y + 5, x - 4 : x + 5] = colour
    box = np.array([[0.2, 0.2, 0.8, 0.85]], np.float32) * side
    return Picture(pixels, box, points[None].astype(np.float32), np.ones(1, np.bool_))


@pytest.fixture(scope="module")
def sources() -> Sources:
    empty = no_faces(np.random.default_rng(0).integers(0, 256, (80, 140, 3), np.uint8))
    lure = np.array([[10, 10, 40, 40]], np.float32)
    trap = Picture(empty.pixels, lure, np.full((1, 5, 2), np.nan, np.float32), np.zeros(1, np.bool_))
    return Sources([marked_face(), marked_face(200)], [empty], [marked_face(60)], [trap])


def colours_at(scene: Picture, face: int) -> list[list[int]]:
    """The scene's pixels at a face's points, -1 beyond its edge."""
    found = []
    for x, y in scene.points[face].astype(int):
        inside = 0 <= x < scene.pixels.shape[1] and 0 <= y < scene.pixels.shape[0]
        found.append(scene.pixels[y, x].astype(int).tolist() if inside else [-1] * 3)
    return found


@given(seed=st.integers(0, 10_000))
def test_points_stay_on_what_they_mark(seed: int) -> None:
    scene = crop_photo(marked_face(), 200, np.random.default_rng(seed))
    centre = (scene.boxes[0, :2] + scene.boxes[0, 2:]) / 2
    mirrored = scene.points[0, 0, 0] > scene.points[0, 1, 0]
    assert not mirrored or abs(scene.points[0, 0] - scene.points[0, 1])[0] < np.ptp(scene.boxes[0])
    assert np.linalg.norm(scene.points[0].mean(0) - centre) < 0.2 * np.linalg.norm(np.ptp(scene.points[0], 0))
    expected = COLOURS if is_like(scene, COLOURS) else COLOURS[[1, 0, 2, 4, 3]]
    assert is_like(scene, expected)


def is_like(scene: Picture, colours: "np.ndarray[tuple[int, int], np.dtype[np.uint8]]") -> bool:
    """Whether every point that lies in the scene shows its colour, or nearly so at an edge."""
    pairs = zip(colours_at(scene, 0), colours.astype(int).tolist(), strict=True)
    return all(min(seen) < 0 or np.abs(np.subtract(seen, colour)).max() < 130 for seen, colour in pairs)


def test_a_mirrored_face_swaps_left_and_right() -> None:
    mirror = np.array([[-1.0, 0, 120], [0, 1, 0]])
    scene = warp(marked_face(), mirror, 120, np.random.default_rng(0))
    assert scene.points[0, 0, 0] < scene.points[0, 1, 0]
    assert scene.points[0, 3, 0] < scene.points[0, 4, 0]


def test_a_face_that_is_mostly_out_of_the_scene_is_left_alone() -> None:
    shift = np.array([[1.0, 0, -80], [0, 1, 0]])
    scene = warp(marked_face(), shift, 120, np.random.default_rng(0))
    assert len(scene.boxes) == 1 and not scene.known[0]


def test_a_face_that_comes_out_tiny_is_left_alone() -> None:
    shrink = np.array([[0.1, 0, 20], [0, 0.1, 20]])
    assert not warp(marked_face(), shrink, 120, np.random.default_rng(0)).known[0]


def test_a_mosaic_shows_four_photos(sources: Sources) -> None:
    scene = mosaic(sources.photos, SIDE, np.random.default_rng(3))
    centres = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2
    assert scene.pixels.shape == (SIDE, SIDE, 3)
    assert len({(x > SIDE / 2, y > SIDE / 2) for x, y in centres}) == 4


def test_pasted_faces_do_not_cover_each_other(sources: Sources) -> None:
    ground = no_faces(np.zeros((SIDE, SIDE, 3), np.uint8))
    scene = paste_faces(ground, sources.faces, 30, np.random.default_rng(0))
    assert len(scene.boxes) > 3
    low = np.maximum(scene.boxes[:, None, :2], scene.boxes[None, :, :2])
    high = np.minimum(scene.boxes[:, None, 2:], scene.boxes[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    np.fill_diagonal(shared, 0)
    areas = (scene.boxes[:, 2:] - scene.boxes[:, :2]).prod(1)
    assert (shared <= 0.15 * np.maximum(areas[:, None], areas[None])).all()


@given(st.integers(0, 1000))
def test_a_cover_leaves_at_least_half_of_a_face(seed: int) -> None:
    face = marked_face()
    covered = (hide_faces(face, np.random.default_rng(seed)) != face.pixels).any(2)
    x1, y1, x2, y2 = face.boxes[0].astype(int)
    assert covered[y1:y2, x1:x2].mean() < 0.5


def test_about_one_face_in_eight_is_covered_in_part() -> None:
    face, random = marked_face(), np.random.default_rng(0)
    covered = sum(bool((hide_faces(face, random) != face.pixels).any()) for _ in range(400))
    assert 400 * HIDDEN * 0.6 < covered < 400 * HIDDEN * 1.4


def test_a_trap_has_no_faces(sources: Sources) -> None:
    assert len(crop_trap(sources.traps[0], SIDE, np.random.default_rng(0)).boxes) == 0


@given(seed=st.integers(0, 10_000))
def test_every_scene_has_the_wished_side_and_finite_boxes(sources: Sources, seed: int) -> None:
    random = np.random.default_rng(seed)
    scene = make_scene(sources, SIDE, random)
    assert spoil(scene.pixels, random).shape == scene.pixels.shape == (SIDE, SIDE, 3)
    assert scene.pixels.dtype == np.uint8
    assert np.isfinite(scene.boxes).all() and (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
    assert len(scene.boxes) == len(scene.points) == len(scene.known)


def test_a_scene_depends_on_its_number_alone(sources: Sources) -> None:
    first, again = (SceneDataset(sources, 4, SIDE, 1) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first[3][::3], again[3][::3], strict=True))
    assert (first[2].images != first[3].images).any()


def test_every_epoch_has_new_scenes() -> None:
    numbers = NewScenes(3)
    first = list(numbers)
    numbers.set_epoch(1)
    assert (first, list(numbers)) == ([0, 1, 2], [3, 4, 5])


def test_a_batch_keeps_all_faces_of_a_crowd_and_pads_the_other_scenes() -> None:
    faces = 300
    crowd = Picture(
        np.zeros((8, 8, 3), np.uint8),
        np.ones((faces, 4), np.float32),
        np.zeros((faces, 5, 2), np.float32),
        np.ones(faces, np.bool_),
    )
    batch = collate([to_tensors(crowd), to_tensors(no_faces(crowd.pixels))])
    assert [(kind == 1).sum() for kind in batch.kind] == [faces, 0]
    assert (batch.kind[1] == -1).all() and batch.points[1].isnan().all()
