"""Curves of every loss and metric against the epoch, drawn anew after each epoch."""

from pathlib import Path

import lightning as L
import pandas as pd
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure


class CurvePlots(Callback):
    """Draw ``curves/*.png`` from the metrics that the trainer logged."""

    def __init__(self, output: Path) -> None:
        """Take the run's folder."""
        self._file = output / "curves" / "metrics.csv"

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Append this epoch's metrics and draw; the last metrics of an epoch are known by now."""
        if not trainer.is_global_zero:
            return
        row = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
        table = pd.DataFrame([{"epoch": trainer.current_epoch + 1, **row}])
        if self._file.exists():
            before = pd.read_csv(self._file)
            table = pd.concat([before[before["epoch"] <= trainer.current_epoch], table], ignore_index=True)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(self._file, index=False)
        draw_curves(table, self._file.parent)


def draw_curves(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw one PNG for each quantity, train and validation together.

    Args:
        table: A column ``epoch`` and columns ``train/…`` and ``val/…``.
        folder: Where to write.

    Returns:
        The files written.
    """
    columns = [c for c in table.columns if "/" in c and not c.endswith("_step")]
    names = {c: c.split("/", 1)[1].removesuffix("_epoch") for c in columns}
    written = []
    for name in sorted(set(names.values())):
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.add_subplot()
        for column in (c for c in columns if names[c] == name):
            axes.plot(table["epoch"], table[column], marker=".", label=column.split("/", 1)[0])
        axes.set(xlabel="epoch", ylabel=name.replace("_", " "), title=name.replace("_", " "))
        axes.grid(alpha=0.3)
        axes.legend()
        written.append(folder / f"{name}.png")
        figure.savefig(written[-1], dpi=120)
    return written
