"""Every example runs as its text says."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == status, result.stderr
    return result


@pytest.fixture
def table(astronaut: Path, tmp_path: Path) -> Path:
    """A table with columns and codes of its own, of one portrait seen many times."""
    portrait = Image.open(astronaut)
    rows = [("file", "years", "sex")]
    for i in range(12):
        portrait.resize((256 + 8 * i, 256 + 8 * i)).save(tmp_path / f"{i}.png")
        rows.append((f"{i}.png", str(30 + i), "fm"[i % 2]))
    with (tmp_path / "people.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return tmp_path / "people.csv"


def test_a_table_with_columns_of_its_own_is_measured(table: Path, tmp_path: Path) -> None:
    options = ["--path", "file", "--age", "years", "--gender", "sex", "--female", "f", "--male", "m"]
    result = run("own_csv.py", table, *options, "--output", tmp_path / "measured")
    assert "mae: " in result.stdout and "12 faces" in result.stdout
    assert "gender_accuracy: 0.5 " in result.stdout
    assert (tmp_path / "measured" / "report" / "index.html").exists()


def test_the_tiling_detector_finds_a_face_that_is_small_in_a_large_photo(
    astronaut: Path, tmp_path: Path
) -> None:
    crowd = Image.new("RGB", (4000, 3000), (128, 128, 128))
    crowd.paste(Image.open(astronaut).resize((128, 128)), (980, 900))  # where tiles overlap
    crowd.save(tmp_path / "crowd.png")
    result = run("tiling_detector.py", tmp_path / "crowd.png")
    assert result.stdout.count("apparent age") == 1
    left, top, *_ = (int(side) for side in result.stdout.split("[")[1].rstrip("]\n").split(", "))
    assert 980 < left < 1108 and 900 < top < 1028


@pytest.mark.slow
def test_the_shipped_model_is_fine_tuned_and_compared(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [("path", "age", "gender")]
    for i in range(60):
        Image.fromarray(random.integers(0, 256, (48, 48, 3), np.uint8)).save(tmp_path / f"{i}.png")
        rows.append((f"{i}.png", str(20 + i), ("male", "female")[i % 2]))
    with (tmp_path / "faces.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    options = ["--epochs", "1", "--batch-size", "16", "--validation", "0.5"]
    result = run("fine_tune.py", tmp_path / "faces.csv", "--output", tmp_path / "mine", *options)
    assert "shipped: mean absolute error" in result.stdout and "mine: mean absolute error" in result.stdout
    assert (tmp_path / "mine" / "mine.onnx").exists()


def test_the_notebook_runs_from_top_to_bottom(
    astronaut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(astronaut, tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    monkeypatch.setenv("ALBUM", str(tmp_path))
    matplotlib.use("agg")
    notebook = json.loads((EXAMPLES / "age_pyramid.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
    assert len(names["results"]) == 2 and len(names["failed"]) == 1 and len(names["faces"]) == 1
    bars = names["axes"].containers
    names["plt"].close("all")
    assert sum(bar.get_width() for bar in bars[0]) == -1 and sum(bar.get_width() for bar in bars[1]) == 0


def test_the_notebook_was_executed_and_shows_no_face_but_a_drawing() -> None:
    notebook = json.loads((EXAMPLES / "age_pyramid.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell["outputs"] for cell in cells)
    pictures = [key for cell in cells for output in cell["outputs"] for key in output.get("data", {})]
    assert pictures.count("image/png") == 1
