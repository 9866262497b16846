"""The installed package writes nothing into the user's home and talks to no one."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

SECONDS = 20
"""Of a server's life that are watched: ONNX Runtime's telemetry asks for its collector after nine."""

OURS = {"HOME", "MPLCONFIGDIR", "ORT_DISABLE_TELEMETRY", "PYTHONPATH", "RAY_USAGE_STATS_ENABLED"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """This one, without what switches telemetry and caches off, and with an empty home."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS and "XDG" not in name}
    return kept | {"HOME": str(home)}


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A manifest of noise pictures."""
    random = np.random.default_rng(0)
    rows = ["path,age,gender,dataset,split"]
    for i in range(40):
        Image.fromarray(random.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / f"{i}.png")
        gender, split = ("male", "female")[i % 2], "train" if i < 28 else "validation"
        rows.append(f"{i}.png,{20 + i},{gender},noise,{split}")
    (tmp_path / "faces.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "faces.csv"


@contextmanager
def server(command: list[str], environment: dict[str, str]) -> Iterator[str]:
    """Run a server in a process group of its own; give its address."""
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        assert process.stderr is not None
        try:
            yield next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def test_predict_leaves_an_empty_home_empty(
    commands: Path, environment: dict[str, str], home: Path, astronaut: Path
) -> None:
    done = subprocess.run(
        [commands / "mien", "predict", astronaut], env=environment, capture_output=True, check=True
    )
    assert b"apparent age" in done.stdout and done.stderr == b""
    assert list(home.rglob("*")) == []


@pytest.fixture
def record(tmp_path: Path) -> Path:
    if shutil.which("strace") is None:
        pytest.skip("no strace to watch the network with")
    return tmp_path / "calls"


def watched(record: Path, *command: str | Path) -> list[str]:
    """A command of which every look-up and connection is written down, and refused, so that none gets out."""
    watch = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "signal=none", "-o", str(record)]
    calls = ["-e", "trace=connect,sendto,sendmsg,sendmmsg", "-e", "inject=connect:error=ENETUNREACH"]
    return [*watch, *calls, *map(str, command)]


def tried(record: Path) -> list[str]:
    """The calls that name an address: those that answer a client name none.

    Sockets within the machine do not count. The C library asks one for the user's name; it asks one for a
    host's name as well, but when that is refused it turns to a resolver.
    """
    return [call for call in record.read_text().splitlines() if "sa_family=AF_INET" in call]


def test_the_watch_sees_a_look_up_and_a_connection(
    commands: Path, environment: dict[str, str], record: Path
) -> None:
    look_up = "import socket; socket.gethostbyname('name.invalid')"
    connect = "import socket; socket.create_connection(('192.0.2.1', 443))"
    for code, words in ((look_up, "AF_INET"), (connect, "192.0.2.1")):
        subprocess.run(
            watched(record, commands / "python", "-c", code), env=environment, stderr=subprocess.DEVNULL
        )
        assert any(words in call for call in tried(record))


def test_training_exporting_and_drawing_call_no_one_and_leave_an_empty_home_empty(
    commands: Path, environment: dict[str, str], home: Path, faces: Path, record: Path, tmp_path: Path
) -> None:
    run, model = tmp_path / "run", tmp_path / "model.onnx"
    short = ["--epochs", "1", "--batch-size", "4", "--limit-train-batches", "1", "--precision", "32-true"]
    steps: list[list[str | Path]] = [
        ["train", "--manifest", faces, "--output", run, *short],
        ["export", run / "checkpoints" / "last.ckpt", "--manifest", faces, "--output", model],
        ["evaluate", "--manifest", faces, "--model", model, "--report", tmp_path / "report"],
        ["data", "show", faces, "--plots", "--output", tmp_path / "plots.png"],
    ]
    for step in steps:
        done = subprocess.run(watched(record, commands / "mien", *step), env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert tried(record) == [], step[0]
        assert list(home.rglob("*")) == [], step[0]


def test_annotating_calls_no_one_and_leaves_an_empty_home_empty(
    commands: Path, environment: dict[str, str], home: Path, astronaut: Path, record: Path, tmp_path: Path
) -> None:
    step: list[str | Path] = [commands / "mien", "annotate", astronaut, "--output", tmp_path / "collection"]
    subprocess.run(watched(record, *step), env=environment, capture_output=True, check=True)
    assert tried(record) == []
    assert list(home.rglob("*")) == []


def test_a_server_looks_up_no_name_and_connects_to_nothing(
    commands: Path, environment: dict[str, str], home: Path, astronaut: Path, record: Path
) -> None:
    with server(watched(record, commands / "mien", "serve", "--port", "0"), environment) as address:
        end = time.monotonic() + SECONDS
        answer = httpx.post(f"{address}/api/v1/predict", files={"photo": astronaut.read_bytes()}, timeout=60)
        assert answer.json()["faces"]
        time.sleep(max(0, end - time.monotonic()))
    assert tried(record) == []
    assert list(home.rglob("*")) == []


def test_a_forked_child_ends(commands: Path, environment: dict[str, str], astronaut: Path) -> None:
    code = (
        "import os, sys, mien\n"
        "predictor = mien.Predictor()\n"
        "predictor.predict(sys.argv[1])\n"
        "if child := os.fork():\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "else:\n"
        "    assert predictor.predict(sys.argv[1])\n"
    )
    python = subprocess.Popen(
        [commands / "python", "-c", code, astronaut], env=environment, start_new_session=True
    )
    try:
        assert python.wait(timeout=60) == 0
    finally:
        if python.poll() is None:
            os.killpg(python.pid, signal.SIGKILL)


def answer(commands: Path, environment: dict[str, str], code: str) -> str:
    done = subprocess.run(
        [commands / "python", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


def test_importing_mien_switches_the_telemetry_off_unless_the_user_chose(
    commands: Path, environment: dict[str, str]
) -> None:
    code = "import os, mien; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert answer(commands, environment, code) == "1\n"
    assert answer(commands, environment | {"ORT_DISABLE_TELEMETRY": "0"}, code) == "0\n"


def test_where_mien_came_too_late_it_says_so_once(commands: Path, environment: dict[str, str]) -> None:
    code = "import onnxruntime, mien; mien.Predictor(); mien.Predictor()"
    silent = environment | {"ORT_DISABLE_TELEMETRY": "1"}
    assert answer(commands, silent, code) == ""
    assert answer(commands, environment, code).count("set ORT_DISABLE_TELEMETRY=1 before") == 1


def test_rays_usage_statistics_are_off_unless_asked_for(commands: Path, environment: dict[str, str]) -> None:
    pytest.importorskip("ray")
    code = (
        "import mien.web.cluster\n"  # as `serve run` does before it starts Ray
        "from ray._common.usage.usage_lib import usage_stats_enabled\n"
        "print(usage_stats_enabled())"
    )
    assert "False\n" in answer(commands, environment, code)
    assert "True\n" in answer(commands, environment | {"RAY_USAGE_STATS_ENABLED": "1"}, code)
