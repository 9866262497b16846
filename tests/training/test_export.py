from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from mien.errors import TrainingError
from mien.model import Model
from mien.predictor import Predictor
from mien.training.export import export, load_checkpoint
from mien.training.graph import Affine, to_onnx
from mien.training.recipes.small import SmallModule

FACES = 12
SIDE = SmallModule().spec.size


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    content: dict[str, Any] = {
        "state_dict": SmallModule().state_dict(),
        "mien": {"recipe": "small", "training_data": ["noise: 9 faces"]},
    }
    SmallModule().on_save_checkpoint(content)
    path = tmp_path_factory.mktemp("run") / "last.ckpt"
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    random = np.random.default_rng(0)
    for i in range(FACES):
        pixels = random.integers(0, 256, (120, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    rows = {
        "path": [f"{i}.png" for i in range(FACES)],
        "age": range(20, 20 + FACES),
        "gender": ["male", "female"] * (FACES // 2),
        "split": "validation",
    }
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def exported(checkpoint: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(checkpoint, [manifest], tmp_path_factory.mktemp("export") / "small.onnx").path


def test_exported_file_is_all_a_predictor_needs(exported: Path, manifest: Path) -> None:
    [face] = Predictor(exported).predict(manifest.parent / "0.png", faces="aligned")
    assert 0 <= face.age.low <= face.age.years <= face.age.high


def test_exported_file_answers_as_the_checkpoint_does(exported: Path, checkpoint: Path) -> None:
    module, _ = load_checkpoint(checkpoint)
    chips = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    images = torch.from_numpy(chips).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected, expected_female = module((images - 0.5) / 0.25)
    ages, p_female = Model(exported).run(chips)
    np.testing.assert_allclose(ages @ np.arange(117), expected.numpy() @ np.arange(117), atol=1e-3)
    np.testing.assert_allclose(p_female, expected_female.numpy(), atol=1e-4)


def test_exported_file_describes_its_data_and_calibration(exported: Path) -> None:
    metadata = Model(exported).metadata
    assert metadata.training_data == ("noise: 9 faces",)
    assert metadata.interval.n == FACES
    assert metadata.metrics["validation_n"] == FACES


def test_small_model_keeps_to_its_size_and_work(exported: Path) -> None:
    module = SmallModule().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 3, SIDE, SIDE))
    assert exported.stat().st_size <= 12e6
    assert counter.get_total_flops() / 2 <= 0.5e9


def test_kernels_are_stored_in_half_precision(exported: Path) -> None:
    kernels = [t for t in onnx.load(exported).graph.initializer if len(t.dims) == 4 and t.dims[0] >= 64]
    halved = [t for t in kernels if t.data_type == onnx.TensorProto.FLOAT16]
    assert len(halved) >= 10
    assert sum(np.prod(t.dims) for t in halved) > 0.99 * sum(np.prod(t.dims) for t in kernels)


def test_weights_that_halving_would_change_stay_in_single_precision() -> None:
    module = SmallModule().eval()
    example = torch.zeros(2, 3, SIDE, SIDE)
    graph = to_onnx(module, example, "chips", ["age_probabilities", "p_female"], {0: "n"}).graph
    stored = {t.name: t.data_type for t in graph.initializer}
    kernels = {type_ for name, type_ in stored.items() if "weight" in name}
    assert kernels == {onnx.TensorProto.FLOAT}


def test_a_graph_that_differs_is_refused_and_leaves_no_file(
    checkpoint: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(self: Affine, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale + self.shift + 0.1

    monkeypatch.setattr(Affine, "forward", shifted)
    with pytest.raises(TrainingError, match=r"differs from .*last\.ckpt"):
        export(checkpoint, [manifest], tmp_path / "small.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_checkpoint_is_named(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none\.ckpt does not exist"):
        export(tmp_path / "none.ckpt", [manifest], tmp_path / "small.onnx")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.ckpt"
    path.write_text("not a checkpoint")
    with pytest.raises(TrainingError, match=r"text\.ckpt is not a readable checkpoint"):
        load_checkpoint(path)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(TrainingError, match="was not written by 'mien train'"):
        load_checkpoint(tmp_path / "other.ckpt")


def test_a_checkpoint_that_does_not_fit_its_recipe_is_refused(tmp_path: Path) -> None:
    note = {"recipe": "small", "training_data": []}
    torch.save({"state_dict": {"net.heads.bias": torch.zeros(3)}, "mien": note}, tmp_path / "old.ckpt")
    with pytest.raises(TrainingError, match="does not fit the recipe 'small'"):
        load_checkpoint(tmp_path / "old.ckpt")


def test_a_manifest_without_validation_rows_is_refused(
    checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(manifest).assign(split="train")
    table.to_csv(manifest.parent / "train.csv", index=False)
    with pytest.raises(TrainingError, match="no row of the split 'validation'"):
        export(checkpoint, [manifest.parent / "train.csv"], tmp_path / "small.onnx")
