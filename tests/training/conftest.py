"""A manifest of noise pictures and a recipe that trains on it in a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mien.training import recipes
from mien.training.module import InputSpec
from mien.training.recipes import Recipe
from mien.training.recipes.small import SmallModule, SmallNet
from mien.training.run import train

Train = Callable[..., Path]

TRAIN, VALIDATION = 20, 6


class TinyModule(SmallModule):
    def __init__(self) -> None:
        super().__init__()
        self.spec = InputSpec(size=32)
        self.net = SmallNet((8, 8, 8, 8), (1, 1, 1, 1))
        self.sides = ((0.5, 24), (1.0, 32))


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exact ages in one data set, bins and unknown genders in another."""
    folder = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(0)
    rows = []
    for i in range(TRAIN + VALIDATION):
        Image.fromarray(random.integers(0, 256, (40, 40, 3), np.uint8)).save(folder / f"{i}.png")
        exact = i % 4 > 0 or i >= TRAIN
        rows.append(
            {
                "path": f"{i}.png",
                "age_low": 20 + i,
                "age_high": 20 + i if exact else 29 + i,
                "gender": ("male", "female", "")[i % 3],
                "race": ("White", "Black", "")[i % 3],
                "dataset": "one" if exact else "two",
                "split": "train" if i < TRAIN else "validation",
            }
        )
    path = folder / "faces.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture
def tiny_recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    recipe = Recipe(
        name="tiny",
        build=TinyModule,
        epochs=2,
        batch_size=4,
        learning_rate=2e-3,
        chip_side=32,
        shares={"two": 0.8},
        ema_decay=0.9,
        teachable=True,
    )
    monkeypatch.setitem(recipes.RECIPES, "tiny", recipe)
    return recipe


@pytest.fixture
def start(manifest: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    monkeypatch.setattr("mien.training.curves.draw_curves", lambda table, folder: [])  # most of the time

    def run(recipe: Recipe = tiny_recipe, **settings: Any) -> Path:
        output = settings.pop("output", tmp_path / "run")
        return train([manifest], recipe, output, **{"precision": "32-true", "devices": "1"} | settings)

    return run
