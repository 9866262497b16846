import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from mien.errors import ModelError, TrainingError
from mien.pipeline.model import Model, default_model_path
from mien.training.augment import to_images
from mien.training.joined import JoinedNets
from mien.training.onnx_graph import to_onnx
from mien.training.recipes import Recipe
from mien.training.recipes.small import SIDES, SmallModule

from .conftest import TinyModule, Train

SIDE = SIDES[-1][1]


@pytest.fixture(scope="module")
def chips() -> torch.Tensor:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (24, 8, 8, 3), np.uint8)
    return torch.from_numpy(coarse.repeat(SIDE // 8, axis=1).repeat(SIDE // 8, axis=2))


@pytest.fixture(scope="module")
def first(chips: torch.Tensor) -> SmallModule:
    """A net whose norms have seen something."""
    torch.manual_seed(0)
    module = SmallModule()
    with torch.no_grad():
        module.net.train()(module.normalise(to_images(chips, SIDE)))
    return module.eval()


@pytest.fixture(scope="module")
def file(first: SmallModule, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of that net joined with another."""
    joined = JoinedNets(copy.deepcopy(first), SmallModule())
    outputs = ["age_probabilities", "p_female"]
    graph = to_onnx(joined.eval(), torch.zeros(2, 3, SIDE, SIDE), "chips", outputs, {0: "n"})
    onnx.helper.set_model_props(graph, Model().metadata.to_properties())
    path = tmp_path_factory.mktemp("file") / "joined.onnx"
    onnx.save(graph, path)
    return path


@pytest.fixture(scope="module")
def continued(file: Path, chips: torch.Tensor) -> SmallModule:
    module = SmallModule()
    module.start_from(file, chips)
    return module.eval()


def test_a_net_that_starts_from_a_model_file_answers_as_the_first_net_in_it(
    first: SmallModule, continued: SmallModule, chips: torch.Tensor
) -> None:
    images = first.normalise(to_images(chips, SIDE))
    with torch.no_grad():
        for expected, found in zip(first.net(images), continued.net(images), strict=True):
            assert torch.allclose(expected, found, atol=1e-3)


def test_a_net_can_start_from_the_shipped_file(chips: torch.Tensor) -> None:
    module = SmallModule()
    module.start_from(default_model_path(), chips)
    ages, _ = module.eval()(module.normalise(to_images(chips, SIDE)))
    assert bool(torch.isfinite(ages).all())


def test_its_norms_have_the_statistics_of_the_faces(continued: SmallModule, chips: torch.Tensor) -> None:
    convolution, norm = continued.net.trunk[0], continued.net.trunk[1]
    assert isinstance(norm, torch.nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        images = to_images(chips, SIDE)
        seen = convolution(continued.normalise(images)).transpose(0, 1).flatten(1)
    assert torch.allclose(norm.running_mean, seen.mean(1), atol=1e-4)
    assert torch.allclose(norm.running_var, seen.var(1), rtol=1e-3)


def test_a_run_that_starts_from_a_model_file_grows_its_images_from_further_on(
    continued: SmallModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trainer:
        max_epochs = 10

    monkeypatch.setattr(SmallModule, "trainer", Trainer())
    sides = []
    for epoch in range(10):
        monkeypatch.setattr(SmallModule, "current_epoch", epoch)
        sides.append(continued.side())
    assert sides == [80] * 3 + [96] * 7


def test_a_resumed_run_remembers_that_it_was_continued(continued: SmallModule) -> None:
    checkpoint: dict[str, Any] = {"state_dict": {}}
    continued.on_save_checkpoint(checkpoint)
    resumed = SmallModule()
    resumed.on_load_checkpoint(checkpoint)
    assert resumed.continued


def test_a_model_file_of_another_recipe_is_refused(chips: torch.Tensor) -> None:
    with pytest.raises(TrainingError, match=r"small\.onnx does not fit this recipe"):
        TinyModule().start_from(default_model_path(), chips)


def test_what_is_no_model_file_is_refused(start: Train, tiny_recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"weights of another kind")
    with pytest.raises(ModelError, match=r"net\.onnx is not an ONNX file"):
        start(tiny_recipe, weights=tmp_path / "net.onnx")
