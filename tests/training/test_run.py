from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing import event_accumulator  # type: ignore[import-untyped]  # it is not

from mien.data.manifest import read_manifest, write_manifest
from mien.errors import DataError, MienError, TrainingError
from mien.training import devices, vggface
from mien.training.fit import moving_average
from mien.training.module import InputSpec
from mien.training.recipes import Recipe, classic, get_recipe
from mien.training.run import read_tables, train

from .conftest import TRAIN, VALIDATION, TinyModule, Train


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
        *("age_mae", "age_rmse", "age_bin_distance", "age_bin_accuracy", "gender_accuracy"),
        "learning_rate",
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
    assert note["training_data"] == ["one: 15 faces", "two: 5 faces, ages known as bins"]


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
    for name, value in whole["state_dict"].items():  # the average
        assert torch.equal(resumed["state_dict"][name], value), name
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


def test_a_finished_run_may_be_resumed_and_stays(start: Train, capsys: pytest.CaptureFixture[str]) -> None:
    before = start(epochs=1).read_bytes()
    capsys.readouterr()
    assert start(epochs=1, resume=True).read_bytes() == before
    assert capsys.readouterr().err.endswith("run has already finished its 1 epochs.\n")


def test_a_finished_run_is_gone_on_with_from_its_weights(
    start: Train, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    last = start(epochs=1)
    with pytest.raises(TrainingError, match=r"start a new run.*--weights .*last\.ckpt --epochs 4") as refusal:
        start(epochs=5, resume=True)
    assert str(last) in str(refusal.value)

    class Watched(TinyModule):
        def on_fit_start(self) -> None:
            self.before = {name: value.clone() for name, value in self.net.state_dict().items()}
            started.append(self)

    started: list[Watched] = []
    start(replace(tiny_recipe, build=Watched), epochs=1, weights=last, output=tmp_path / "more")
    weights = load(last)["state_dict"]
    assert all(torch.equal(value, weights[f"net.{name}"]) for name, value in started[0].before.items())
    assert started[0].continued


def test_a_checkpoint_of_another_recipe_is_not_started_from(
    start: Train, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    last = start(epochs=1)
    with pytest.raises(TrainingError, match=r"last\.ckpt is of the recipe 'tiny', not 'other'"):
        start(replace(tiny_recipe, name="other"), weights=last, output=tmp_path / "other")


def test_the_recipe_that_a_keras_file_is_for_is_named(
    start: Train, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    (tmp_path / "vgg.h5").write_bytes(b"")
    with pytest.raises(
        TrainingError, match=r"vgg\.h5 is a Keras file, which the recipe 'classic' starts from"
    ):
        start(tiny_recipe, weights=tmp_path / "vgg.h5")


@pytest.mark.parametrize("setting", ["manifests", "weights", "precision"])
def test_what_makes_a_run_is_the_same_when_it_is_resumed(
    manifest: Path, tiny_recipe: Recipe, tmp_path: Path, setting: str
) -> None:
    other = tmp_path / "other.csv"
    write_manifest(read_manifest(manifest).assign(dataset="other"), other)
    settings: dict[str, Any] = {"epochs": 2, "devices": "1", "precision": "32-true"}

    class Stopping(TinyModule):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 1:
                raise KeyboardInterrupt

    stopping = replace(tiny_recipe, build=Stopping)
    with pytest.raises(TrainingError, match="interrupted"):
        train([manifest], stopping, tmp_path / "run", **settings)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    changed: dict[str, dict[str, Any]] = {"weights": {"weights": last}, "precision": {"precision": "64-true"}}
    read = [other] if setting == "manifests" else [manifest]
    with pytest.raises(TrainingError, match=f"was started with {setting}.*resume it with the same"):
        train(read, tiny_recipe, tmp_path / "run", resume=True, **settings | changed.get(setting, {}))


@pytest.mark.parametrize(
    "missing", [{"precision": "7-bit"}, {"strategy": "guess"}, {"weights": Path("no.ckpt")}]
)
def test_mistakes_are_found_before_any_picture_is_read(
    start: Train, monkeypatch: pytest.MonkeyPatch, missing: dict[str, Any]
) -> None:
    monkeypatch.setattr("mien.data.chips.read_photo", lambda path: pytest.fail("a picture is read"))
    with pytest.raises(MienError):
        start(**missing)


def test_more_processes_than_cores_are_refused(start: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_has_gpu", lambda: False)
    monkeypatch.setattr(devices, "_cores", lambda: 2)
    with pytest.raises(TrainingError, match=r"5 devices are asked for.*all 2 cores.*--devices 1"):
        start(devices="5")


@pytest.mark.parametrize(("hardware", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_the_precision_is_what_the_device_is_fast_in(
    start: Train,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    hardware: bool,
    precision: str,
) -> None:
    monkeypatch.setattr(devices, "_has_bfloat16", lambda: hardware)
    assert load(start(epochs=1, precision="auto"))["mien"]["settings"]["precision"] == precision
    assert f"Training on cpu in {precision}.\n" in capsys.readouterr().err


def test_a_validation_face_does_not_train_under_another_name(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = read_manifest(manifest)
    table["group"] = [f"{i:016x}" for i in range(len(table))]
    write_manifest(table, tmp_path / "first.csv")
    sides = table["split"].map({"train": "validation", "validation": "train"})
    moved = table.assign(split=sides, path="/elsewhere/" + table["group"], dataset="copies")
    write_manifest(moved, tmp_path / "second.csv")
    training, validation = read_tables([tmp_path / "first.csv", tmp_path / "second.csv"])
    assert not set(training["group"]) & set(validation["group"])
    assert len(training) == TRAIN
    assert f"{VALIDATION} training faces are validation faces too" in capsys.readouterr().err


def test_people_of_two_data_sets_are_not_confused_by_their_numbers(manifest: Path, tmp_path: Path) -> None:
    table = read_manifest(manifest).assign(dataset="one")
    table["group"] = ["7" if part == "validation" else str(i) for i, part in enumerate(table["split"], 100)]
    write_manifest(table, tmp_path / "one.csv")
    write_manifest(
        table.assign(dataset="two", group="7", split="train", path="/x/" + table["group"]),
        tmp_path / "two.csv",
    )
    training, _ = read_tables([tmp_path / "one.csv", tmp_path / "two.csv"])
    assert len(training) == TRAIN + len(table)


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
    with pytest.raises(TrainingError, match=r"started with batch_size 4, not 5"):
        start(epochs=1, batch_size=5, resume=True)


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


def test_whole_photos_are_not_trained_on(manifest: Path, tmp_path: Path) -> None:
    write_manifest(read_manifest(manifest).assign(framing="photo"), tmp_path / "photos.csv")
    with pytest.raises(DataError, match=r"photos\.csv has 26 whole photos.*mien data crop .*photos\.csv"):
        read_tables([tmp_path / "photos.csv"])


def test_pictures_that_do_not_look_like_crops_are_named(
    start: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mien.training.run.look_like_photos", lambda table, detector: True)
    start(epochs=1)
    assert (
        "do not look like crops of faces; cut the faces out with 'mien data crop'" in capsys.readouterr().err
    )


@pytest.fixture
def bins(manifest: Path, tmp_path: Path) -> Path:
    """The manifest without any exact age."""
    table = read_manifest(manifest)
    decades = table["age_low"] // 10 * 10
    table = table.drop(columns="age").assign(age_low=decades, age_high=decades + 9)
    write_manifest(table, tmp_path / "bins.csv")
    return tmp_path / "bins.csv"


def test_a_run_without_exact_ages_is_judged_by_its_bins(
    bins: Path, tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = train([bins], tiny_recipe, tmp_path / "run", devices="1")
    table = pd.read_csv(tmp_path / "run" / "logs" / "metrics.csv")
    assert "val/age_mae" not in table
    assert table[["val/age_bin_distance", "val/age_bin_accuracy"]].notna().all(axis=None)
    best = int(table["val/age_bin_distance"].to_numpy().argmin())
    assert load(last.with_name("best.ckpt"))["epoch"] == best
    assert load(last)["mien"]["training_data"] == [
        "one: 15 faces, ages known as bins",
        "two: 5 faces, ages known as bins",
    ]
    assert "The validation rows know ages as bins" in capsys.readouterr().err


def test_the_best_epoch_of_bins_is_the_one_nearest_to_them(
    bins: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    class Worsening(TinyModule):
        def expectation(self, age_probabilities: torch.Tensor) -> torch.Tensor:
            return 25 + torch.zeros(len(age_probabilities)) + 200 * self.current_epoch

    last = train([bins], replace(tiny_recipe, build=Worsening), tmp_path / "run", devices="1")
    table = pd.read_csv(tmp_path / "run" / "logs" / "metrics.csv")
    assert load(last.with_name("best.ckpt"))["epoch"] == 0
    assert table["val/age_bin_distance"].iloc[1] > 150
    assert table["val/age_bin_accuracy"].iloc[1] == 0


def test_faces_without_an_age_teach_the_gender(manifest: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    table = read_manifest(manifest)
    ageless = table["dataset"] == "two"
    table.loc[ageless & (table["gender"] == ""), "gender"] = "male"
    table.loc[ageless, ["age", "age_low", "age_high"]] = float("nan")
    write_manifest(table, tmp_path / "some.csv")
    last = train([tmp_path / "some.csv"], tiny_recipe, tmp_path / "run", devices="1")
    assert "two: 5 faces, ages not known" in load(last)["mien"]["training_data"]
    losses = pd.read_csv(tmp_path / "run" / "logs" / "metrics.csv")["train/age_loss"]
    assert losses.between(0, 100).all()


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_part_without_any_age_is_refused(manifest: Path, tmp_path: Path, part: str) -> None:
    table = read_manifest(manifest).assign(gender="male")
    table.loc[table["split"] == part, ["age", "age_low", "age_high"]] = float("nan")
    write_manifest(table, tmp_path / "none.csv")
    with pytest.raises(TrainingError, match=rf"none\.csv has no age in the rows of its split '{part}'"):
        read_tables([tmp_path / "none.csv"])


def test_a_recipe_that_learns_from_exact_ages_alone_says_so(
    bins: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"'classic' learns from exact ages alone.*'small' or 'dlib'"):
        train([bins], get_recipe("classic"), tmp_path / "run")


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
    with pytest.raises(TrainingError, match=r"'big' is not a recipe; choose from small, dlib, classic"):
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
