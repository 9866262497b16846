"""Record of a run: after each epoch a line of text, a table row, TensorBoard, and plots of the curves."""

import sys
import time
from datetime import timedelta
from pathlib import Path

import lightning as L
import pandas as pd
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mien.files import written_beside

PARTS = {"train": "training", "val": "validation"}
METRICS = {
    "age_mae": ("age: mean absolute error", "years"),
    "age_rmse": ("age: root mean squared error", "years"),
    "age_bin_distance": ("age: mean distance to the labelled bin", "years"),
    "age_bin_accuracy": ("age: in the labelled bin", "share of faces"),
    "gender_accuracy": ("gender: accuracy", "share of faces"),
}
"""Title and unit of each metric that is not a loss."""


class EpochRecord(Callback):
    """Record the losses and metrics of each epoch.

    ``logs/metrics.csv`` holds one row per epoch, ``logs`` the same for TensorBoard with the epoch as its
    step, ``curves/*.png`` one plot per quantity. A resumed run continues the same files.
    """

    def __init__(self, output: Path) -> None:
        """Set the run's folder."""
        self._table = output / "logs" / "metrics.csv"
        self._curves = output / "curves"
        self._started = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record the epoch; Lightning calls this after both training and validation."""
        if not trainer.is_global_zero:
            return
        row = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
        row |= _learning_rates(trainer)
        seconds = time.monotonic() - self._started
        if trainer.logger is not None:
            trainer.logger.log_metrics(row, step=trainer.current_epoch + 1)
        table = append_row(
            self._table, {"epoch": trainer.current_epoch + 1, "seconds": round(seconds, 1), **row}
        )
        draw_curves(table, self._curves)
        line = describe_epoch(row, trainer.current_epoch + 1, trainer.max_epochs or 0, seconds)
        if trainer.progress_bar_callback is not None:
            pl_module.print(line)  # above the progress bar
        else:
            print(line, file=sys.stderr, flush=True)


def append_row(path: Path, row: dict[str, float]) -> pd.DataFrame:
    """Add an epoch's row to a table on disk, replacing rows of that and later epochs; return the table."""
    table = pd.DataFrame([row])
    if path.exists():
        before = pd.read_csv(path)
        table = pd.concat([before[before["epoch"] < row["epoch"]], table], ignore_index=True)
    with written_beside(path) as partial:  # other readers always find a complete table
        table.to_csv(partial, index=False)
    return table


def describe_epoch(row: dict[str, float], epoch: int, epochs: int, seconds: float) -> str:
    """Describe an epoch in one line.

    >>> describe_epoch({"train/loss": 4.5, "val/age_mae": 6.25, "train/age_mae": 7.0}, 3, 24, 60.0)
    'epoch 3/24  train/loss 4.5  val/age_mae 6.25  60 s, 0:21:00 left at this pace'
    """
    names = ["train/loss", *sorted(name for name in row if name.startswith("val/"))]
    values = [f"{name} {row[name]:.4g}" for name in names if name in row]
    left = timedelta(seconds=round(seconds * (epochs - epoch)))
    return "  ".join([f"epoch {epoch}/{epochs}", *values, f"{seconds:.0f} s, {left} left at this pace"])


def draw_curves(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw one PNG per quantity, with training and validation together.

    Args:
        table: A column ``epoch`` and columns named ``part/quantity``, such as ``val/age_mae``.
        folder: Folder for the files ``quantity.png``.

    Returns:
        The files written.
    """
    columns = sorted(column for column in table.columns if "/" in column)
    written = []
    for name in sorted({column.split("/", 1)[1] for column in columns}):
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.add_subplot()
        for column in (c for c in columns if c.split("/", 1)[1] == name):
            part = column.split("/", 1)[0]
            axes.plot(table["epoch"], table[column], ".-", label=PARTS.get(part, part))
        title, unit = METRICS.get(name, (name.replace("_", " "), ""))
        axes.set(xlabel="epoch", ylabel=unit, title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        written.append(folder / f"{name}.png")
        with written_beside(written[-1]) as partial:
            figure.savefig(partial, dpi=120)
    return written


def _learning_rates(trainer: L.Trainer) -> dict[str, float]:
    """Learning rate of each parameter group by the group's name; unnamed groups share one entry."""
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    return {f"{group.get('name', 'train')}/learning_rate": float(group["lr"]) for group in groups}
