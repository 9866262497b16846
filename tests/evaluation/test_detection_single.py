"""One face counted once, by size and share of the frame."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.errors import DataError
from mien.evaluation.detection_single import SingleFaces, boxes_of_chip, count_in_pictures, lay_face
from mien.pipeline.align import extract_chip
from mien.pipeline.images import Pixels, read_photo
from mien.results import Box, Face

PHOTOS = Path(__file__).parents[1] / "photos"


def crop() -> Pixels:
    return read_photo(PHOTOS / "H001063.jpg").pixels[:200]


@pytest.mark.parametrize("share", [0.3, 1.0, 1.5])
@pytest.mark.parametrize("angle", [0, 90, 180, 30])
def test_the_chip_of_a_laid_face_is_its_crop(share: float, angle: float) -> None:
    grey = np.full((320, 320, 3), 128, np.uint8)
    picture, to_chip = lay_face(crop(), "utkface", grey, share, angle)
    assert picture.shape == (320, 320, 3)
    middle = slice(20, 44)
    chip, expected = extract_chip(picture, to_chip, 64), extract_chip(crop(), np.eye(2, 3) / 200, 64)
    assert np.abs(chip[middle, middle].astype(int) - expected[middle, middle]).mean() < 6


def test_boxes_elsewhere_are_not_of_the_face() -> None:
    _, to_chip = lay_face(crop(), "utkface", np.zeros((100, 100, 3), np.uint8), 0.4, 0)
    inside, around, elsewhere = (
        Face(Box(*b), 1) for b in ((35, 35, 65, 65), (20, 20, 80, 80), (0, 0, 20, 20))
    )
    assert boxes_of_chip([inside, around, elsewhere], to_chip, 100) == [inside, around]


def test_one_is_the_share_of_pictures_with_one_box() -> None:
    assert SingleFaces(counts=[1, 0, 2, 1]).one == 0.5


def test_pictures_are_resized_to_each_side() -> None:
    class Seen:
        shapes: list[tuple[int, ...]] = []  # noqa: RUF012

        def detect(self, photo: Pixels) -> list[Face]:
            self.shapes.append(photo.shape[:2])
            return []

    rows = list(count_in_pictures([str(PHOTOS / "H001063.jpg")], {"seen": Seen()}, (100, 500)))
    assert [(name, side, found.counts) for name, side, found in rows] == [
        ("seen", 100, [0]),
        ("seen", 500, [0]),
    ]
    assert Seen.shapes == [(100, 80), (500, 400)]


def test_the_command_counts_portraits_by_size(tmp_path: Path) -> None:
    table = tmp_path / "portraits.csv"
    table.write_text(f"image\n{PHOTOS / 'H001063.jpg'}\n")
    answer = CliRunner().invoke(app, ["evaluate-detector", str(table), "--detector", "mien", "--one-face"])
    assert answer.exit_code == 0, answer.output
    assert "| mien | 100.0% |" in answer.output


@pytest.mark.slow
def test_the_command_lays_faces_into_pictures_without_one(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((300, 300, 3), 128, np.uint8))
    cv2.imwrite(str(tmp_path / "face.png"), crop()[:, :, ::-1])
    (tmp_path / "empty.csv").write_text("image\ngrey.png\n")
    (tmp_path / "faces.csv").write_text("path,age\nface.png,59\n")
    command = ["evaluate-detector", str(tmp_path / "empty.csv"), "--detector", "mien"]
    answer = CliRunner().invoke(app, [*command, "--faces", str(tmp_path / "faces.csv")])
    assert answer.exit_code == 0, answer.output
    assert "| mien | 640 px | 0.4 | 0° | 100.0% | 0 | 0 |" in answer.output


def test_faces_need_pictures_to_lie_in(tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_text("path,age\nface.png,59\n")
    table = tmp_path / "portraits.csv"
    table.write_text(f"image,x1,y1,x2,y2\n{PHOTOS / 'H001063.jpg'},1,1,50,50\n")
    command = ["evaluate-detector", str(table), "--detector", "mien", "--faces", str(tmp_path / "faces.csv")]
    answer = CliRunner().invoke(app, command)
    assert isinstance(answer.exception, DataError)
