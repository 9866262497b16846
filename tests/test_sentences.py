"""Whatever is wrong with a file, a command answers with a sentence and an exit status, never a traceback."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.cli import main

Run = Callable[[str], tuple[int, str]]


def empty_zip() -> bytes:
    content = io.BytesIO()
    zipfile.ZipFile(content, "w").close()
    return content.getvalue()


TABLE = b"path,age\nphoto.jpg,3\n"
WRONG = {
    "empty.csv": b"",
    "garbage.csv": bytes(range(256)) * 20,
    "nulls.csv": bytes(2000),
    "latin-1.csv": "path,age\nJosé.jpg,3\n".encode("latin-1"),
    "other-columns.csv": b"a,b\n1,2\n",
    "twice.csv": b" path,age,gender,age \nphoto.jpg,30,male,3\n",
    "header-alone.csv": b"path,age,gender,split\n",
    "no-zip.zip": TABLE,
    "empty.zip": empty_zip(),
    "not-gz.csv.gz": TABLE,
    "half.csv.gz": gzip.compress(TABLE * 900)[:-20],
    "not-xz.csv.xz": TABLE,
    "text.onnx": b"no model",
    "text.ckpt": b"no checkpoint",
    "list.json": b"[1, 2]",
    "text.jpg": b"no photo",
}
"""Beside these, a folder and a file that is not there."""

COMMANDS = [
    "predict {}",
    "predict photo.jpg --model {}",
    "predict photo.jpg --detector yunet:{}",
    "annotate {} --output out --workers 1",
    "annotate photo.jpg --output new --model {}",
    "summarize {} --output page.html",
    "serve --model {}",
    "serve --detectors yunet:{}",
    "data index {} --output out.csv",
    "data audit {}",
    "data show {} --output sheet.png",
    "data show {} --plots --output plots.png",
    "data split {} --output out.csv",
    "data split manifest.csv --protocol classic --names {} --output out.csv",
    "train --manifest {} --output run",
    "train --manifest manifest.csv --output run --weights {}",
    "train --manifest manifest.csv --output run --recipe classic --weights {}",
    "train --manifest manifest.csv --output run --teacher {}",
    "evaluate --manifest {}",
    "evaluate --manifest manifest.csv --model {}",
    "evaluate --manifest manifest.csv --detector yunet:{} --faces detect",
    "evaluate-detector {} --detector mien",
    "train-detector {} --faces manifest.csv --teacher mien --output run",
    "train-detector photos --faces {} --teacher mien --output run",
    "export {} --manifest manifest.csv --output out.onnx",
    "export text.onnx --manifest {} --output out.onnx",
    "export-detector {} --output out.onnx",
    "card document.md --figures {}",
]


@pytest.fixture
def folder(tmp_path: Path, astronaut: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Right files beside wrong ones, as the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "figures", "tables", "folder.csv"):
        (tmp_path / name).mkdir()
    for name in ("photo.jpg", "other.jpg"):
        (tmp_path / name).write_bytes(astronaut.read_bytes())
    random = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    rows = "path,age,gender,split\nphoto.jpg,30,male,train\nother.jpg,31,female,{}\n"
    (tmp_path / "manifest.csv").write_text(rows.format("validation"))
    (tmp_path / "train.csv").write_text(rows.format("train"))
    (tmp_path / "photos" / "boxes.csv").write_text(
        "image,x1,y1,x2,y2\n" + "".join(f"{i}.png,10,10,50,50\n" for i in range(20))
    )
    (tmp_path / "photos" / "no-face.csv").write_text("image\n" + "".join(f"{i}.png\n" for i in range(20, 40)))
    (tmp_path / "document.md").write_text("[//]: # (figures: overall)\n\n[//]: # (end of figures)\n")
    (tmp_path / "tables" / "overall.md").write_text("| a | b |\n")
    for name, content in WRONG.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line; give the exit status and what was written on stderr."""

    def run(line: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["mien", *line.split()])
        with pytest.raises(SystemExit) as leaving:
            main()
        code = leaving.value.code
        assert isinstance(code, int)
        return code, capsys.readouterr().err.strip()

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_files_get_a_sentence(command: str, folder: Path, said: Run) -> None:
    for name in (*WRONG, "folder.csv", "nothing.csv"):
        code, error = said(command.format(name))
        assert code in (1, 2), name
        assert error and "(None)" not in error and error != "Aborted.", name


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("serve --port 0 --coverage 0.3", "--coverage (MIEN_COVERAGE): coverage must lie between"),
        ("train --manifest manifest.csv --output run --seed -1", "--seed"),
        ("train --manifest manifest.csv --output photo.jpg/run", "photo.jpg/run"),
        ("train-detector photos --faces train.csv --teacher mien --output run", "'validation'"),
        ("export-detector nothing.ckpt --output out.onnx", "nothing.ckpt does not exist"),
        ("card latin-1.csv --figures tables", "mien: latin-1.csv is not text in UTF-8"),
        ("evaluate --manifest manifest.csv --report photo.jpg/report", "photo.jpg/report"),
    ],
)
def test_what_cannot_be_done_is_named(line: str, words: str, folder: Path, said: Run) -> None:
    code, error = said(line)
    assert code == 2
    assert words in error


def test_blanks_in_a_header_do_no_harm(folder: Path, said: Run) -> None:
    (folder / "blanks.csv").write_text("path , age,gender \nphoto.jpg,30,male\n")
    assert said("evaluate --manifest blanks.csv") == (0, "")
