"""Nets in eight bits: near what they were made from, and refused where they are not."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from mien.cli import app
from mien.data.chips import read_chips
from mien.data.manifest import read_manifest, write_manifest
from mien.errors import TrainingError
from mien.evaluation.calibration import Answers
from mien.pipeline.images import read_photo
from mien.pipeline.intervals import median_age
from mien.pipeline.model import Model, default_model_path, model_path
from mien.training.augment import to_images
from mien.training.export import ExportReport, export
from mien.training.folding import fold_constants, fold_norms
from mien.training.onnx_graph import to_onnx
from mien.training.plain import convert
from mien.training.quantize import Drift, measure_drift, quantize
from mien.training.recipes.dlib import DlibModule
from mien.training.warm_start import load_net

from .conftest import TinyModule

PHOTOS = sorted((Path(__file__).parents[1] / "photos").glob("*.jpg"))
LOOKS = 6
"""Of each portrait: shifted, every second one mirrored."""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half of the looks train, half judge; ages and genders are drawn."""
    folder = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(0)
    rows = []
    for path in PHOTOS:
        pixels = read_photo(path).pixels[:200]
        for i in range(LOOKS):
            look = np.roll(pixels, random.integers(-8, 9, 2), (0, 1))[:, :: 1 - 2 * (i % 2)]
            Image.fromarray(np.ascontiguousarray(look)).save(folder / f"{path.stem}-{i}.png")
            rows.append(
                {
                    "path": f"{path.stem}-{i}.png",
                    "age": int(random.integers(30, 70)),
                    "gender": ["male", "female"][int(random.integers(2))],
                    "split": "train" if i < LOOKS / 2 else "validation",
                }
            )
    pd.DataFrame(rows).to_csv(folder / "faces.csv", index=False)
    return folder / "faces.csv"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The net of a shipped file, in single precision."""
    module = DlibModule()
    load_net(module.net, model_path("open"))
    content: dict[str, Any] = {
        "state_dict": module.state_dict(),
        "mien": {"recipe": "dlib", "training_data": ["portraits: 12 faces"]},
    }
    module.on_save_checkpoint(content)
    path = tmp_path_factory.mktemp("run") / "dlib.ckpt"
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def in_float(checkpoint: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export([checkpoint], [manifest], tmp_path_factory.mktemp("float") / "dlib.onnx").path


@pytest.fixture(scope="module")
def report(in_float: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    return export([in_float], [manifest], tmp_path_factory.mktemp("eight") / "dlib.onnx", quantize=True)


@pytest.fixture(scope="module")
def chips(manifest: Path) -> npt.NDArray[np.uint8]:
    table = read_manifest(manifest)
    return np.stack(list(read_chips(table[table["split"] == "validation"], 128)))


@pytest.mark.slow
def test_a_net_in_eight_bits_answers_nearly_as_before_and_is_smaller(
    report: ExportReport, in_float: Path, chips: npt.NDArray[np.uint8]
) -> None:
    (ages, female), (its_ages, its_female) = Model(in_float).run(chips), Model(report.path).run(chips)
    assert np.abs(median_age(ages) - median_age(its_ages)).mean() < 1
    assert np.abs(female - its_female).mean() < 0.03
    assert report.path.stat().st_size < 0.3 * in_float.stat().st_size
    assert report.drift is not None and abs(report.drift.age_error) < 1


@pytest.mark.slow
def test_weights_have_seven_bits_and_a_scale_for_each_channel(report: ExportReport) -> None:
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load(report.path).graph.initializer}
    kernels = {name: values for name, values in tensors.items() if name.endswith("weight_quantized")}
    assert len(kernels) == 29
    for name, values in kernels.items():
        assert values.dtype == np.int8 and np.abs(values.astype(int)).max() <= 64
        assert tensors[name.replace("_quantized", "_scale")].shape == values.shape[:1]


@pytest.mark.slow
def test_it_is_calibrated_as_it_is_shipped(report: ExportReport, manifest: Path, tmp_path: Path) -> None:
    again = export([report.path], [manifest], tmp_path / "again.onnx").path
    assert Model(again).metadata == Model(report.path).metadata


@pytest.mark.slow
def test_runs_can_start_from_a_file_in_eight_bits(report: ExportReport, chips: npt.NDArray[np.uint8]) -> None:
    module = DlibModule()
    load_net(module.net, report.path)
    with torch.no_grad():
        images = module.normalise(to_images(torch.from_numpy(chips), 128))
        ages, _ = module.eval()(images)
    expected, _ = Model(report.path).run(chips)
    assert np.abs(median_age(ages.double().numpy()) - median_age(expected)).mean() < 1


@pytest.mark.slow
def test_a_file_in_eight_bits_can_be_made_plain(report: ExportReport, tmp_path: Path) -> None:
    years, probability = convert(report.path, tmp_path / "plain.onnx")
    assert years < 0.5 and probability < 0.05
    operators = {node.op_type for node in onnx.load(tmp_path / "plain.onnx").graph.node}
    assert not {"QuantizeLinear", "DequantizeLinear"} & operators


@pytest.mark.slow
def test_a_file_in_eight_bits_is_not_quantized_again(
    report: ExportReport, manifest: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="in eight bits already"):
        export([report.path], [manifest], tmp_path / "x.onnx", quantize=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_net_that_eight_bits_spoil_is_refused_and_leaves_no_file(
    in_float: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(graph: onnx.ModelProto, *_: object) -> onnx.ModelProto:
        for tensor in graph.graph.initializer:
            if tensor.name.endswith("heads.weight"):
                values = numpy_helper.to_array(tensor)
                tensor.CopyFrom(numpy_helper.from_array(-values, tensor.name))
        return graph

    monkeypatch.setattr("mien.training.export.quantize_model", spoil)
    with pytest.raises(TrainingError, match="eight bits change too much"):
        export([in_float], [manifest], tmp_path / "x.onnx", quantize=True)
    assert list(tmp_path.iterdir()) == []


def labels_of(count: int) -> tuple[pd.DataFrame, Answers]:
    """Faces of 20 to 59 years, and a model that is right about them."""
    ages = np.arange(count) % 40 + 20.0
    female = np.arange(count) % 2 == 1
    labels = pd.DataFrame({"age_low": ages, "age_high": ages, "gender": np.where(female, "female", "male")})
    mass = np.exp(-(((np.arange(117) - ages[:, None]) / 4) ** 2))
    return labels, Answers(mass / mass.sum(1, keepdims=True), np.where(female, 0.9, 0.1))


def older(answers: Answers, years: int) -> Answers:
    return Answers(np.roll(answers.age_probabilities, years, axis=1), answers.p_female.copy())


def test_what_stays_the_same_has_no_drift() -> None:
    labels, answers = labels_of(400)
    assert measure_drift(Model().metadata, labels, answers, answers) == Drift(0, 0, 0)


@pytest.mark.parametrize(("count", "years", "turned"), [(400, 1, 0), (400, 0, 30)], ids=["ages", "genders"])
def test_a_drift_beyond_the_bounds_is_refused(count: int, years: int, turned: int) -> None:
    labels, answers = labels_of(count)
    after = older(answers, years)
    after.p_female[:turned] = 1 - after.p_female[:turned]
    with pytest.raises(TrainingError, match="eight bits change too much"):
        measure_drift(Model().metadata, labels, answers, after)


def test_one_face_of_few_is_no_proof_of_drift() -> None:
    labels, answers = labels_of(40)
    after = older(answers, 0)
    after.p_female[0] = 1 - after.p_female[0]
    assert measure_drift(Model().metadata, labels, answers, after).gender_accuracy == 1 / 40


def test_training_rows_are_needed(tmp_path: Path, manifest: Path) -> None:
    table = read_manifest(manifest)
    write_manifest(table[table["split"] == "validation"], tmp_path / "judged.csv")
    with pytest.raises(TrainingError, match="no row of the split 'train' to find scales by"):
        export([default_model_path()], [tmp_path / "judged.csv"], tmp_path / "x.onnx", quantize=True)


def test_a_file_is_plain_or_in_eight_bits() -> None:
    arguments = ["export", "one.onnx", "--plain", "--quantize", "--manifest", "m.csv", "--output", "x.onnx"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and "one of the two" in " ".join(result.stderr.split())


def graph_of(module: nn.Module) -> onnx.ModelProto:
    return to_onnx(module.eval(), torch.zeros(2, 3, 32, 32), "chips", ["ages", "female"], {0: "n"})


def run(model: onnx.ModelProto, chips: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["ages"], {"chips": chips})[0], np.float32)


def test_folded_norms_change_no_answer() -> None:
    torch.manual_seed(0)
    module = TinyModule()
    module.net(torch.randn(16, 3, 32, 32))  # which gives the norms statistics
    graph, chips = graph_of(module), np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    before = run(graph, chips)
    convolutions = sum(node.op_type == "Conv" for node in graph.graph.node)
    fold_norms(graph.graph)
    assert sum(len(node.input) == 3 for node in graph.graph.node if node.op_type == "Conv") == convolutions
    np.testing.assert_allclose(run(graph, chips), before, atol=1e-5)


def test_convolutions_that_are_to_stay_in_float_do() -> None:
    graph, chips = graph_of(TinyModule()), np.zeros((2, 3, 32, 32), np.float32)
    eight = quantize(graph, iter([chips]), in_float=(".trunk.0.",))
    names = {tensor.name for tensor in eight.graph.initializer}
    assert "module.net.trunk.0.weight" in names
    assert "module.net.trunk.3.conv1.weight_quantized" in names


def test_a_net_without_convolutions_is_refused(tiny_model: Path) -> None:
    with pytest.raises(TrainingError, match="no convolution"):
        quantize(onnx.load(tiny_model), iter([]))


@pytest.mark.parametrize("end", ["bytes", "half"])
def test_kernels_of_earlier_files_are_read(end: str) -> None:
    """Bytes with a scale for each channel, or half precision, and nodes that decode them."""
    bytes_, scale = np.arange(-8, 8, dtype=np.int8).reshape(4, 4), np.full((4, 1), 0.5, np.float32)
    kernel = bytes_ * scale
    node = helper.make_node
    nodes = [node("Cast", ["k.half"], ["k"], to=TensorProto.FLOAT)]
    constants = [numpy_helper.from_array(kernel.astype(np.float16), "k.half")]
    if end == "bytes":
        cast = node("Cast", ["k.bytes"], ["k.whole"], to=TensorProto.FLOAT)
        nodes = [cast, node("Mul", ["k.whole", "k.scale"], ["k"])]
        constants = [numpy_helper.from_array(bytes_, "k.bytes"), numpy_helper.from_array(scale, "k.scale")]
    output = helper.make_tensor_value_info("same", TensorProto.FLOAT, [4, 4])
    graph = helper.make_graph([*nodes, node("Identity", ["k"], ["same"])], "one", [], [output], constants)
    np.testing.assert_array_equal(fold_constants(graph)["k"], kernel)
    assert [tensor.data_type for tensor in graph.initializer] == [TensorProto.FLOAT]
