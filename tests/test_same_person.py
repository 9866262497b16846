"""``mien predict --same-person``."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from mien import Predictor, fuse
from mien.cli import app


@pytest.fixture
def photos(astronaut: Path, tmp_path: Path) -> list[str]:
    """The example photo, and its mirror image."""
    with Image.open(astronaut) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.jpg")
    return [str(astronaut), str(tmp_path / "mirrored.jpg")]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["predict", "--same-person", *arguments])


def test_the_last_line_is_of_all_photos_together(photos: list[str]) -> None:
    done = run(*photos)
    assert done.exit_code == 0
    *_, last = done.stdout.splitlines()
    assert last.startswith("one person in 2 photos: apparent age ")
    assert "perceived gender female" in last


def test_json_says_what_fuse_says(photos: list[str]) -> None:
    done = run("--json", *photos)
    *results, last = map(json.loads, done.stdout.splitlines())
    looks = [Predictor().predict(photo, distribution=True)[0] for photo in photos]
    expected = fuse(looks).to_json()
    del expected["age"]["distribution"]
    assert last == {"photos": photos, "person": {key: expected[key] for key in ("age", "gender")}}
    assert all("distribution" not in result["faces"][0]["age"] for result in results)


def test_the_distribution_is_there_if_it_is_asked_for(photos: list[str]) -> None:
    *_, last = map(json.loads, run("--json", "--distribution", *photos).stdout.splitlines())
    assert sum(last["person"]["age"]["distribution"]) == pytest.approx(1, abs=0.01)


def test_photos_without_a_face_are_left_out(photos: list[str], tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    done = run(*photos, str(tmp_path / "black.png"))
    assert done.exit_code == 0
    assert "one person in 2 photos" in done.stdout


def test_no_face_at_all_is_said_in_a_sentence(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    done = run(str(tmp_path / "black.png"))
    assert done.exit_code == 1
    assert done.stderr == "mien: No photo shows a face, so nothing can be said of the person.\n"
