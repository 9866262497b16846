"""``mien annotate`` as its user meets it."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotate_fakes import PHOTOS, copies, names, read
from pyarrow import csv
from typer.testing import CliRunner, Result

from mien.annotate.schema import faces_schema
from mien.cli import app
from mien.predictor import Predictor


@pytest.fixture
def mien(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Mien":
    monkeypatch.chdir(tmp_path)
    return Mien(tiny_model)


class Mien:
    """Runs ``mien annotate`` with the tiny model and one worker."""

    def __init__(self, model: Path) -> None:
        self.options = ["--model", str(model), "--workers", "1"]

    def __call__(self, *arguments: object, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(app, ["annotate", *self.options, *map(str, arguments)], input=stdin)

    def start(
        self, *arguments: object, stdin: int | None = None, before: Callable[[], None] | None = None
    ) -> subprocess.Popen[str]:
        """In a process of its own, in which something may be called before."""
        code = "from mien.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, "annotate", *self.options, *map(str, arguments)],
            stdin=stdin,
            stderr=subprocess.PIPE,
            preexec_fn=before,
            text=True,
        )


def test_the_table_has_what_the_predictor_says(mien: Mien, tiny_model: Path) -> None:
    done = mien(PHOTOS, "--output", "out", "--threshold", "18")
    assert done.exit_code == 0
    faces = read(Path("out"), "faces")
    assert faces.schema.remove_metadata() == faces_schema([18])
    results = Predictor(tiny_model).predict_many(sorted(PHOTOS.glob("*.jpg")), thresholds=[18])
    expected = [_as_row(result.photo, face.to_json()) for result in results for face in result]
    found = faces.select(list(expected[0])).to_pylist()
    assert _rounded(found) == _rounded(expected)
    assert all(row["size"] > 40 and row["sharpness"] > 0 for row in faces.to_pylist())


def _as_row(photo: str, face: dict[str, Any]) -> dict[str, Any]:
    """A face of the JSON contract, as it is in the table."""
    age, gender = face["age"], face["gender"]
    return {
        "photo": photo,
        "box": face["box"],
        "landmarks": face["landmarks"],
        "age": age["years"],
        "low": age["low"],
        "high": age["high"],
        "coverage": age["coverage"],
        "at_least_18": age["at_least"]["18"],
        "label": gender["label"],
        "p_female": gender["p_female"],
        "flags": face["flags"],
    }


def _rounded(rows: Any) -> Any:
    if isinstance(rows, dict):
        return {name: _rounded(value) for name, value in rows.items()}
    if isinstance(rows, list):
        return [_rounded(value) for value in rows]
    return round(rows, 3) if isinstance(rows, float) else rows


def test_a_broken_photo_is_a_row_and_named(mien: Mien, astronaut: Path) -> None:
    shutil.copy(astronaut, "a.jpg")
    Path("b.jpg").write_bytes(b"no photo")
    done = mien("a.jpg", "b.jpg", "--output", "out")
    assert done.exit_code == 1
    assert done.stderr.startswith("mien: b.jpg is not a picture") and len(done.stderr.splitlines()) == 1
    first, second = read(Path("out"), "photos").to_pylist()
    assert first == {"photo": "a.jpg", "width": 512, "height": 512, "faces": 1, "error": None}
    assert second["error"].startswith("b.jpg is not a picture") and second["width"] is None


def test_the_summary_is_in_words(mien: Mien, astronaut: Path) -> None:
    done = mien(astronaut, "--output", "out")
    assert done.stdout.startswith("1 photo looked at in ")
    assert done.stdout.endswith("out holds 1 face in 1 photo.\n")
    assert mien(astronaut, "--output", "out", "--quiet").output == ""
    assert "1 photo had been done before." in mien(astronaut, "--output", "out").stdout


def test_more_failures_than_can_be_named_are_counted(mien: Mien) -> None:
    Path("list").write_text("\n".join(f"{i}.jpg" for i in range(13)))
    lines = mien("@list", "--output", "out").stderr.splitlines()
    assert len(lines) == 11 and lines[-1].startswith("mien: 3 more photos could not be read")


def test_failed_photos_are_tried_again_when_asked(mien: Mien, astronaut: Path) -> None:
    Path("list").write_text("a.jpg\nb.jpg")
    assert mien("@list", "--output", "out").exit_code == 1
    shutil.copy(astronaut, "a.jpg")
    assert mien("@list", "--output", "out").exit_code == 1
    done = mien("@list", "--output", "out", "--retry-failed")
    assert done.exit_code == 1 and "b.jpg" in done.stderr and "a.jpg" not in done.stderr
    assert names(Path("out"), "faces") == ["a.jpg"] and names(Path("out")) == ["a.jpg", "b.jpg"]


def test_a_list_comes_by_standard_input(mien: Mien, astronaut: Path) -> None:
    assert mien("-", "-0", "--output", "out", stdin=b"%s\0" % os.fsencode(astronaut)).exit_code == 0
    assert names(Path("out")) == [str(astronaut)]


def test_faces_as_one_file_grow_with_the_photos(mien: Mien) -> None:
    for number in (1, 2):
        assert mien(copies(Path("photos"), number), "--output", "faces.csv", "--distribution").exit_code == 0
        table = csv.read_csv("faces.csv")
        assert sorted(table["photo"].to_pylist()) == [f"photos/{i:04}.jpg" for i in range(number)]
    assert len(json.loads(table["distribution"][0].as_py())) == 101
    assert len(json.loads(table["box"][0].as_py())) == 4


def test_nothing_to_do_is_done(mien: Mien, astronaut: Path) -> None:
    assert [mien(astronaut, "--output", "out").exit_code for _ in range(2)] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["empty", "--output", "out"], "There is no photo in empty"),
        (["texts", "--output", "out"], "There is no photo in texts"),
        (["nowhere", "--output", "out"], "nowhere does not exist"),
        (["no*.jpg", "--output", "out"], "Nothing matches no*.jpg"),
        (["@nowhere", "--output", "out"], "nowhere does not exist"),
        (["a.jpg", "--output", "texts"], "texts is not empty"),
        (["a.jpg", "--output", "a.jpg"], "a.jpg is a file"),
        (["a.jpg", "--output", "a.jpg/x"], "a.jpg"),
        (["a.jpg", "--output", "nonsense://x/y"], "nonsense://x cannot be reached"),
        (["a.jpg", "--output", "out", "--coverage", "0.3"], "coverage must lie between"),
        (["a.jpg", "--output", "out", "--detector", "nonsense"], "There is no detector"),
        (["a.jpg", "--output", "out", "--model", "nowhere"], "There is no model file"),
        (["-", "-", "--output", "out"], "only once"),
        (["a.jpg"], "--output"),
        (["--output", "out"], "SOURCE"),
    ],
)
def test_wrong_usage_is_a_sentence_and_writes_nothing(
    mien: Mien, astronaut: Path, arguments: list[str], words: str
) -> None:
    Path("empty").mkdir()
    Path("texts").mkdir()
    for i in range(20):
        Path("texts", f"{i}.txt").write_text("x")
    shutil.copy(astronaut, "a.jpg")
    mien.options = []
    process = mien.start(*arguments, stdin=subprocess.DEVNULL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert words in " ".join(said.replace("│", "").split()) and "Traceback" not in said
    assert not Path("out").exists()


def wait_for_rows(process: subprocess.Popen[str]) -> None:
    while not (Path("out/photos").exists() and list(Path("out/photos").glob("part-*.parquet"))):
        assert process.poll() is None
        time.sleep(0.02)


def test_a_killed_run_goes_on(mien: Mien) -> None:
    photos = copies(Path("photos"), 150)
    process = mien.start(photos, "--output", "out")
    wait_for_rows(process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = names(Path("out"))
    assert 0 < len(before) < 150
    assert mien(photos, "--output", "out").exit_code == 0
    for table in ("photos", "faces"):
        assert names(Path("out"), table) == [f"photos/{i:04}.jpg" for i in range(150)]


def test_a_stopped_run_says_so_and_keeps_what_is_done(mien: Mien) -> None:
    photos = copies(Path("photos"), 150)
    process = mien.start(photos, "--output", "out")
    wait_for_rows(process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    done = names(Path("out"))
    assert said == f"mien: Stopped. {len(done)} photos are done; run the same command again for the rest.\n"
    assert set(names(Path("out"), "faces")) == set(done)


def test_a_second_run_into_the_same_output_is_refused(mien: Mien) -> None:
    photos = copies(Path("photos"), 150)
    process = mien.start(photos, "--output", "out")
    wait_for_rows(process)
    second = mien.start(photos, "--output", "out")
    _, said = second.communicate(timeout=60)
    assert second.returncode == 2 and "Another run is writing to out" in said
    process.kill()
    process.communicate()


def test_a_run_that_cannot_write_any_more_is_a_sentence_and_goes_on_later(mien: Mien) -> None:
    photos = copies(Path("photos"), 30)

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))

    process = mien.start(photos, "--output", "out", before=little_room)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert said.startswith("mien: out cannot be written (File too large); make room") and "Trace" not in said
    assert mien(photos, "--output", "out").exit_code == 0
    assert len(names(Path("out"))) == len(names(Path("out"), "faces")) == 30


DEADLY = """
import os
from mien.pipeline import images
read = images.read_file
def read_file(path):
    return os.abort() if "deadly" in str(path) else read(path)
images.read_file = read_file
"""
"""What makes the decoder of every process fall over a photo, as sitecustomize.py."""


def test_a_photo_that_brings_its_process_down_is_a_row(
    mien: Mien, monkeypatch: pytest.MonkeyPatch, astronaut: Path
) -> None:
    Path("site").mkdir()
    Path("site/sitecustomize.py").write_text(DEADLY)
    monkeypatch.setenv(
        "PYTHONPATH", f"{Path('site').resolve()}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    )
    for name in ("a.jpg", "deadly.jpg", "z.jpg"):
        shutil.copy(astronaut, name)
    process = mien.start("a.jpg", "deadly.jpg", "z.jpg", "--output", "out")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.startswith("mien: deadly.jpg ended the process that read it") and said.count("\n") == 1
    assert names(Path("out"), "faces") == ["a.jpg", "z.jpg"]


def test_photos_that_vanish_in_between_are_rows(mien: Mien) -> None:
    photos = copies(Path("photos"), 120)
    process = mien.start(photos, "--output", "out")
    wait_for_rows(process)
    shutil.rmtree(photos)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and "does not exist" in said
    assert len(names(Path("out"))) == 120


def test_closed_standard_error_stops_no_worker(mien: Mien) -> None:
    code = "from mien.cli import main; main()"
    arguments = ["annotate", *mien.options, str(PHOTOS), "--output", "out"]
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", code, *arguments]
    assert subprocess.run(closed, check=False).returncode == 0
    assert len(read(Path("out"), "faces")) > 0
