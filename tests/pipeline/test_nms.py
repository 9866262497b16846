"""From a net's overlapping boxes to one face each."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.pipeline.detect.nms import (
    choose_faces,
    form_faces,
    intersection_over_smaller,
    intersection_over_union,
)
from mien.results import Face

POINTS = np.array([[2, 3], [8, 3], [5, 5], [3, 8], [7, 8]], float)

boxes_of_a_crowd = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 20), st.floats(0, 1)),
    min_size=1,
    max_size=30,
)


def choose(boxes: Sequence[Sequence[float]], scores: Sequence[float], nms_iou: float = 0.4) -> list[Face]:
    corners = np.array(boxes, float).reshape(-1, 4)
    sides = (corners[:, 2:] - corners[:, :2])[:, None]
    points = POINTS / 10 * sides + corners[:, None, :2]
    return choose_faces(corners, scores, points, size=(400, 400), scale=1.0, nms_iou=nms_iou)


@pytest.mark.parametrize("angle", [0, 45, 90, 180, 270])
def test_the_points_of_a_face_form_one_at_any_angle(angle: float) -> None:
    turn = np.deg2rad(angle)
    points = (POINTS - 5) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + 5
    assert form_faces(np.array([[0, 0, 10, 10]]), points[None]).all()


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(POINTS * [-1, 1] + [10, 0], id="mirrored"),
        pytest.param(POINTS * [1, 0.1] + [0, 4], id="mouth on the eyes"),
        pytest.param(POINTS + 20, id="outside"),
    ],
)
def test_a_box_whose_points_do_not_form_a_face_is_none(points: npt.NDArray[np.float64]) -> None:
    assert not form_faces(np.array([[0, 0, 10, 10]]), points[None]).any()


def test_a_profile_forms_a_face() -> None:
    points = np.array([[6, 3], [6.2, 3], [8, 5], [6, 7.5], [6.1, 7.5]])
    assert form_faces(np.array([[0, 0, 10, 10]]), points[None]).all()


@pytest.mark.parametrize(("left", "found"), [(-30, 1), (-70, 0)])
def test_a_box_mostly_outside_the_photo_is_no_face(left: int, found: int) -> None:
    assert len(choose([[left, 0, left + 100, 100]], [0.9])) == found


def test_overlap_is_shared_over_joint_area() -> None:
    a = np.array([[0, 0, 10, 10], [3, 3, 3, 3]])
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]])
    expected = [[1, 1 / 3, 0, 0], [0, 0, 0, 0]]
    assert intersection_over_union(a, b) == pytest.approx(np.array(expected))


def test_a_face_lies_at_the_mean_of_its_boxes_weighted_by_score() -> None:
    (face,) = choose([[0, 0, 10, 10], [1, 0, 11, 10]], [0.9, 0.3])
    assert np.array([*face.box]) == pytest.approx([0.25, 0, 10.25, 10])
    assert np.array(face.landmarks) == pytest.approx(POINTS + np.array([0.25, 0]))


def test_the_score_of_a_face_is_that_of_its_surest_box() -> None:
    (face,) = choose([[1, 0, 11, 10], [0, 0, 10, 10]], [0.3, 0.9])
    assert face.score == 0.9


def test_a_box_counts_for_one_face_alone() -> None:
    left, right = choose([[0, 0, 10, 10], [10, 0, 20, 10], [1, 0, 11, 10]], [0.9, 0.8, 0.7], 0.05)
    assert left.box.x1 > 0
    assert [*right.box] == pytest.approx([10, 0, 20, 10])


def test_boxes_without_a_score_have_a_place() -> None:
    assert len(choose([[0, 0, 10, 10], [1, 0, 11, 10]], [0, 0])) == 1


@pytest.mark.parametrize("scores", [(0.9, 0.6), (0.6, 0.9)])
def test_a_box_in_or_around_a_surer_one_is_of_the_same_face_and_moves_nothing(
    scores: tuple[float, float],
) -> None:
    boxes = [[10, 10, 90, 110], [0, 0, 129, 160]]
    (face,) = choose(boxes, scores)
    assert [*face.box] == pytest.approx(boxes[int(np.argmax(scores))])
    assert face.score == 0.9


def test_a_small_box_that_lies_half_in_a_large_one_stays() -> None:
    assert len(choose([[0, 0, 100, 100], [90, 40, 110, 60]], [0.9, 0.6])) == 2


def test_overlap_with_the_smaller_box_is_one_where_it_lies_inside() -> None:
    a = np.array([[0, 0, 10, 10], [3, 3, 3, 3]])
    b = np.array([[2, 2, 4, 4], [5, 0, 15, 10], [20, 20, 30, 30]])
    assert intersection_over_smaller(a, b) == pytest.approx(np.array([[1, 0.5, 0], [0, 0, 0]]))


@pytest.mark.parametrize("broken", [[np.nan, 0, 10, 10], [0, 0, np.inf, 10], [10, 0, 0, 10]])
def test_a_broken_box_moves_no_other(broken: list[float]) -> None:
    (face,) = choose([[0, 0, 10, 10], broken], [0.9, 0.8])
    assert [*face.box] == pytest.approx([0, 0, 10, 10])


@given(boxes_of_a_crowd, st.floats(0, 1))
def test_faces_come_surest_first_and_none_is_lost(
    crowd: list[tuple[int, int, int, float]], nms_iou: float
) -> None:
    given_scores = [score for *_, score in crowd]
    found = [
        face.score for face in choose([[x, y, x + s, y + s] for x, y, s, _ in crowd], given_scores, nms_iou)
    ]
    assert found == sorted(found, reverse=True)
    assert max(found) == max(given_scores)
