"""Model files for other programs."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.transformers.float16 import convert_float_to_float16
from typer.testing import CliRunner

from mien.cli import app
from mien.errors import MienError, TrainingError
from mien.pipeline.model import Model, default_model_path
from mien.training import plain
from mien.training.plain import MAX_ROUNDING, convert


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "mien.onnx"
    convert(default_model_path(), path)
    return path


@pytest.fixture(scope="module")
def chips() -> np.ndarray:
    size = Model().metadata.input_size
    return np.random.default_rng(1).integers(0, 256, (3, size, size, 3), np.uint8)


def largest_difference(one: Path, other: Path, chips: np.ndarray) -> tuple[float, float]:
    (ages, female), (its_ages, its_female) = Model(one).run(chips), Model(other).run(chips)
    return float(np.abs((ages - its_ages) @ np.arange(ages.shape[1])).max()), float(
        np.abs(female - its_female).max()
    )


@pytest.mark.slow
def test_it_answers_as_its_source_and_keeps_the_metadata(converted: Path, chips: np.ndarray) -> None:
    years, probability = largest_difference(default_model_path(), converted, chips)
    assert years < MAX_ROUNDING[0] and probability < MAX_ROUNDING[1]  # the source is quantized
    assert Model(converted).metadata == Model().metadata


def test_its_operators_are_widely_known(converted: Path) -> None:
    model = onnx.load(converted)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    indices = {node.op_type: node for node in model.graph.node}
    assert "Cast" not in indices and "ReduceMean" not in indices and "Range" not in indices


def test_it_converts_to_half_precision(converted: Path, chips: np.ndarray, tmp_path: Path) -> None:
    half = convert_float_to_float16(onnx.load(converted), keep_io_types=True)
    onnx.save(half, tmp_path / "half.onnx")
    assert (tmp_path / "half.onnx").stat().st_size < 0.51 * converted.stat().st_size
    years, probability = largest_difference(converted, tmp_path / "half.onnx", chips)
    assert years < 0.1 and probability < 0.01


def test_a_graph_that_answers_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plain, "_compare", lambda *models: (float("nan"), 0.0))
    with pytest.raises(TrainingError, match="nothing was written"):
        convert(default_model_path(), tmp_path / "mien.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_source_is_not_written_over(converted: Path) -> None:
    before = converted.read_bytes()
    with pytest.raises(MienError, match="overwritten"):
        convert(converted, converted)
    assert converted.read_bytes() == before


def test_the_command_makes_the_model_that_ships_plain(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", "--plain", "--output", str(tmp_path / "mien.onnx")])
    assert result.exit_code == 0 and "largest difference from the source" in result.stdout
    assert Model(tmp_path / "mien.onnx").metadata == Model().metadata


@pytest.mark.parametrize(
    "command",
    [["--plain", "last.ckpt"], ["last.ckpt"], ["mien.onnx"], [], ["--plain", "one.onnx", "other.onnx"]],
)
def test_what_is_missing_is_said_before_anything_is_read(command: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", *command, "--output", str(tmp_path / "mien.onnx")])
    assert result.exit_code == 2 and "SOURCE" in result.stderr
