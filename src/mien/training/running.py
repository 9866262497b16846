"""Protection of a run: lock its folder, handle signals, and turn failures into one-sentence errors."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import filelock
import lightning as L
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import Callback

from mien.errors import StoppedError, TrainingError

LAST = "last.ckpt"
_TOO_LITTLE_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""Parts of the messages of PyTorch's allocators, which differ between devices."""


class Signals(Callback):
    """Stop a run at Ctrl-C and SIGTERM, at any point.

    Python raises KeyboardInterrupt in whatever code is running, which may be a library's callback that
    swallows it (matplotlib's reading of fonts does). So received signals are checked before every batch.
    """

    def __init__(self) -> None:
        """Start without a received signal."""
        self.received = 0

    def interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal: note it and raise KeyboardInterrupt."""
        self.received = signum
        raise KeyboardInterrupt

    def _look(self, *hook: Any, **arguments: Any) -> None:
        if self.received:
            raise KeyboardInterrupt

    on_train_batch_start = on_validation_batch_start = on_train_epoch_end = on_fit_end = _look


def is_first() -> bool:
    """Whether this is the one process of a distributed run that prints messages and locks the folder."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def say(sentence: str) -> None:
    """Print a message about the run to standard error, from one process only."""
    if is_first():
        print(sentence, file=sys.stderr, flush=True)


@contextmanager
def running(output: Path) -> Iterator[Signals]:
    """Create and lock the folder of a run; yield the callback that stops its trainer at signals.

    Raises:
        StoppedError: At Ctrl-C or SIGTERM.
        TrainingError: If another process trains into the folder, the folder cannot be written, or memory runs
            out.
    """
    signals = Signals()
    try:
        with ExitStack() as stack:
            output.mkdir(parents=True, exist_ok=True)
            if is_first():  # the processes of a distributed run share the folder
                stack.enter_context(filelock.FileLock(output / ".lock", timeout=0))
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGINT, signal.SIGTERM):
                    stack.callback(signal.signal, number, signal.signal(number, signals.interrupt))
            yield signals
    except filelock.Timeout:
        raise TrainingError(
            f"{output} is being trained into by another process; choose another --output."
        ) from None
    except (KeyboardInterrupt, SystemExit) as leaving:  # Lightning turns the former into the latter
        if not (signals.received or _is_interrupt(leaving) or _is_interrupt(leaving.__context__)):
            raise
        raise _stopped(output, signals.received or signal.SIGINT) from None
    except OSError as error:
        raise TrainingError(
            f"the run in {output} cannot be written ({error.strerror or error}); make room there or choose "
            f"another --output; {_then(output)}."
        ) from None
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not any(
            words in str(error) for words in _TOO_LITTLE_MEMORY
        ):
            raise
        raise TrainingError("there is too little memory for this run; give a smaller --batch-size.") from None


def _is_interrupt(error: BaseException | None) -> bool:
    return isinstance(error, KeyboardInterrupt)


def _stopped(output: Path, signum: int) -> StoppedError:
    how = "interrupted" if signum == signal.SIGINT else f"ended by {signal.Signals(signum).name}"
    return StoppedError(f"training was {how}; {_then(output)}.", signum)


def _then(output: Path) -> str:
    saved = (output / "checkpoints" / LAST).exists()
    return "--resume goes on after the last whole epoch" if saved else "no epoch was finished"


class RefuseInfinite(Callback):
    """Stop a run whose loss is NaN or infinite, before a useless checkpoint is saved."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the batch's loss."""
        self._check(trainer, "training loss", outputs["loss"])

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the validation losses and metrics before a checkpoint is written."""
        for name, value in trainer.callback_metrics.items():
            if name.startswith("val/"):
                self._check(trainer, name, value)

    def _check(self, trainer: L.Trainer, name: str, value: torch.Tensor) -> None:
        if not bool(torch.isfinite(value).all()):
            raise TrainingError(
                f"the {name} of epoch {trainer.current_epoch + 1} is {float(value)}, so training has "
                "stopped; earlier checkpoints stand. Look for wrong labels, or give --precision 32-true."
            )
