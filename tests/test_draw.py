"""Drawings: what is marked, what is left alone, what is written."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.draw import draw_estimates, label_of, save_drawing
from mien.errors import ImageError
from mien.results import AgeEstimate, Box, Estimate, GenderEstimate


def estimate(*box: float) -> Estimate:
    return Estimate(Box(*box), 1.0, AgeEstimate(34.4, 25.1, 43.9, 0.9), GenderEstimate(0.03))


def test_label_names_age_interval_gender_and_probability() -> None:
    assert label_of(estimate(0, 0, 9, 9)) == "apparent age 34 (25-44)\nperceived male 97 %"


def test_label_may_be_numbered() -> None:
    assert label_of(estimate(0, 0, 9, 9), 2).startswith("#2  apparent age 34")


def test_photo_is_left_as_it_is() -> None:
    photo = np.full((400, 500, 3), 90, np.uint8)
    drawn = np.asarray(draw_estimates(photo, [estimate(200, 200, 300, 300)]))
    assert (photo == 90).all()
    assert (drawn != 90).any()
    assert drawn.shape == photo.shape


def test_box_is_drawn_where_the_face_is_and_its_inside_stays() -> None:
    drawn = np.asarray(draw_estimates(np.full((400, 500, 3), 90, np.uint8), [estimate(200, 200, 300, 300)]))
    assert (drawn[200, 200:300] != 90).all()
    assert (drawn[210:290, 210:290] == 90).all()


def test_photo_without_faces_is_unchanged() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    assert np.array_equal(np.asarray(draw_estimates(photo, [])), photo)


def test_small_photo_is_enlarged_by_a_whole_number() -> None:
    drawn = draw_estimates(np.full((100, 120, 3), 90, np.uint8), [estimate(30, 30, 60, 60)])
    assert drawn.size == (480, 400)


@pytest.mark.parametrize("shape", [(1, 1), (2, 8000), (8000, 2), (60, 60), (2000, 3000)])
def test_any_size_of_photo_can_be_drawn_on(shape: tuple[int, int]) -> None:
    faces = [estimate(0, 0, shape[1], shape[0]), estimate(-20, -20, 5, 5)]
    draw_estimates(np.zeros((*shape, 3), np.uint8), faces)


@pytest.mark.parametrize("name", ["drawn.png", "drawn.jpg"])
def test_drawing_is_written_without_metadata(tmp_path: Path, name: str) -> None:
    image = Image.new("RGB", (20, 10))
    image.info["comment"] = b"private"
    image.getexif()[0x010E] = "private"
    save_drawing(image, tmp_path / name)
    assert b"private" not in (tmp_path / name).read_bytes()
    with Image.open(tmp_path / name) as written:
        assert written.size == (20, 10)
        assert not written.getexif()


def test_drawing_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "no").write_text("a file where a folder should be")
    with pytest.raises(ImageError, match=r"no/such\.png cannot be written"):
        save_drawing(Image.new("RGB", (2, 2)), tmp_path / "no" / "such.png")
