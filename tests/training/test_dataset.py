import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mien.data.manifest import read_manifest
from mien.errors import DataError
from mien.training.dataset import ChipDataset, ShareSampler, load_chips


@pytest.fixture
def table(manifest: Path) -> pd.DataFrame:
    return read_manifest(manifest)


def test_chips_are_the_pictures(table: pd.DataFrame, tmp_path: Path) -> None:
    chips = load_chips(table, 40, tmp_path)
    np.testing.assert_array_equal(chips[3], np.asarray(Image.open(table["path"][3])))


def test_chips_are_decoded_once(table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_chips(table, 16, tmp_path)
    monkeypatch.setattr("mien.data.chips.read_photo", None)
    np.testing.assert_array_equal(load_chips(table, 16, tmp_path), first)


def test_changed_pictures_are_decoded_again_and_that_is_said(
    table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, name in enumerate(("one.png", "other.png")):
        Image.new("RGB", (40, 40), (i, i, i)).save(tmp_path / name)
    table = table[:2].assign(path=[str(tmp_path / name) for name in ("one.png", "other.png")])
    load_chips(table, 40, tmp_path / "chips")
    assert not capsys.readouterr().err
    Image.new("RGB", (40, 40), (9, 9, 9)).save(tmp_path / "other.png")
    assert load_chips(table, 40, tmp_path / "chips")[:, 0, 0, 0].tolist() == [0, 9]
    assert "Pictures have changed since they were read" in capsys.readouterr().err
    assert len(list((tmp_path / "chips").iterdir())) == 1


def opened() -> str:
    """What this process has open or mapped into its memory."""
    mapped = Path("/proc/self/maps").read_text()
    return "\n".join(
        [mapped, *(os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.exists())]
    )


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_no_file_is_renamed_while_it_is_open_or_mapped_which_windows_refuses(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, renamed = Path.replace, []

    def replace(path: Path, target: Path) -> Path:
        assert str(path) not in opened() and str(target) not in opened()
        renamed.append(target)
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    load_chips(table, 40, tmp_path)
    assert len(renamed) == 1


def test_chips_that_cannot_be_removed_since_they_are_mapped_are_left(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "one.png"
    Image.new("RGB", (40, 40), (0, 0, 0)).save(picture)
    table = table[:1].assign(path=str(picture))
    kept = load_chips(table, 40, tmp_path / "chips")
    Image.new("RGB", (40, 40), (9, 9, 9)).save(picture)
    remove = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".npy" and path.exists() and not path.name.startswith("."):
            raise PermissionError(13, "being used by another process", str(path))
        remove(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    assert load_chips(table, 40, tmp_path / "chips").max() == 9 and kept.max() == 0


def test_another_side_or_table_has_another_file(table: pd.DataFrame, tmp_path: Path) -> None:
    load_chips(table, 16, tmp_path)
    load_chips(table, 8, tmp_path)
    load_chips(table[:4], 16, tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 3


def test_a_missing_picture_is_named_and_leaves_no_file(table: pd.DataFrame, tmp_path: Path) -> None:
    table.loc[2, "path"] = "/nowhere/face.jpg"
    with pytest.raises(DataError, match=r"/nowhere/face\.jpg.*mien data audit"):
        load_chips(table, 16, tmp_path)
    assert not list(tmp_path.glob("*.npy"))


def test_a_batch_carries_labels_and_marks_unknown_ones(table: pd.DataFrame) -> None:
    chips = np.arange(len(table), dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    batch = ChipDataset(table, chips).__getitems__([4, 2])
    assert batch.chips[:, 0, 0, 0].tolist() == [4, 2]
    assert batch.age_low.tolist() == [24, 22] and batch.age_high.tolist() == [33, 22]
    assert batch.gender.tolist() == [1, -1]
    assert batch.race.tolist() == [1, -1]


def test_one_face_is_a_batch_of_one(table: pd.DataFrame) -> None:
    dataset = ChipDataset(table, np.zeros((len(table), 2, 2, 3), np.uint8))
    assert dataset[1].chips.shape == (1, 2, 2, 3)


ROWS = pd.DataFrame({"dataset": ["a"] * 10 + ["b"] * 20, "age_low": 30.0, "age_high": 30.0})


def test_each_data_set_gives_its_share() -> None:
    rows = list(ShareSampler(ROWS, {"b": 0.25}))
    assert len(set(rows)) == len(rows) == 15
    assert sorted(r for r in rows if r < 10) == list(range(10))


def test_epochs_draw_anew_and_only_the_epoch_and_seed_decide() -> None:
    first = ShareSampler(ROWS, {"b": 0.25}, seed=1)
    epochs = []
    for epoch in range(3):
        first.set_epoch(epoch)
        epochs.append(list(first))
    assert epochs[0] != epochs[1] != epochs[2]
    resumed = ShareSampler(ROWS, {"b": 0.25}, seed=1)
    resumed.set_epoch(2)
    assert list(resumed) == epochs[2]
    assert list(ShareSampler(ROWS, {"b": 0.25}, seed=2)) != epochs[0]


def test_processes_share_an_epoch_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = ShareSampler(ROWS, {"b": 0.25}, seed=1)
    sampler.set_epoch(5)
    alone = list(sampler)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        parts.append(list(sampler))
        assert len(parts[-1]) == len(sampler) == 7
    assert sorted(parts[0] + parts[1]) == sorted(alone[:14])
