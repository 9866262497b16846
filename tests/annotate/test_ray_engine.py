"""Annotation on a local Ray."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from annotate_fakes import Trap, copies, names, read
from typer.testing import CliRunner

from mien.annotate.cluster import look_on_cluster
from mien.annotate.items import Names
from mien.annotate.sources import find_sources
from mien.cli import app

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, in its processes and ours


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else a token is written to the user's home


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        ray = pytest.importorskip("ray")
        paths = os.pathsep.join(sys.path)  # so that workers find what these tests give them
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=80_000_000,
            runtime_env={"env_vars": {"PYTHONPATH": paths}},
        )
        yield
        ray.shutdown()


def annotate(model: Path, *arguments: object) -> int:
    command = ["annotate", "--model", str(model), *map(str, arguments)]
    return CliRunner().invoke(app, command).exit_code


def test_the_rows_are_those_of_the_local_engine(
    ray_here: None, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = copies(Path("photos"), 70)
    (photos / "broken.jpg").write_bytes(b"no photo")
    for engine in ("ray", "local"):
        options = ["--engine", engine, "--output", tmp_path / engine, "--distribution"]
        assert annotate(tiny_model, photos, *options) == 1
    for table in ("photos", "faces"):
        assert read(tmp_path / "ray", table).equals(read(tmp_path / "local", table))
    assert len(names(tmp_path / "ray")) == 71


def test_a_photo_that_ends_its_process_is_a_row(ray_here: None, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a.jpg\ndeadly.jpg\nb.jpg\ndone.jpg")
    done = Names()
    done.add("done.jpg")
    found = look_on_cluster(find_sources([f"@{tmp_path}/list"]), done, Trap, None)
    assert {row.name: row.failed for rows in found for row in rows} == {
        "a.jpg": False,
        "deadly.jpg": True,
        "b.jpg": False,
    }


@pytest.mark.parametrize("moment", [0, 1])
def test_a_worker_that_dies_is_made_good(
    ray_here: None, tmp_path: Path, tiny_model: Path, moment: float
) -> None:
    photos = copies(tmp_path / "photos", 300)
    killed: list[int] = []
    killer = threading.Thread(target=_kill_an_actor, args=(killed, moment, _actors()), daemon=True)
    killer.start()
    assert annotate(tiny_model, photos, "--engine", "ray", "--output", tmp_path / "out") == 0
    killer.join(30)
    assert len(killed) == 1
    for table in ("photos", "faces"):
        assert len(names(tmp_path / "out", table)) == len(set(names(tmp_path / "out", table))) == 300


def _kill_an_actor(killed: list[int], moment: float, earlier: set[int]) -> None:
    """Kill one of this process's new actors when it has been there for a moment, in seconds."""
    while not (actors := _actors() - earlier):
        time.sleep(0.05)
    time.sleep(moment)
    os.kill(min(actors), signal.SIGKILL)
    killed.append(min(actors))


def _actors() -> set[int]:
    return {pid for pid in _descendants() if "MapWorker" in _command(pid)}


def _descendants() -> set[int]:
    """The processes that this one has started, and theirs. A child may have the smaller number."""
    parents = dict(_parents())
    found, before = {os.getpid()}, 0
    while len(found) > before:
        before = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found - {os.getpid()}


def _parents() -> Iterator[tuple[int, int]]:
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            yield int(name), int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def test_a_driver_that_was_killed_is_run_again(tmp_path: Path, tiny_model: Path) -> None:
    photos = copies(tmp_path / "photos", 400)
    code = "from mien.cli import main; main()"
    options = ["--model", tiny_model, "--engine", "ray", "--workers", "1", "--output", tmp_path / "out"]
    command = [sys.executable, "-c", code, "annotate", *map(str, [photos, *options])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("out/photos/part-*.parquet")):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert 0 < len(names(tmp_path / "out")) < 400
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    for table in ("photos", "faces"):
        assert len(names(tmp_path / "out", table)) == len(set(names(tmp_path / "out", table))) == 400


def test_a_ray_that_is_not_there_is_a_sentence(tmp_path: Path, tiny_model: Path, astronaut: Path) -> None:
    code = "from mien.cli import main; main()"
    options = ["--model", tiny_model, "--engine", "ray", "--output", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, "annotate", *map(str, [astronaut, *options])],
        env=os.environ | {"RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "There is no Ray at 127.0.0.1:1" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
