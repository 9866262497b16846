"""Following people from look to look."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.annotate.tracks import Cuts, Moment, Tracks
from mien.photo_result import PhotoResult
from mien.results import AgeEstimate, Box, Estimate, GenderEstimate

SPACING = 0.2


def face(x: float, y: float, side: float = 60) -> Estimate:
    age = AgeEstimate(1.0, 0.0, 2.0, 0.9, (), (0.25, 0.5, 0.25))
    return Estimate(Box(x, y, x + side, y + side), 0.9, age, GenderEstimate(0.5))


places = st.tuples(st.floats(-50, 600), st.floats(-50, 400), st.floats(1, 300))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.lists(places, max_size=6)), max_size=12))
def test_every_face_has_a_track_of_its_own_and_every_track_ends_once(
    looks: list[tuple[bool, list[tuple[float, float, float]]]],
) -> None:
    tracks, ended, seen = Tracks(SPACING), [], 0
    for i, (cut, boxes) in enumerate(looks):
        faces = tuple(face(*box) for box in boxes)
        numbers = tracks.follow(Moment(i, SPACING * i, cut), PhotoResult("film", 640, 480, faces))
        assert len(set(numbers)) == len(faces)
        seen += len(faces)
        ended += list(tracks.ended())
    ended += list(tracks.close())
    assert sorted(track.number for track in ended) == list(range(1, len(ended) + 1))
    assert sum(len(track.looks) for track in ended) == seen
    assert all(track.first <= track.best_time <= track.last for track in ended)


def test_whoever_is_hidden_for_a_second_keeps_the_track() -> None:
    tracks = Tracks(SPACING)
    numbers = []
    for i in range(20):
        faces = () if 10 <= i < 15 else (face(10.0 + 8 * i, 100),)
        numbers += tracks.follow(Moment(i, SPACING * i, False), PhotoResult("film", 640, 480, faces))
    assert numbers == [1] * 15


def test_whoever_is_away_for_longer_does_not() -> None:
    tracks = Tracks(SPACING)
    numbers = []
    for i in range(40):
        faces = () if 10 <= i < 25 else (face(200, 100),)
        numbers += tracks.follow(Moment(i, SPACING * i, False), PhotoResult("film", 640, 480, faces))
    assert numbers == [1] * 10 + [2] * 15


def test_a_moving_camera_is_no_cut() -> None:
    chance = np.random.default_rng(0)
    wall = np.kron(chance.integers(0, 256, (12, 40, 3)), np.ones((30, 30, 1))).astype(np.uint8)
    cuts = Cuts()
    assert not any(cuts.between(np.ascontiguousarray(wall[:, x : x + 640])) for x in range(0, 500, 10))
    assert cuts.between(255 - wall[:, 490:1130])
