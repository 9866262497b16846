"""The shipped files by OpenVINO, in an environment of its own where it takes the place of ONNX Runtime."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

YEARS, ENDS, PROBABILITY = 1.5, 2.5, 0.05
"""What docs/where.md promises."""

CODE = """
import json, sys
from mien import Predictor
predictor = Predictor(device=sys.argv[1])
print(json.dumps(predictor.device))
for photo in sys.argv[2:]:
    for face in predictor.predict(photo):
        print(json.dumps([face.age.years, face.age.low, face.age.high, face.gender.p_female]))
"""


def test_openvino_answers_as_the_processor_does(python_with: Callable[[str], Path], astronaut: Path) -> None:
    python = python_with("onnxruntime-openvino")
    photos = [str(astronaut), *map(str, sorted((ROOT / "tests" / "photos").glob("*.jpg"))[:8])]

    def answers(device: str) -> list[list[float]]:
        command = [str(python), "-c", CODE, device, *photos]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        taken, *faces = map(json.loads, done.stdout.splitlines())
        assert taken == ("openvino" if device == "auto" else device)
        return faces

    expected = answers("cpu")
    assert expected
    for device in ("openvino", "auto"):
        for face, wanted in zip(answers(device), expected, strict=True):
            assert face[0] == pytest.approx(wanted[0], abs=YEARS)
            assert face[1:3] == pytest.approx(wanted[1:3], abs=ENDS)
            assert face[3] == pytest.approx(wanted[3], abs=PROBABILITY)
