from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_fakes import face_table, noise_in
from PIL import Image
from typer.testing import CliRunner

from mien.cli.data import app
from mien.data.crop import crop_faces, look_like_photos
from mien.data.manifest import read_manifest
from mien.errors import DataError
from mien.pipeline.align import CANONICAL_GEOMETRY
from mien.pipeline.detect import MienDetector
from mien.pipeline.images import Pixels, read_photo
from mien.results import Box, Face


class TwoFaces:
    """Sees a small face on the left of every photo and a large one on the right, without points."""

    def detect(self, photo: Pixels) -> list[Face]:
        return [Face(Box(0, 0, 20, 20), 0.9), Face(Box(100, 0, 160, 60), 0.8)]


class NoFace:
    def detect(self, photo: Pixels) -> list[Face]:
        return []


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, 90:] = 200
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def brightness(table: pd.DataFrame) -> list[float]:
    return [float(read_photo(path).pixels.mean()) for path in table["path"]]


def test_the_largest_face_is_cut_out(photo: Path, tmp_path: Path) -> None:
    table, left_out = crop_faces(face_table([photo]), TwoFaces(), tmp_path / "crops")
    assert not left_out and brightness(table) == [pytest.approx(200, abs=2)]
    assert read_photo(table["path"][0]).pixels.shape == (200, 200, 3)
    assert (table["photo"][0], table["framing"][0], table["age"][0]) == (str(photo), "utkface", 30)


def test_the_face_in_the_rows_box_is_cut_out(photo: Path, tmp_path: Path) -> None:
    rows = face_table([photo, photo], x1=["2", ""], y1=["1", ""], x2=["21", ""], y2=["22", ""])
    table, _ = crop_faces(rows, TwoFaces(), tmp_path / "crops")
    assert brightness(table) == [pytest.approx(0, abs=2), pytest.approx(200, abs=2)]
    assert len(set(table["path"])) == 2 and "x1" not in table


def test_a_box_in_which_no_face_is_found_is_cut_out_itself(photo: Path, tmp_path: Path) -> None:
    rows = face_table([photo], x1=["120"], y1=["10"], x2=["180"], y2=["70"])
    table, left_out = crop_faces(rows, NoFace(), tmp_path / "crops")
    assert not left_out and brightness(table) == [pytest.approx(200, abs=2)]


def test_a_box_that_is_none_is_refused(photo: Path, tmp_path: Path) -> None:
    rows = face_table([photo], x1=["9"], y1=["0"], x2=["3"], y2=["8"])
    with pytest.raises(DataError, match=r"has the box 9, 0, 3, 8; give x1, y1, x2, y2 in pixels"):
        crop_faces(rows, TwoFaces(), tmp_path / "crops")


def test_photos_without_a_face_are_left_out(photo: Path, tmp_path: Path) -> None:
    rows = face_table([photo, tmp_path / "missing.png"])
    with pytest.raises(DataError, match="no face was found in any of 2 photos"):
        crop_faces(rows, NoFace(), tmp_path / "crops")
    _, left_out = crop_faces(rows, TwoFaces(), tmp_path / "crops")
    assert list(left_out) == [str(tmp_path / "missing.png")]


def test_the_command_leaves_crops_that_a_model_can_be_trained_on(
    astronaut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise_in(tmp_path)("noise.png", 1)
    (tmp_path / "own.csv").write_text(f"path,age,gender\n{astronaut},41,female\nnoise.png,3,male\n")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["crop", "own.csv", "--output", "cut"])
    assert result.exit_code == 1 and "noise.png: no face found" in result.stderr
    table = read_manifest(tmp_path / "cut" / "faces.csv")
    face = MienDetector().detect(read_photo(table["path"][0]).pixels)[0]
    assert face.landmarks is not None
    assert np.abs(np.array(face.landmarks) / 200 - np.array(CANONICAL_GEOMETRY.landmarks)).max() < 0.05


def test_photos_are_told_from_crops(astronaut: Path, tmp_path: Path) -> None:
    photos = []
    for i in range(10):
        photos.append(tmp_path / f"{i}.jpg")
        Image.fromarray(read_photo(astronaut).pixels).save(photos[-1], quality=90 - i)
    detector = MienDetector()
    assert look_like_photos(face_table(photos), detector)
    crops, _ = crop_faces(face_table(photos), detector, tmp_path / "crops")
    assert not look_like_photos(crops, detector)
