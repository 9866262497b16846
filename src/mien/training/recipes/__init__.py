"""Recipes: named combinations of an architecture and its training settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mien.errors import TrainingError
from mien.training.module import FaceModule
from mien.training.recipes.classic import ClassicModule
from mien.training.recipes.dlib import DlibModule
from mien.training.recipes.small import SmallModule


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of ``mien train`` apart from the data.

    Attributes:
        name: Name on the command line.
        build: Function that builds the module with random weights.
        epochs: Number of epochs.
        batch_size: Faces in a batch.
        learning_rate: Peak learning rate. ``small`` and ``dlib`` use three quarters of it when they start
            from weights of the same recipe; the gender net of ``classic`` uses a tenth.
        chip_side: Side in pixels of the chips on disk. It equals the net's input side, so that faces are
            resampled only once, as in prediction.
        shares: Share of each data set drawn per epoch; 1 for data sets not named.
        ema_decay: Decay per step of the weights' moving average; None for no average.
        teachable: Whether its losses can use teachers.
        exact_ages: Whether it uses only exact ages, not bins.
        freeze_trunk: Whether only the heads are trained, on a trunk that starts from given weights.
        patience: Epochs without improvement after which the run stops; None for all epochs.
        balance_ages: Strength of age balancing within each data set, in [0, 1]; see
            :func:`mien.training.dataset.balancing_weights`.
    """

    name: str
    build: Callable[[], FaceModule]
    epochs: int
    batch_size: int
    chip_side: int
    learning_rate: float = 1e-3
    shares: Mapping[str, float] = field(default_factory=dict)
    ema_decay: float | None = None
    teachable: bool = False
    exact_ages: bool = False
    freeze_trunk: bool = False
    patience: int | None = None
    balance_ages: float = 0.0

    def but(self, **changes: Any) -> "Recipe":
        """Return a copy with some settings changed; a value of None leaves a setting as it is."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def make(self) -> FaceModule:
        """Build the module with random weights and the recipe's learning rate."""
        module = self.build()
        module.learning_rate = self.learning_rate
        return module


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="small",
            build=SmallModule,
            epochs=20,
            batch_size=64,
            learning_rate=2e-3,
            chip_side=96,
            shares={"fairface": 0.9, "all-age-faces": 0.6},
            ema_decay=0.999,
            teachable=True,
        ),
        Recipe(
            name="dlib",
            build=DlibModule,
            epochs=16,
            batch_size=64,
            learning_rate=6e-4,
            chip_side=128,
            shares={"fairface": 0.6, "all-age-faces": 0.4},
            ema_decay=0.999,
            teachable=True,
        ),
        Recipe(
            name="classic",
            build=ClassicModule,
            epochs=30,
            batch_size=32,
            learning_rate=1e-3,
            chip_side=200,
            exact_ages=True,
        ),
    )
}


def get_recipe(name: str) -> Recipe:
    """Return the recipe of a name.

    Raises:
        TrainingError: If there is none; the message lists the existing recipes.
    """
    if name not in RECIPES:
        raise TrainingError(f"{name!r} is not a recipe; choose from {', '.join(RECIPES)}.")
    return RECIPES[name]
