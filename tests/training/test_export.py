from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

import mien
from mien.cli import app
from mien.data.manifest import read_manifest, write_manifest
from mien.errors import TrainingError
from mien.evaluation.calibration import Answers
from mien.pipeline.metadata import GenderCalibration
from mien.pipeline.model import Model
from mien.predictor import Predictor
from mien.training.augment import to_images
from mien.training.checkpoint import load_checkpoint
from mien.training.export import _of_ages, _of_genders, export
from mien.training.joined import JoinedNets, read_nets
from mien.training.module import FaceModule
from mien.training.onnx_graph import Affine
from mien.training.recipes import get_recipe
from mien.training.recipes.dlib import DlibModule
from mien.training.recipes.small import SmallModule
from mien.training.warm_start import load_net

MODEL = Path(mien.__file__).parent / "weights" / "small.onnx"
FACES = 12
SIDE = SmallModule().spec.size


def write_checkpoint(path: Path, seed: int, **note: Any) -> Path:
    torch.manual_seed(seed)
    described = {"recipe": "small", "training_data": ["noise: 9 faces"]} | note
    module = SmallModule()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):  # alike, they would share constants in the file
            torch.nn.init.uniform_(part.weight, 0.9, 1.1)
            torch.nn.init.normal_(part.bias, std=0.1)
    content: dict[str, Any] = {"state_dict": module.state_dict(), "mien": described}
    SmallModule().on_save_checkpoint(content)
    torch.save(content, path)
    return path


def load_small(path: Path) -> SmallModule:
    module, _ = load_checkpoint(path)
    assert isinstance(module, SmallModule)
    return module


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "last.ckpt", 0)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(
        tmp_path_factory.mktemp("second") / "last.ckpt", 1, training_data=["noise: 9 faces", "dots: 5 faces"]
    )


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
    return export([checkpoint], [manifest], tmp_path_factory.mktemp("export") / "small.onnx").path


def test_a_checkpoint_is_evaluated_as_the_file_it_becomes(
    checkpoint: Path, manifest: Path, exported: Path
) -> None:
    results = [
        CliRunner().invoke(app, ["evaluate", "--manifest", str(manifest), "--model", str(model)])
        for model in (checkpoint, exported)
    ]
    assert [result.exit_code for result in results] == [0, 0]
    assert results[0].stdout == results[1].stdout


@pytest.fixture(scope="module")
def joined(checkpoint: Path, second: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joined")
    return export([checkpoint, second], [manifest], folder / "small.onnx").path


def test_name_and_version_are_those_given(exported: Path, manifest: Path, tmp_path: Path) -> None:
    again = export([exported], [manifest], tmp_path / "own.onnx", version="7", name="own").path
    named, unnamed = (Model(path).metadata for path in (again, exported))
    assert (named.name, named.version) == ("own", "7")
    assert (unnamed.name, unnamed.version) == ("small", "1")


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


def test_a_checkpoint_can_be_exported_for_other_programs(
    checkpoint: Path, manifest: Path, exported: Path, tmp_path: Path
) -> None:
    plain = export([checkpoint], [manifest], tmp_path / "plain.onnx", plain=True)
    assert plain.differences is not None and max(plain.differences) < 1e-3
    assert "Cast" not in {node.op_type for node in onnx.load(plain.path).graph.node}
    assert Model(plain.path).metadata.interval.n == Model(exported).metadata.interval.n


def test_exported_file_describes_its_data_and_calibration(exported: Path) -> None:
    metadata = Model(exported).metadata
    assert metadata.training_data == ("noise: 9 faces",)
    assert metadata.interval.n == FACES
    assert metadata.metrics["validation_n"] == FACES


def test_bins_calibrate_a_file_that_says_so(checkpoint: Path, manifest: Path, tmp_path: Path) -> None:
    table = read_manifest(manifest)
    bins = table.drop(columns="age").assign(age_low=20, age_high=29)
    write_manifest(bins, tmp_path / "bins.csv")
    metadata = Model(export([checkpoint], [tmp_path / "bins.csv"], tmp_path / "bins.onnx").path).metadata
    assert metadata.interval.from_bins
    assert metadata.interval.n == FACES
    assert "were known as bins" in metadata.age_note
    assert {"validation_bin_accuracy", "validation_bin_distance"} <= set(metadata.metrics)
    assert "validation_mae" not in metadata.metrics


def test_exact_ages_calibrate_where_there_are_enough(
    checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    bins = read_manifest(manifest).drop(columns="age").assign(age_low=20, age_high=29)
    write_manifest(bins, tmp_path / "bins.csv")
    manifests = [manifest, tmp_path / "bins.csv"]
    metadata = Model(export([checkpoint], manifests, tmp_path / "both.onnx").path).metadata
    assert not metadata.interval.from_bins
    assert metadata.interval.n == FACES
    assert metadata.age_note == ""


def test_a_model_that_learned_nothing_is_said_to_have(
    checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    warnings = export([checkpoint], [manifest], tmp_path / "m.onnx").warnings
    assert "has not learned to tell ages" in warnings[0] and "for every validation face" in warnings[0]
    assert "has not learned to tell genders: 50 %" in warnings[1]


def test_genders_that_are_all_the_same_are_said_at_export(
    checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    write_manifest(read_manifest(manifest).assign(gender="male"), tmp_path / "male.csv")
    arguments = [str(checkpoint), "--manifest", str(tmp_path / "male.csv"), "--output"]
    result = CliRunner().invoke(app, ["export", *arguments, str(tmp_path / "m.onnx")])
    assert "are all male: nothing says whether p(female) is right" in result.stderr


def test_a_model_that_tells_ages_and_genders_is_not_warned_of() -> None:
    ages = np.arange(20.0, 60)
    labels = pd.DataFrame({"age_low": ages, "age_high": ages, "gender": ["male", "female"] * 20})
    mass = np.eye(117)[ages.astype(int) + 2]
    answers = Answers(mass, np.where(labels["gender"] == "female", 0.9, 0.1))
    metadata = Model(MODEL).metadata.model_copy(update={"gender": GenderCalibration()})
    assert not [*_of_ages(metadata, labels, answers), *_of_genders(metadata, labels, answers)]


def test_validation_rows_without_ages_calibrate_nothing(
    checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    table = read_manifest(manifest).drop(columns=["age", "age_low", "age_high"])
    write_manifest(table, tmp_path / "genders.csv")
    with pytest.raises(TrainingError, match=r"genders\.csv has no validation rows with an age"):
        export([checkpoint], [tmp_path / "genders.csv"], tmp_path / "m.onnx")


def test_small_model_keeps_to_its_size_and_work(exported: Path) -> None:
    module = SmallModule().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 3, SIDE, SIDE))
    assert exported.stat().st_size <= 4.5 * 6e6  # in single precision
    assert counter.get_total_flops() / 2 <= 0.5e9


@pytest.mark.slow
def test_joined_nets_answer_for_the_face_and_for_its_mirror_image(
    joined: Path, checkpoint: Path, second: Path
) -> None:
    chips = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    images = (torch.from_numpy(chips).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    seen_by = ((checkpoint, images), (second, images.flip(3)))
    with torch.no_grad():
        answers = [load_small(path).net(seen) for path, seen in seen_by]
    ages, p_female = Model(joined).run(chips)
    expected = torch.stack([age.softmax(1) for age, _, _ in answers]).mean(0)
    np.testing.assert_allclose(ages, expected.numpy(), atol=1e-4)
    np.testing.assert_allclose(p_female, sum(female.sigmoid() for _, female, _ in answers) / 2, atol=1e-4)


@pytest.mark.slow
def test_joined_nets_keep_to_the_size_and_work_of_one_file(
    joined: Path, checkpoint: Path, second: Path
) -> None:
    module = JoinedNets(load_small(checkpoint), load_small(second))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 3, SIDE, SIDE))
    assert joined.stat().st_size <= 4.5 * 12e6  # in single precision
    assert counter.get_total_flops() / 2 <= 0.5e9


@pytest.mark.slow
def test_nets_of_two_recipes_see_the_face_as_each_learned_to(checkpoint: Path) -> None:
    """Chips have the larger one's form, and the other sees them shrunk."""
    torch.manual_seed(3)
    dlib = DlibModule().eval()
    small = load_small(checkpoint)
    module = JoinedNets(small, dlib).eval()
    assert module.spec == dlib.spec
    chips = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8))
    shown = to_images(chips, module.spec.size)
    with torch.no_grad():
        ages, female = module(module.normalise(shown))
        shrunk = torch.nn.functional.interpolate(shown, (SIDE, SIDE), mode="bilinear")
        seen = small.net(small.normalise(shrunk)), dlib.net(dlib.normalise(shown.flip(3)))
    expected = sum(answer[0].softmax(1) for answer in seen) / 2
    torch.testing.assert_close(ages, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(female, sum(answer[1].sigmoid() for answer in seen) / 2, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_a_net_for_the_mirror_image_is_taken_out_of_a_file(
    joined: Path, checkpoint: Path, second: Path
) -> None:
    """As the second source a file gives its second net, as the first its first."""
    expected = {"net": load_small(checkpoint).net, "mirror_net": load_small(second).net}
    module, note = read_nets([joined, joined])
    assert note == {"recipe": "small", "training_data": ["noise: 9 faces", "dots: 5 faces"]}
    image = torch.randn(1, 3, SIDE, SIDE)
    with torch.no_grad():
        for name, net in expected.items():
            found = getattr(module, name)(image)
            torch.testing.assert_close(found, net(image), atol=1e-3, rtol=0)


@pytest.mark.slow
def test_a_run_goes_on_from_the_net_of_its_recipe_in_a_file_of_two(
    checkpoint: Path, manifest: Path, tmp_path: Path
) -> None:
    """The first net is of another recipe."""
    state = {"state_dict": DlibModule().state_dict(), "mien": {"recipe": "dlib", "training_data": []}}
    DlibModule().on_save_checkpoint(state)
    torch.save(state, tmp_path / "dlib.ckpt")
    file = export([tmp_path / "dlib.ckpt", checkpoint], [manifest], tmp_path / "both.onnx").path
    assert Model(file).metadata.name == "dlib+small"
    started, image = SmallModule(), torch.randn(1, 3, SIDE, SIDE)
    load_net(started.net, file)
    with torch.no_grad():
        found, expected = started.eval().net(image), load_small(checkpoint).net(image)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


@pytest.mark.slow
def test_a_joined_file_names_the_training_data_of_both(joined: Path) -> None:
    assert Model(joined).metadata.training_data == ("noise: 9 faces", "dots: 5 faces")


@pytest.mark.parametrize(
    ("recipes", "sentence"),
    [
        (("small",) * 3, "3 nets are too many"),
        (("small", "classic"), r"classic\.ckpt is of the recipe 'classic', whose nets cannot be joined"),
        (("classic",) * 2, "whose nets cannot be joined"),
    ],
)
def test_checkpoints_that_cannot_be_joined_are_refused(
    recipes: tuple[str, ...],
    sentence: str,
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(path: Path) -> tuple[FaceModule, dict[str, Any]]:
        return get_recipe(path.stem).build(), {"recipe": path.stem, "training_data": []}

    monkeypatch.setattr("mien.training.joined.load_checkpoint", load)
    with pytest.raises(TrainingError, match=sentence):
        export([Path(f"{name}.ckpt") for name in recipes], [manifest], tmp_path / "joined.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_differs_is_refused_and_leaves_no_file(
    checkpoint: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(self: Affine, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale + self.shift + 0.1

    monkeypatch.setattr(Affine, "forward", shifted)
    with pytest.raises(TrainingError, match=r"differs from .*last\.ckpt"):
        export([checkpoint], [manifest], tmp_path / "small.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_checkpoint_is_named(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none\.ckpt does not exist"):
        export([tmp_path / "none.ckpt"], [manifest], tmp_path / "small.onnx")


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
        export([checkpoint], [manifest.parent / "train.csv"], tmp_path / "small.onnx")
