"""The plain file in OpenCV 4, in an environment of its own, as docs/without-mien.md shows."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

from mien import Predictor


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    file = folder / "mien.onnx"
    subprocess.run([sys.executable, "-m", "mien", "export", "--plain", "--output", file], check=True)
    code = "import onnx; print({p.key: p.value for p in onnx.load('mien.onnx').metadata_props}['mien'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, check=True)
    (folder / "mien.json").write_bytes(done.stdout)
    return file


@pytest.mark.parametrize("version", ["4.10.0.84", "4.12.0.88"])
def test_opencv_4_answers_as_mien_does(
    version: str, plain: Path, python_with: Callable[[str], Path], astronaut: Path
) -> None:
    python = python_with(f"opencv-python-headless=={version}")
    for photo in (astronaut, *sorted((ROOT / "tests" / "photos").glob("*.jpg"))[:3]):
        face = Predictor().predict(photo)[0]
        assert face.landmarks is not None
        points = [f"{x},{y}" for x, y in face.landmarks]
        files = [plain, plain.with_suffix(".json"), photo]
        command = [python, ROOT / "examples" / "without_mien.py", *files, *points]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        # The plain file does not round as the file in eight bits does.
        assert answer["years"] == pytest.approx(face.age.years, abs=1.5)
        assert [answer["low"], answer["high"]] == pytest.approx([face.age.low, face.age.high], abs=2.5)
        assert answer["p_female"] == pytest.approx(face.gender.p_female, abs=0.05)
        assert answer["label"] == face.gender.label
