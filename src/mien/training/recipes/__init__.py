"""Recipes: everything that makes one kind of model, under a name."""

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
    """What ``mien train`` needs to know beside the data.

    Attributes:
        name: Its name on the command line.
        build: Makes the module with random weights.
        epochs: Number of epochs.
        batch_size: Faces in a batch.
        learning_rate: The highest one; ``small`` and ``dlib`` rise to three quarters of it where they go on
            from weights of their own, and the gender net of ``classic`` has a tenth.
        chip_side: Side in pixels of the chips kept on disk; the net's own, so that training sees faces
            resampled once, as prediction does.
        shares: Share of each data set drawn in an epoch; 1 where not named.
        ema_decay: Decay of the weights' moving average a step; None for none.
        teachable: Whether its losses heed a teacher.
        exact_ages: Whether it learns from exact ages alone.
        freeze_trunk: Whether the heads alone learn, on a trunk that has weights already.
        patience: Epochs without a better one after which the run stops; None for all epochs.
        balance_ages: How far the ages of each data set are evened out, in [0, 1]; see
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
        """The same recipe with some settings changed; None leaves one as it is."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def make(self) -> FaceModule:
        """The module with random weights and this learning rate."""
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
    """The recipe of that name.

    Raises:
        TrainingError: If there is none; the sentence lists those there are.
    """
    if name not in RECIPES:
        raise TrainingError(f"{name!r} is not a recipe; choose from {', '.join(RECIPES)}.")
    return RECIPES[name]
