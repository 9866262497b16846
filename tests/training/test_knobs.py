"""What may be changed of a recipe: learning rate, frozen trunk, early stopping, balanced ages."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from mien.cli import app
from mien.errors import TrainingError
from mien.training.dataset import MOST_OFTEN, ShareSampler, balancing_weights
from mien.training.recipes import RECIPES, Recipe, get_recipe

from .conftest import TinyModule, Train


def rates(last: Path) -> "pd.Series[float]":
    return pd.read_csv(last.parents[1] / "logs" / "metrics.csv")["train/learning_rate"]


def faces(ages: Sequence[tuple[float, float]], dataset: str = "one") -> pd.DataFrame:
    low, high = zip(*ages, strict=True)
    return pd.DataFrame({"age_low": low, "age_high": high, "dataset": dataset})


def test_the_learning_rate_is_the_recipes_unless_another_is_given(
    start: Train, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    own = rates(start(epochs=1))
    other = rates(start(tiny_recipe.but(learning_rate=1e-5), epochs=1, output=tmp_path / "other"))
    assert other.max() == pytest.approx(own.max() / 200)


def test_every_recipe_trains_with_its_own_learning_rate() -> None:
    rates = {name: get_recipe(name).make().learning_rate for name in ("small", "dlib")}
    assert rates == {"small": 2e-3, "dlib": 6e-4}


@pytest.mark.slow
def test_a_frozen_trunk_stays_as_it_was_to_the_last_statistic(
    start: Train, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    last = start(epochs=1)
    frozen = start(tiny_recipe.but(freeze_trunk=True), epochs=2, weights=last, output=tmp_path / "frozen")
    before = torch.load(last, weights_only=True)["state_dict"]
    after = torch.load(frozen, weights_only=True)["current_model_state"]
    trunk = [name for name in before if name.startswith("net.trunk.")]
    assert any("running_var" in name for name in trunk)
    assert all(torch.equal(before[name], after[name]) for name in trunk)
    assert not torch.equal(before["net.heads.weight"], after["net.heads.weight"])


@pytest.mark.parametrize("name", ["small", "dlib", "classic"])
def test_every_recipe_can_freeze_its_trunk(name: str) -> None:
    module = RECIPES[name].make()
    module.freeze_trunks()
    learning = {part for part, parameter in module.named_parameters() if parameter.requires_grad}
    assert learning and not any("trunk" in part for part in learning)
    assert not any(part.training for trunk in module.train().trunks() for part in trunk.modules())


def test_a_trunk_of_random_weights_is_not_frozen(start: Train, tiny_recipe: Recipe) -> None:
    with pytest.raises(TrainingError, match=r"trunk of random weights.*--weights"):
        start(tiny_recipe.but(freeze_trunk=True))


def test_a_run_that_grows_no_better_stops_and_has_finished(
    start: Train, tiny_recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    class Worsening(TinyModule):
        def expectation(self, age_probabilities: torch.Tensor) -> torch.Tensor:
            return super().expectation(age_probabilities) + 100 * self.current_epoch

    recipe = replace(tiny_recipe, build=Worsening, patience=2)
    last = start(recipe, epochs=6)
    assert torch.load(last, weights_only=True)["epoch"] == 2
    assert "Stopped after 3 epochs: val/age_mae was not below" in capsys.readouterr().err
    before = last.read_bytes()
    assert start(recipe, epochs=6, resume=True).read_bytes() == before
    assert "stopped early, after 3 epochs" in capsys.readouterr().err


def test_balanced_ages_come_as_often() -> None:
    table = faces([(float(age), float(age)) for age in [20] * 900 + [45] * 300 + [70, 72, 74] * 100])
    sampler = ShareSampler(table, {}, seed=1, balance_ages=1)
    counts = Counter(table["age_low"].iloc[list(sampler)] // 5 * 5)
    assert len(sampler) == len(table)
    assert [counts[age] for age in (20, 45, 70)] == pytest.approx([500] * 3, rel=0.15)


def test_bins_are_balanced_as_they_are() -> None:
    weights = balancing_weights(faces([(20, 29)] * 60 + [(70, 116)] * 20), 1)
    assert weights[:60].sum() == pytest.approx(weights[60:].sum())


def test_half_of_the_balance_is_the_root_of_the_numbers() -> None:
    weights = balancing_weights(faces([(20, 20)] * 900 + [(50, 50)] * 100), 0.5)
    assert weights[:900].sum() / weights[900:].sum() == pytest.approx(3)


def test_no_face_comes_much_more_often_than_without_balance() -> None:
    weights = balancing_weights(faces([(20, 20)] * 5000 + [(100, 100)]), 1)
    assert weights[-1] * len(weights) == pytest.approx(MOST_OFTEN, rel=0.01)


def test_each_data_set_is_balanced_within_its_share() -> None:
    common = faces([(20, 20)] * 300 + [(50, 50)] * 100, "a")
    table = pd.concat([common, faces([(30, 30)] * 100, "b")], ignore_index=True)
    rows = np.array(list(ShareSampler(table, {"a": 0.5}, balance_ages=1)))
    assert ((rows < 400).sum(), (rows >= 400).sum()) == (200, 100)
    assert set(rows[rows >= 400]) <= set(range(400, 500))


def test_the_command_changes_a_recipe(manifest: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    arguments = ["train", "--manifest", str(manifest), "--output", str(tmp_path / "run"), "--recipe", "tiny"]
    arguments += ["--epochs", "1", "--limit-train-batches", "1", "--devices", "1", "--learning-rate", "0.004"]
    arguments += ["--balance-ages", "0.5", "--patience", "3"]
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0
    note = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["mien"]
    known = {name: note["settings"][name] for name in ("learning_rate", "balance_ages", "patience")}
    assert known == {"learning_rate": 0.004, "balance_ages": 0.5, "patience": 3}


def test_too_few_faces_are_said_at_the_start(
    start: Train, tiny_recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    start(epochs=1, batch_size=64)
    said = capsys.readouterr().err
    assert "20 training faces, less than one batch of 64" in said
    assert "6 validation rows have an age; 'mien export' will need at least 10" in said
