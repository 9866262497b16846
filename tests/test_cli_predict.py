"""``mien predict`` as its user meets it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from mien.cli import app
from mien.cli.predict import printable
from mien.pipeline.decode.picture import Picture
from mien.pipeline.decode.pixels import Decoded


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty room.png"
    Image.new("RGB", (64, 48), "grey").save(path)
    return path


@pytest.fixture
def mien(tiny_model: Path) -> "Mien":
    return Mien(tiny_model)


class Mien:
    """Runs ``mien predict`` with the tiny model."""

    def __init__(self, model: Path) -> None:
        self.model = model

    def __call__(self, *arguments: object, stdin: bytes | None = None) -> Result:
        command = ["predict", "--model", str(self.model), *map(str, arguments)]
        return CliRunner().invoke(app, command, input=stdin)


def test_a_face_is_one_readable_line(mien: Mien, astronaut: Path) -> None:
    result = mien(astronaut)
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"{astronaut}, face 1 of 1: apparent age ")
    assert "(90 % interval " in line
    assert "perceived gender female (" in line


def test_no_face_is_an_answer(mien: Mien, empty: Path) -> None:
    result = mien(empty)
    assert result.exit_code == 0
    assert result.stdout == f"{empty}: no face found\n"


def test_json_is_one_object_a_photo_in_order(
    mien: Mien, astronaut: Path, empty: Path, tmp_path: Path
) -> None:
    result = mien("--json", empty, tmp_path / "no.jpg", astronaut)
    assert result.exit_code == 1
    first, second, third = map(json.loads, result.stdout.splitlines())
    assert first == {"photo": str(empty), "width": 64, "height": 48, "faces": []}
    assert second == {
        "photo": str(tmp_path / "no.jpg"),
        "error": f"{tmp_path / 'no.jpg'} does not exist; check the path.",
    }
    assert set(third) == {"photo", "width", "height", "faces"}
    assert set(third["faces"][0]) == {"box", "detection_score", "age", "gender", "flags", "landmarks"}


def test_failed_photos_are_named_on_stderr(mien: Mien, empty: Path, tmp_path: Path) -> None:
    result = mien(tmp_path, empty)
    assert result.exit_code == 1
    assert result.stderr == (
        f"mien: {tmp_path} is a folder; name the photos in it, for example {tmp_path}/*.jpg, or use 'mien "
        "annotate'.\n"
    )
    assert result.stdout == f"{empty}: no face found\n"


def test_standard_input_is_read(mien: Mien, astronaut: Path) -> None:
    result = mien("--json", "-", stdin=astronaut.read_bytes())
    assert json.loads(result.stdout)["photo"] == "-"
    assert len(json.loads(result.stdout)["faces"]) == 1


def test_standard_input_can_be_named_once(mien: Mien) -> None:
    assert mien("-", "-", stdin=b"").exit_code == 2


def test_aligned_photos_are_faces(mien: Mien, empty: Path) -> None:
    result = mien("--json", "--faces", "aligned", empty)
    assert json.loads(result.stdout)["faces"][0]["box"] == [0, 0, 64, 48]


@pytest.mark.parametrize(
    "arguments", [[], ["--faces", "some", "x.jpg"], ["--nonsense", "x.jpg"], ["--coverage", "2", "x.jpg"]]
)
def test_wrong_usage_exits_with_2(mien: Mien, arguments: list[str]) -> None:
    assert mien(*arguments).exit_code == 2


def test_coverage_and_thresholds_are_said_in_words(mien: Mien, astronaut: Path) -> None:
    done = mien(astronaut, "--coverage", "0.8", "--threshold", "18", "--threshold", "25")
    assert re.search(r"80 % interval \d+ to \d+\), 18 or older \d+ %, 25 or older \d+ %,", done.stdout)


def test_the_gender_threshold_says_which_close_calls_are_uncertain(mien: Mien, astronaut: Path) -> None:
    assert "perceived gender uncertain (female " in mien(astronaut, "--gender-threshold", ".999").stdout
    assert "perceived gender female (" in mien(astronaut, "--gender-threshold", ".5").stdout


def test_save_draws_into_a_new_folder(mien: Mien, astronaut: Path, empty: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "drawn"
    assert mien(astronaut, empty, "--save", folder).exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["astronaut-faces.jpg"]
    with Image.open(folder / "astronaut-faces.jpg") as drawn:
        assert drawn.size == (512, 512)


def test_a_large_photo_gets_the_same_answer_with_and_without_save(
    mien: Mien, astronaut: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "large.jpg"
    with Image.open(astronaut) as image:
        image.resize((2600, 2600)).save(photo)
    alone, drawn = mien(photo, "--json"), mien(photo, "--json", "--save", tmp_path / "drawn")
    assert alone.exit_code == drawn.exit_code == 0
    assert alone.stdout == drawn.stdout
    with Image.open(tmp_path / "drawn" / "large-faces.jpg") as image:
        assert image.size == (2600, 2600)


def test_save_never_overwrites_a_photo(mien: Mien, astronaut: Path, tmp_path: Path) -> None:
    photos = [tmp_path / name for name in ("a/x.jpg", "b/x.jpg", "x-faces.jpg")]
    for photo in photos:
        photo.parent.mkdir(exist_ok=True)
        photo.write_bytes(astronaut.read_bytes())
    assert mien(*photos, "--save", tmp_path).exit_code == 0
    assert all(photo.read_bytes() == astronaut.read_bytes() for photo in photos)
    written = {path.name for path in tmp_path.glob("*.jpg")} - {"x-faces.jpg"}
    assert written == {"x-faces-2.jpg", "x-faces-3.jpg", "x-faces-faces.jpg"}


def test_save_keeps_lossless_photos_lossless(mien: Mien, empty: Path, tmp_path: Path) -> None:
    assert mien(empty, "--faces", "aligned", "--save", tmp_path / "drawn").exit_code == 0
    assert (tmp_path / "drawn" / "empty room-faces.png").exists()


def test_save_into_a_file_is_wrong_usage(mien: Mien, empty: Path) -> None:
    assert mien(empty, "--save", empty).exit_code == 2


def test_names_cannot_upset_a_terminal() -> None:
    assert printable("a\nb\x1b[31m\udce9 家族.jpg") == "a\\nb\\x1b[31m\\udce9 家族.jpg"


def test_progress_stays_away_from_pipes(mien: Mien, empty: Path) -> None:
    result = mien(*[empty] * 10)
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 10


def run(*arguments: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    code = "from mien.cli import main; main()"
    environment = os.environ | environment
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "no.onnx"], b"mien: There is no model file no.onnx; check the path.\n"),
        (
            ["--detector", "mtcnn"],
            b"mien: There is no detector 'mtcnn'; choose mien, dlib, centerface, yunet or yunet:PATH.\n",
        ),
    ],
)
def test_what_cannot_be_set_up_is_one_sentence(tiny_model: Path, options: list[str], message: bytes) -> None:
    done = run("predict", "--model", str(tiny_model), *options, "x.jpg")
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", message)


def test_json_is_clean_utf8_whatever_the_locale_and_name(tiny_model: Path, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9 \xe5\xae\xb6.png"
    fine = os.fsencode(tmp_path / "家族.png")
    for path in (odd, fine):
        with open(path, "wb") as file:
            Image.new("RGB", (8, 8)).save(file, "PNG")
    done = run("predict", "--json", "--model", str(tiny_model), odd, fine, LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")
    names = [json.loads(line)["photo"] for line in done.stdout.decode().splitlines()]
    assert names == [f"{tmp_path}/caf\\udce9 家.png", os.fsdecode(fine)]
    assert "家族" in done.stdout.decode()


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which ``mien`` is the command."""
    define = f"mien() {{ '{sys.executable}' -c 'from mien.cli import main; main()' \"$@\"; }}\n"
    environment = os.environ | environment
    return subprocess.run(
        ["bash", "-c", define + command],
        capture_output=True,
        text=True,
        errors="replace",
        cwd=folder,
        env=environment,
        timeout=60,
    )


needs_bash = pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="no bash at hand")


@pytest.fixture
def folder(astronaut: Path, tmp_path: Path) -> Path:
    shutil.copy(astronaut, tmp_path / "a.jpg")
    return tmp_path


@pytest.mark.slow
@needs_bash
def test_saved_photo_is_read_once(folder: Path) -> None:
    done = shell("mkfifo pipe; cat a.jpg > pipe & mien predict --save out pipe <(cat a.jpg)", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(list((folder / "out").iterdir())) == 2


def test_saving_decodes_a_photo_for_its_answer_and_whole_for_its_drawing(
    mien: Mien, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    decode = Picture.decode

    def watched(picture: Picture, reduction: int = 1) -> Decoded:
        decoded.append(picture.name)
        return decode(picture, reduction)

    monkeypatch.setattr(Picture, "decode", watched)
    assert mien(folder / "a.jpg", folder / "no.jpg", "--save", folder / "out").exit_code == 1
    assert decoded == [str(folder / "a.jpg")] * 2 and (folder / "out" / "a-faces.jpg").exists()


@pytest.mark.slow
@needs_bash
@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("mien predict - <&-", 2, "standard input is closed"),
        (
            "mien predict a.jpg > /dev/full",
            1,
            "mien: the output cannot be written (No space left on device).",
        ),
        ("mien predict a.jpg >&-", 2, "mien: Standard output is closed"),
        ("mv a.jpg ./-a.jpg; mien predict -a.jpg", 2, "for the photo write ./-a.jpg"),
    ],
)
def test_what_the_shell_hands_over_is_named(folder: Path, command: str, status: int, said: str) -> None:
    if "/dev/full" in command and not os.path.exists("/dev/full"):
        pytest.skip("/dev/full is not at hand")
    done = shell(command, folder)
    assert done.returncode == status
    assert said in " ".join(done.stderr.replace("│", "").split()) and "Traceback" not in done.stderr


@pytest.mark.slow
@needs_bash
def test_closed_standard_error_leaves_the_output_clean(folder: Path) -> None:
    done = shell("mien data audit no.csv 2>&-", folder)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.slow
@needs_bash
@pytest.mark.parametrize("encoding", ["cp932", "cp1252", "ascii"])
def test_what_a_console_cannot_show_is_printed_as_escapes(folder: Path, encoding: str) -> None:
    command = "mv a.jpg é家.jpg; mien predict é家.jpg nö家.jpg; mien predict --help > /dev/null"
    done = shell(command, folder, PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert "apparent age" in done.stdout and "does not exist" in done.stderr


def test_patterns_that_the_shell_left_are_expanded(mien: Mien, folder: Path) -> None:
    shutil.copy(folder / "a.jpg", folder / "b.jpg")
    shutil.copy(folder / "a.jpg", folder / "[c].jpg")
    lines = mien(folder / "[ab].jpg", folder / "[c].jpg").stdout.splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        str(folder / n) for n in ("a.jpg", "b.jpg", "[c].jpg")
    ]
    assert "does not exist" in mien(folder / "*.png").stderr
