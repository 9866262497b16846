"""The cookbook's client of the REST API, against a real server."""

import subprocess
import sys
from pathlib import Path

import pytest
from live import started

CLIENT = Path(__file__).parents[2] / "examples" / "rest_client.py"


def ask(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, CLIENT, *arguments], capture_output=True, text=True)


@pytest.mark.slow
def test_a_line_is_printed_for_each_face_and_what_failed_is_named(
    astronaut: Path, tiny_model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with started(tiny_model) as (_, address):
        result = ask(address, broken, astronaut)
    assert result.returncode == 1
    assert result.stdout.startswith(f"{astronaut}: ") and result.stdout.count("\n") == 1
    assert result.stderr.startswith(f"{broken}: ") and result.stderr.count("\n") == 1


def test_a_server_that_is_not_there_is_one_sentence(astronaut: Path) -> None:
    result = ask("http://127.0.0.1:9", astronaut)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.startswith(f"{astronaut}: ") and result.stderr.count("\n") == 1
