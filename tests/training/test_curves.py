from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from mien.training.curves import append_row, draw_curves

TABLE = pd.DataFrame(
    {"epoch": [1, 2], "seconds": [9, 9], "train/loss": [5, 4], "val/loss": [6, 5], "val/age_mae": [9, 8]}
)


def test_each_quantity_has_one_picture(tmp_path: Path) -> None:
    written = draw_curves(TABLE, tmp_path / "curves")
    assert [path.name for path in written] == ["age_mae.png", "loss.png"]
    with Image.open(written[1]) as picture:
        assert picture.size == (768, 480)
        assert len(np.unique(np.asarray(picture))) > 10  # not blank


def test_rows_add_up_across_starts(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "metrics.csv"
    append_row(path, {"epoch": 1, "val/age_mae": 9.0})
    append_row(path, {"epoch": 2, "val/age_mae": 8.0, "train/loss": 1.0})
    table = pd.read_csv(path)
    assert table["epoch"].tolist() == [1, 2]
    assert table["val/age_mae"].tolist() == [9, 8]


def test_an_epoch_done_again_replaces_its_row_and_later_ones(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    for epoch in (1, 2, 3):
        append_row(path, {"epoch": epoch, "val/age_mae": 9.0})
    table = append_row(path, {"epoch": 2, "val/age_mae": 7.0})
    assert table["val/age_mae"].tolist() == [9, 7]
    assert pd.read_csv(path).equals(table)
