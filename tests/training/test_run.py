from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing import event_accumulator  # type: ignore[import-untyped]  # it is not

from mien.data.manifest import read_manifest, write_manifest
from mien.errors import DataError, TrainingError
from mien.training import vggface
from mien.training.fit import moving_average
from mien.training.module import InputSpec
from mien.training.recipes import Recipe, classic, get_recipe
from mien.training.run import read_tables, train

from .conftest import TinyModule, Train


def load(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint, weights_only=True)  # type: ignore[no-any-return]  # a checkpoint is a dict


def test_a_run_leaves_checkpoints_logs_and_curves(
    manifest: Path, tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    last = train([manifest], tiny_recipe, run, devices="1")
    assert last == run / "checkpoints" / "last.ckpt"
    assert {p.name for p in last.parent.iterdir()} == {"best.ckpt", "last.ckpt"}
    assert {p.stem for p in (run / "curves").iterdir()} == {
        *("age_loss", "gender_loss", "race_loss", "loss"),
        *("age_mae", "age_rmse", "gender_accuracy", "learning_rate"),
    }
    table = pd.read_csv(run / "logs" / "metrics.csv")
    assert table["epoch"].tolist() == [1, 2]
    for name in ("age_loss", "gender_loss", "race_loss", "loss", "age_mae", "age_rmse", "gender_accuracy"):
        assert table[[f"train/{name}", f"val/{name}"]].notna().all(axis=None)

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert all(part in lines[0] for part in ("train/loss", "val/loss", "val/age_mae", "left at this pace"))

    events = event_accumulator.EventAccumulator(str(run / "logs"))
    events.Reload()
    recorded = {event.step: event.value for event in events.Scalars("val/age_mae")}
    assert recorded == pytest.approx(dict(zip(table["epoch"], table["val/age_mae"], strict=True)))


def test_a_checkpoint_says_what_it_is(start: Train) -> None:
    note = load(start(epochs=1))["mien"]
    assert note["recipe"] == "tiny"
    assert note["training_data"] == ["one: 15 faces", "two: 5 faces"]


@pytest.mark.slow
def test_an_interrupted_run_resumes_as_if_it_never_stopped(
    start: Train, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load(start(output=tmp_path / "whole"))

    def press_ctrl_c(module: TinyModule) -> None:
        if module.current_epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TinyModule, "on_train_epoch_start", press_ctrl_c, raising=False)
        with pytest.raises(TrainingError, match=r"interrupted; --resume goes on"):
            start()
    assert load(tmp_path / "run" / "checkpoints" / "last.ckpt")["epoch"] == 0

    resumed = load(start(resume=True))
    assert resumed["global_step"] == whole["global_step"] == 8
    for name, value in whole["current_model_state"].items():
        assert torch.equal(resumed["current_model_state"][name], value), name
    for name, value in whole["state_dict"].items():  # the average, whose kernels checkpoints keep in bytes
        step = value.abs().max() / 127 if value.ndim > 1 else torch.tensor(1e-6)
        assert torch.allclose(resumed["state_dict"][name], value, rtol=0, atol=float(1.5 * step)), name
    one, other = (
        pd.read_csv(tmp_path / run / "logs" / "metrics.csv").drop(columns="seconds")
        for run in ("run", "whole")
    )
    pd.testing.assert_frame_equal(one, other, check_like=True, rtol=2**-10)


def test_the_last_checkpoint_is_the_last_epochs_even_if_an_earlier_was_better(
    start: Train, tiny_recipe: Recipe
) -> None:
    class Worsening(TinyModule):
        def expectation(self, age_probabilities: torch.Tensor) -> torch.Tensor:
            return super().expectation(age_probabilities) + 100 * self.current_epoch

    last = start(replace(tiny_recipe, build=Worsening))
    assert load(last)["epoch"] == 1
    assert load(last.with_name("best.ckpt"))["epoch"] == 0


def test_a_finished_run_may_be_resumed_and_stays(start: Train) -> None:
    before = load(start(epochs=1))["global_step"]
    assert load(start(epochs=1, resume=True))["global_step"] == before


def test_an_early_look_takes_so_many_batches(start: Train) -> None:
    assert load(start(epochs=1, limit_train_batches=2))["global_step"] == 2


def test_the_classic_recipe_trains(start: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vggface, "WIDTHS", ((4,),) * 5)
    monkeypatch.setattr(classic, "FEATURES", 4)
    monkeypatch.setattr(classic, "INPUT", InputSpec(size=32, channel_order="BGR"))
    last = start(replace(get_recipe("classic"), epochs=3, batch_size=4, chip_side=32), precision="bf16-mixed")
    table = pd.read_csv(last.parents[1] / "logs" / "metrics.csv")
    assert table["age/learning_rate"].tolist() == [1e-3] * 3
    assert table["gender/learning_rate"].tolist() == [1e-4, 1e-4, 0]
    sigma = float(load(last)["state_dict"]["age_sigma"])
    assert sigma == pytest.approx(table["val/age_rmse"].iloc[-1], rel=1e-5)


def test_a_folder_with_a_run_is_not_overwritten(start: Train) -> None:
    start(epochs=1)
    with pytest.raises(TrainingError, match=r"already holds a run; give --resume"):
        start(epochs=1)


def test_nothing_to_resume(start: Train) -> None:
    with pytest.raises(TrainingError, match=r"no checkpoint to resume from; leave out --resume"):
        start(resume=True)


def test_a_run_is_resumed_with_its_own_recipe_and_settings(start: Train, tiny_recipe: Recipe) -> None:
    start(epochs=1)
    with pytest.raises(TrainingError, match=r"recipe 'tiny', not 'other'"):
        start(replace(tiny_recipe, name="other"), epochs=1, resume=True)
    with pytest.raises(TrainingError, match=r"started with epochs 1, not 5"):
        start(epochs=5, resume=True)


def test_a_foreign_checkpoint_is_not_resumed(start: Train, tmp_path: Path) -> None:
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.write_bytes(b"nothing of the kind")
    with pytest.raises(TrainingError, match=r"last\.ckpt is not a readable checkpoint"):
        start(resume=True)


@pytest.mark.parametrize(
    ("setting", "named"),
    [({"precision": "7-bit"}, "7-bit"), ({"strategy": "guess"}, "guess"), ({"devices": "-3"}, "devices")],
)
def test_settings_that_lightning_refuses_are_one_sentence(
    start: Train, setting: dict[str, str], named: str
) -> None:
    with pytest.raises(TrainingError, match=f"trainer cannot be set up so: .*{named}"):
        start(**setting)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_both_parts_must_have_rows(manifest: Path, tmp_path: Path, part: str) -> None:
    table = read_manifest(manifest)
    write_manifest(table[table["split"] != part], tmp_path / "part.csv")
    with pytest.raises(TrainingError, match=rf"part\.csv has no rows whose split is '{part}'"):
        read_tables([tmp_path / "part.csv"])


def test_a_run_is_judged_by_exact_ages(manifest: Path, tmp_path: Path) -> None:
    table = read_manifest(manifest)
    table.loc[table["split"] == "validation", ["age_high", "age"]] = [90, float("nan")]
    write_manifest(table, tmp_path / "bins.csv")
    with pytest.raises(TrainingError, match=r"bins\.csv has no validation row with an exact age"):
        read_tables([tmp_path / "bins.csv"])


def test_all_manifests_train_and_the_first_judges(manifest: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.csv"
    write_manifest(read_manifest(manifest).assign(dataset="second"), second)
    training, validation = read_tables([manifest, second])
    assert set(training["dataset"]) == {"one", "two", "second"}
    assert set(validation["dataset"]) == {"one"}


def test_a_missing_picture_is_named(manifest: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    table = read_manifest(manifest)
    table.loc[0, "path"] = "/nowhere/face.jpg"
    write_manifest(table, tmp_path / "gap.csv")
    with pytest.raises(DataError, match=r"/nowhere/face\.jpg"):
        train([tmp_path / "gap.csv"], tiny_recipe, tmp_path / "run")


def test_an_unknown_recipe_is_answered_with_those_there_are() -> None:
    with pytest.raises(TrainingError, match=r"'big' is not a recipe; choose from small, classic"):
        get_recipe("big")


def test_the_moving_average_soon_forgets_the_random_start() -> None:
    average = moving_average(0.999)
    value = torch.tensor([100.0])
    for step in range(1, 200):
        value = average(value, torch.tensor([1.0]), step)
    assert value.item() == pytest.approx(1.0, abs=0.01)


def test_the_moving_average_settles_at_its_decay() -> None:
    value = moving_average(0.9)(torch.tensor([1.0]), torch.tensor([0.0]), 10_000)
    assert value.item() == pytest.approx(0.9)
