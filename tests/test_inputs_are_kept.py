"""No command writes over what it reads, by whatever name."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.cli import main

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that must be refused; return its sentence."""

    def refused(*arguments: object) -> str:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        monkeypatch.setattr("sys.argv", ["mien", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        assert leaving.value.code == 2
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        return capsys.readouterr().err

    return refused


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A manifest of four pictures, and a link to it."""
    random = np.random.default_rng(0)
    rows = ["path,age,gender,split"]
    for i in range(4):
        Image.fromarray(random.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{20 + i},female,{'train' if i else 'validation'}")
    (tmp_path / "faces.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "link.csv").symlink_to("faces.csv")
    return tmp_path / "faces.csv"


READING = (
    ("evaluate", "--manifest", "faces.csv", "--predictions"),
    ("data", "split", "faces.csv", "--output"),
    ("data", "show", "faces.csv", "--output"),
)


@pytest.mark.parametrize("output", ["faces.csv", "link.csv", "0.png"])
@pytest.mark.parametrize("command", READING)
def test_a_manifest_and_its_pictures_are_not_written_over(
    run: Run, faces: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], output: str
) -> None:
    monkeypatch.chdir(faces.parent)
    assert "is read" in run(*command, output)


def test_a_checkpoint_and_a_model_are_not_written_over(run: Run, faces: Path, tiny_model: Path) -> None:
    checkpoint = faces.with_name("last.ckpt")
    checkpoint.write_bytes(b"")
    assert "is read" in run("export", checkpoint, "--manifest", faces, "--output", checkpoint)
    assert "is read" in run("export", checkpoint, "--manifest", faces, "--output", faces)
    assert "is read" in run("export-detector", checkpoint, "--output", checkpoint)
    model = Path(shutil.copy(tiny_model, faces.parent))
    assert "is read" in run("evaluate", "--manifest", faces, "--model", model, "--predictions", model)


def test_a_list_of_names_is_not_written_over(run: Run, faces: Path) -> None:
    names = faces.with_name("names.txt")
    names.write_text("0.png\n")
    arguments = ("--protocol", "classic", "--names", names, "--output", names)
    assert "is read" in run("data", "split", faces, *arguments)


def test_a_data_sets_own_labels_are_not_written_over(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "0.png")
    (tmp_path / "labels.csv").write_text("file,age,gender\n0.png,20,female\n")
    assert "is read" in run("data", "index", tmp_path, "--output", tmp_path / "labels.csv")


def test_figures_are_not_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "table.md").write_text("| a |\n|---|\n| 1 |\n")
    assert "is read" in run("card", tmp_path / "table.md", "--figures", tmp_path)
