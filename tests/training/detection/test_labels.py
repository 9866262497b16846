from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mien.data.boxes import POINTS as COLUMNS
from mien.errors import DataError
from mien.pipeline.detect import MienDetector
from mien.pipeline.detect.nms import intersection_over_union
from mien.pipeline.images import Pixels
from mien.results import Box, Face
from mien.training.detection.labels import (
    box_of_points,
    cached,
    find_traps,
    identify,
    label_face,
    label_photo,
    label_photos,
    no_faces,
)
from mien.training.detection.photo_tables import read_photo_tables

POINTS = ((12.0, 14.0), (22.0, 14.0), (17.0, 20.0), (13.0, 25.0), (21.0, 25.0))


class Teacher:
    """Sees the same face in every photo, at the given share of its width."""

    def __init__(self, score: float, at: float = 0.1) -> None:
        self.score, self.at = score, at
        self.path: Path | None = None

    def detect(self, photo: Pixels) -> list[Face]:
        scale = photo.shape[1] / 100
        x = 100 * self.at * scale
        box = Box(x, 10 * scale, x + 20 * scale, 30 * scale)
        points = tuple((px * scale + x - 10 * scale, py * scale) for px, py in POINTS)
        return [Face(box, self.score, points)]


def photo() -> Pixels:
    return np.zeros((60, 100, 3), np.uint8)


def test_a_labelled_face_gets_the_teachers_points_and_half_of_its_box() -> None:
    labelled = np.array([[10, 10, 30, 34]], np.float32)
    picture = label_photo(photo(), labelled, [Teacher(0.9)])
    assert picture.boxes.tolist() == [[10, 10, 30, 32]]
    assert picture.points[0] == pytest.approx(np.array(POINTS))
    assert picture.known.tolist() == [True]


def test_a_labelled_face_that_no_teacher_sees_keeps_its_box_without_points() -> None:
    picture = label_photo(photo(), np.array([[60, 10, 90, 40]], np.float32), [Teacher(0.5)])
    assert picture.boxes[0].tolist() == [60, 10, 90, 40]
    assert np.isnan(picture.points[0]).all() and picture.known[0]


@pytest.mark.parametrize(("score", "known"), [(0.9, True), (0.5, False)])
def test_an_unlabelled_face_is_learned_only_if_the_teacher_is_sure(score: float, known: bool) -> None:
    picture = label_photo(photo(), np.empty((0, 4), np.float32), [Teacher(score)])
    assert picture.known.tolist() == [known]


def test_what_teachers_hardly_see_is_nothing() -> None:
    assert len(label_photo(photo(), np.empty((0, 4), np.float32), [Teacher(0.1)]).boxes) == 0


def test_two_teachers_see_one_face_once() -> None:
    picture = label_photo(photo(), np.empty((0, 4), np.float32), [Teacher(0.9), Teacher(0.8, at=0.11)])
    assert len(picture.boxes) == 1


def test_an_unlabelled_face_that_one_of_two_teachers_sees_is_left_alone() -> None:
    picture = label_photo(photo(), np.empty((0, 4), np.float32), [Teacher(0.9), Teacher(0.9, at=0.6)])
    assert picture.known.tolist() == [False, False]


def test_an_unlabelled_face_that_two_teachers_see_is_learned_as_the_first_one_marks_it() -> None:
    picture = label_photo(photo(), np.empty((0, 4), np.float32), [Teacher(0.5), Teacher(0.9, at=0.11)])
    assert picture.known.tolist() == [True]
    assert picture.boxes.tolist() == [[10, 10, 30, 30]]


def test_peoples_points_are_averaged_with_the_teachers() -> None:
    labelled, own = np.array([[8, 8, 30, 34]], np.float32), np.array([POINTS], np.float32) + 2
    picture = label_photo(photo(), labelled, [Teacher(0.9)], own)
    assert picture.points[0] == pytest.approx(np.array(POINTS) + 1)


def test_points_that_no_teacher_confirms_stay_as_people_set_them() -> None:
    own = np.array([POINTS], np.float32) + 50
    picture = label_photo(photo(), np.array([[60, 10, 90, 40]], np.float32), [Teacher(0.9)], own)
    assert np.array_equal(picture.points[0], own[0])


def test_tiny_labelled_faces_are_left_alone() -> None:
    picture = label_photo(photo(), np.array([[60, 10, 66, 16]], np.float32), [Teacher(0.9)])
    assert picture.known.tolist() == [False, True]


def test_an_aligned_face_that_no_teacher_sees_has_the_geometrys_points() -> None:
    picture = label_face(np.zeros((200, 200, 3), np.uint8), "utkface", [Teacher(0.9, at=0.9)])
    assert picture.points[0, 0] == pytest.approx([58.5, 56.7], abs=0.1)
    assert picture.known[0] and intersection_over_union(
        picture.boxes, np.array([[34, 18, 162, 176]], np.float32)
    ) > [[0.7]]


def test_traps_are_what_a_detector_sees_where_no_face_is() -> None:
    [trap] = find_traps([no_faces(photo())], Teacher(0.25))
    assert trap.boxes.tolist() == [[10, 10, 30, 30]] and not trap.known.any()


def test_labels_are_read_back_as_they_were_kept(tmp_path: Path) -> None:
    pictures = [
        label_photo(photo(), np.array([[10, 10, 30, 30]], np.float32), [Teacher(0.9)]),
        no_faces(np.full((7, 5, 3), 9, np.uint8)),
    ]
    cached(tmp_path / "labels.npz", lambda: pictures, 2)
    again = cached(tmp_path / "labels.npz", lambda: pytest.fail("made twice"), 2)
    for one, other in zip(pictures, again, strict=True):
        for part in ("pixels", "boxes", "points", "known"):
            assert np.array_equal(getattr(one, part), getattr(other, part), equal_nan=part == "points")


def test_labels_are_kept_apart_by_the_teachers_file_the_pictures_and_the_boxes(folder: Path) -> None:
    table, cache, teacher = read_photo_tables([folder]).boxes, folder / "cache", Teacher(0.9)

    def files(table: pd.DataFrame = table) -> int:
        label_photos(table, [teacher], cache)
        return len(list(cache.iterdir()))

    teacher.path = folder / "teacher.onnx"
    teacher.path.write_bytes(b"one")
    assert (files(), files()) == (1, 1)
    teacher.path.write_bytes(b"other")
    assert files() == 2
    Image.new("RGB", (40, 40)).save(folder / "3.png")
    assert files() == 3
    assert files(table.assign(x2=table["x2"] + 1)) == 4


@pytest.mark.parametrize(
    ("one", "other"), [({"threshold": 0.3}, {"threshold": 0.4}), ({}, {"longest_side": 320})]
)
def test_teachers_of_other_settings_are_others(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert identify(MienDetector(**one)) != identify(MienDetector(**other))
    assert identify(MienDetector(**one)) == identify(MienDetector(**one))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(random.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "again.png").write_bytes((tmp_path / "0.png").read_bytes())
    rows = [{"image": f"{i}.png", "x1": 1, "y1": 1, "x2": 9, "y2": 9} for i in (*range(12), 0)]
    rows[-1]["image"] = "again.png"
    pd.DataFrame(rows).to_csv(tmp_path / "boxes.csv", index=False)
    pd.DataFrame({"image": [f"{i}.png" for i in range(6)]}).to_csv(tmp_path / "no-face.csv", index=False)
    return tmp_path


def test_the_same_picture_is_on_one_side(folder: Path) -> None:
    tables = read_photo_tables([folder])
    sides = tables.boxes.set_index("image")["split"]
    assert sides[str(folder / "0.png")] == sides[str(folder / "again.png")]
    assert set(tables.boxes["split"]) | set(tables.empty["split"]) <= {"train", "validation"}


def test_a_split_that_a_table_has_is_kept(folder: Path) -> None:
    table = pd.read_csv(folder / "boxes.csv").assign(split=["validation", *["train"] * 12])
    table.to_csv(folder / "boxes.csv", index=False)
    assert list(read_photo_tables([folder]).boxes["split"]) == list(table["split"])


def test_folders_are_joined_and_each_may_hold_any_of_the_tables(folder: Path, tmp_path: Path) -> None:
    (more := tmp_path / "more").mkdir()
    Image.new("RGB", (40, 40)).save(more / "street.png")
    pd.DataFrame({"image": ["street.png"]}).to_csv(more / "unlabelled.csv", index=False)
    tables = read_photo_tables([folder, more])
    assert list(tables.unlabelled["image"]) == [str(more / "street.png")]
    assert len(tables.boxes) == 13


def test_of_a_photo_without_labels_the_teachers_faces_are_known(folder: Path) -> None:
    pd.DataFrame({"image": ["0.png"]}).to_csv(folder / "unlabelled.csv", index=False)
    [picture] = label_photos(read_photo_tables([folder]).unlabelled, [Teacher(0.9)], folder / "cache")
    assert picture.boxes == pytest.approx(np.array([[4, 4, 12, 12]])) and picture.known.tolist() == [True]


def test_a_missing_box_follows_from_the_points(folder: Path) -> None:
    row = {"image": "0.png", **dict.fromkeys(("x1", "y1", "x2", "y2"))}
    row |= dict(zip(COLUMNS, [coordinate for point in POINTS for coordinate in point], strict=True))
    pd.DataFrame([row]).to_csv(folder / "boxes.csv", index=False)
    [picture] = label_photos(read_photo_tables([folder]).boxes, [Teacher(0.9, at=0.9)], folder / "cache")
    assert picture.boxes[0] == pytest.approx(box_of_points(np.array(POINTS, np.float32)))
    x1, y1, x2, y2 = picture.boxes[0]
    assert all(x1 < x < x2 and y1 < y < y2 for x, y in POINTS)


def test_a_missing_table_is_named(folder: Path) -> None:
    (folder / "no-face.csv").unlink()
    with pytest.raises(DataError, match=r"no-face\.csv is missing"):
        read_photo_tables([folder])


def test_a_missing_column_is_named(folder: Path) -> None:
    pd.DataFrame({"image": ["0.png"], "x1": [1]}).to_csv(folder / "boxes.csv", index=False)
    with pytest.raises(DataError, match=r"boxes\.csv lacks the columns x2, y1, y2"):
        read_photo_tables([folder])
