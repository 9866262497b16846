"""What stops a run: signals, full disks, killed processes, losses that are no numbers, other runs."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import filelock
import pandas as pd
import pytest
import torch
from torch import Tensor

from mien.data.manifest import read_manifest, write_manifest
from mien.errors import DataError, StoppedError, TrainingError
from mien.training.checkpoint import read_checkpoint
from mien.training.dataset import Batch, load_chips
from mien.training.module import Outcome
from mien.training.recipes import Recipe
from mien.training.run import train

from .conftest import TinyModule, Train


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As if the disk were full beyond: writing fails, with the words of a file too large."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def swallowed(signum: int) -> None:
    """A signal that falls into a library which swallows what its handler raises."""
    try:
        os.kill(os.getpid(), signum)
        signal.sigtimedwait([], 1)
    except KeyboardInterrupt:
        pass


@pytest.mark.parametrize(
    ("signum", "status", "words"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
)
def test_a_signal_between_epochs_stops_the_run(
    start: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, signum: int, status: int, words: str
) -> None:
    monkeypatch.setattr("mien.training.curves.draw_curves", lambda table, folder: swallowed(signum))
    with pytest.raises(StoppedError, match=words) as stopped:
        start(epochs=3)
    assert stopped.value.exit_status == status
    assert len(pd.read_csv(tmp_path / "run" / "logs" / "metrics.csv")) == 1


def test_handlers_of_signals_are_given_back(start: Train) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    start(epochs=1)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_folder_is_trained_into_by_one_process(start: Train, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (
        filelock.FileLock(tmp_path / "run" / ".lock"),
        pytest.raises(TrainingError, match="run is being trained into by another process"),
    ):
        start(epochs=1)


def test_a_loss_that_is_no_number_stops_the_run_and_is_not_saved(
    start: Train, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    class Diverging(TinyModule):
        def judge(self, images: Tensor, batch: Batch) -> Outcome:
            outcome = super().judge(images, batch)
            losses = outcome.losses | {"loss": outcome.losses["loss"] * float("nan")}
            return outcome._replace(losses=losses) if self.current_epoch else outcome

    with pytest.raises(TrainingError, match=r"training loss of epoch 2 is nan.*earlier checkpoints stand"):
        start(replace(tiny_recipe, build=Diverging))
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["epoch"] == 0


def test_a_validation_loss_that_is_no_number_stops_the_run(start: Train, tiny_recipe: Recipe) -> None:
    class Overflowing(TinyModule):
        def judge(self, images: Tensor, batch: Batch) -> Outcome:
            outcome = super().judge(images, batch)
            infinite = outcome.losses | {"age_loss": outcome.losses["age_loss"] + float("inf")}
            return outcome if self.training else outcome._replace(losses=infinite)

    with pytest.raises(TrainingError, match=r"val/age_loss of epoch 1 is inf"):
        start(replace(tiny_recipe, build=Overflowing))


def test_ages_alone_are_learned(
    manifest: Path, tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(read_manifest(manifest).assign(gender=""), tmp_path / "ages.csv")
    last = train([tmp_path / "ages.csv"], tiny_recipe, tmp_path / "run", devices="1", precision="32-true")
    assert all(value.isfinite().all() for value in read_checkpoint(last)["state_dict"].values())
    assert "No training row has a gender" in capsys.readouterr().err


def test_faces_of_one_gender_are_named(
    manifest: Path, tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(read_manifest(manifest).assign(gender="female"), tmp_path / "women.csv")
    train([tmp_path / "women.csv"], tiny_recipe, tmp_path / "run", epochs=1, devices="1")
    assert "All known genders are female" in capsys.readouterr().err


def test_a_full_disk_leaves_the_checkpoint_before(
    start: Train, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Filling(TinyModule):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 1:
                resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(
            TrainingError, match=r"run cannot be written \(File too large\).*--resume goes on"
        ):
            start(replace(tiny_recipe, build=Filling))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["epoch"] == 0
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))
    start(resume=True)


def test_a_disk_too_small_for_the_faces_is_known_before_they_are_read(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.training.dataset.read_chips", lambda table, side: pytest.fail("they are read"))
    with (
        files_of_at_most(1_000_000),
        pytest.raises(DataError, match=r"26 decoded faces need 3 MB in .*chips .*make room"),
    ):
        load_chips(read_manifest(manifest), 200, tmp_path / "chips")
    assert not list((tmp_path / "chips").iterdir())


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.training.conftest import TinyModule
from mien.training import checkpoint
from mien.training.recipes import RECIPES, Recipe
from mien.training.run import train

whole = Path.write_bytes

def half(path, data):
    if killed:
        whole(path, data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(path, data)

class Killed(TinyModule):
    def on_train_epoch_start(self):
        global killed
        killed = self.current_epoch == 1

Path.write_bytes = half
RECIPES["tiny"] = Recipe(name="tiny", build=Killed, epochs=2, batch_size=4, learning_rate=2e-3,
                         chip_side=32, shares={"two": 0.8}, ema_decay=0.9, teachable=True)
train([Path(sys.argv[2])], RECIPES["tiny"], Path(sys.argv[3]), devices="1", precision="32-true")
"""


@pytest.mark.slow
def test_a_process_killed_while_it_writes_leaves_the_checkpoint_before(
    manifest: Path, start: Train, tmp_path: Path
) -> None:
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", KILLED, root, str(manifest), str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["epoch"] == 0
    assert read_checkpoint(start(resume=True))["epoch"] == 1


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        RuntimeError("MPS backend out of memory (MPS allocated: 18.13 GB, max allowed: 18.13 GB)."),
        MemoryError(),
    ],
)
def test_too_little_memory_is_one_sentence_on_every_device(
    start: Train, tiny_recipe: Recipe, error: Exception
) -> None:
    class Large(TinyModule):
        def augmented(self, chips: Tensor) -> Tensor:
            raise error

    with pytest.raises(TrainingError, match="too little memory for this run; give a smaller --batch-size"):
        start(replace(tiny_recipe, build=Large))


def test_other_errors_of_pytorch_are_not_taken_for_it(start: Train, tiny_recipe: Recipe) -> None:
    class Broken(TinyModule):
        def augmented(self, chips: Tensor) -> Tensor:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        start(replace(tiny_recipe, build=Broken))


def test_a_folder_that_may_not_be_written_is_one_sentence(start: Train, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"the run in .*file/run cannot be written \(Not a directory\)"):
        start(output=tmp_path / "file" / "run")
