"""One face counted once, by size and share of the frame."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.errors import DataError
from mien.evaluation.detection_single import SingleFaces, boxes_of_chip, count_in_pictures, lay_face
from mien.evaluation.detection_single_report import laid_tables
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


@pytest.fixture
def laid(tmp_path: Path) -> tuple[str, str]:
    """A manifest of one face, and a table of one picture without a face."""
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((300, 300, 3), 128, np.uint8))
    cv2.imwrite(str(tmp_path / "face.png"), crop()[:, :, ::-1])
    (tmp_path / "empty.csv").write_text("image\ngrey.png\n")
    (tmp_path / "faces.csv").write_text("path,age\nface.png,59\n")
    return str(tmp_path / "faces.csv"), str(tmp_path / "empty.csv")


def test_the_command_lays_faces_into_pictures_without_one(laid: tuple[str, str]) -> None:
    faces, empty = laid
    command = ["evaluate-detector", empty, "--detector", "mien", "--faces", faces, "--side", "640"]
    answer = CliRunner().invoke(app, [*command, "--share", "0.4", "--share", "0.6"])
    assert answer.exit_code == 0, answer.output
    assert "| exactly one | 0.4 | 0.6 |\n|---|---:|---:|\n| mien, 640 px | 100.0% | 100.0% |" in answer.output


def test_the_report_has_a_row_for_each_cell(laid: tuple[str, str], tmp_path: Path) -> None:
    faces, empty = laid
    command = ["evaluate-detector", empty, "--detector", "mien", "--faces", faces, "--side", "320"]
    options = ["--share", "0.5", "--angle", "0", "--angle", "90", "--report", str(tmp_path / "report")]
    answer = CliRunner().invoke(app, [*command, *options])
    assert answer.exit_code == 0, answer.output
    head, *rows = (tmp_path / "report" / "single-faces.csv").read_text().splitlines()
    assert head.startswith("detector,side,share,angle,pictures,exactly_one,missed,more,")
    assert [row.split(",")[:8] for row in rows] == [
        ["mien", "320", "0.5", "0.0", "1", "1.0", "0", "0"],
        ["mien", "320", "0.5", "90.0", "1", "1.0", "0", "0"],
    ]
    assert "| mien, 320 px, 90° | 100.0% |" in (tmp_path / "report" / "single-faces.md").read_text()


def test_models_are_judged_by_laid_faces(laid: tuple[str, str]) -> None:
    faces, empty = laid
    command = ["evaluate", "--manifest", faces, "--paste-into", empty, "--side", "320", "--share", "0.5"]
    answer = CliRunner().invoke(app, [*command, "--model", "small", "--model", "open"])
    assert answer.exit_code == 0, answer.output
    errors = answer.output.split("| age error, searched for |")[1].split("\n\n")[0]
    assert errors.count("| small, 320 px |") == errors.count("| open, 320 px |") == 1


@pytest.mark.parametrize(
    "other", [["--faces", "detect"], ["--worst", "3", "--report", "r"], ["--recalibrate"]]
)
def test_faces_that_are_laid_have_no_other_figures(laid: tuple[str, str], other: list[str]) -> None:
    faces, empty = laid
    answer = CliRunner().invoke(app, ["evaluate", "--manifest", faces, "--paste-into", empty, *other])
    assert answer.exit_code == 2
    assert "--paste-into" in answer.output


def test_a_row_has_a_detector_and_a_size_and_a_column_a_share() -> None:
    found = SingleFaces(counts=[1, 0, 2, 1], found_errors=[2, 4, 3], given_errors=[3, 3, 6])
    tables = laid_tables([(name, 320, share, 0.0, found) for share in (0.1, 0.2) for name in ("a", "b")])
    one, more, error, cost = tables.split("\n\n")
    assert one == "| exactly one | 0.1 | 0.2 |\n|---|---:|---:|\n" + "\n".join(
        f"| {name}, 320 px | 50.0% | 50.0% |" for name in ("a", "b")
    )
    assert "| a, 320 px | 25.0% | 25.0% |" in more
    assert "| a, 320 px | 3.00 | 3.00 |" in error
    assert "| a, 320 px | −1.00 | −1.00 |" in cost


def test_faces_need_pictures_to_lie_in(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), crop())
    (tmp_path / "faces.csv").write_text("path,age\nface.png,59\n")
    table = tmp_path / "portraits.csv"
    table.write_text(f"image,x1,y1,x2,y2\n{PHOTOS / 'H001063.jpg'},1,1,50,50\n")
    command = ["evaluate-detector", str(table), "--detector", "mien", "--faces", str(tmp_path / "faces.csv")]
    answer = CliRunner().invoke(app, command)
    assert isinstance(answer.exception, DataError)
