"""The model file: what it gives, and which files are refused with which sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import BINS, SIZE, tiny_metadata

from mien.errors import ModelError
from mien.pipeline.align import ChipGeometry
from mien.pipeline.metadata import GenderCalibration, IntervalCalibration, ModelMetadata
from mien.pipeline.model import BATCH_SIZE, SHIPPED, Model, normalise

MakeModel = Callable[..., Path]


def noise(n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (n, SIZE, SIZE, 3), np.uint8)


def sentence(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Model(path)
    return str(caught.value)


def test_outputs_are_distributions_and_probabilities(tiny_model: Path) -> None:
    ages, p_female = Model(tiny_model).run(noise(3))
    assert ages.shape == (3, BINS)
    assert ages.dtype == p_female.dtype == np.float64
    assert ages.sum(1) == pytest.approx(np.ones(3), abs=1e-5)
    assert p_female.shape == (3,)
    assert ((p_female >= 0) & (p_female <= 1)).all()


@pytest.mark.parametrize("n", [0, 1, BATCH_SIZE, BATCH_SIZE + 1])
def test_any_number_of_chips_gives_as_many_answers(tiny_model: Path, n: int) -> None:
    model, chips = Model(tiny_model), noise(n)
    ages, p_female = model.run(chips)
    singly = [model.run(chips[i : i + 1]) for i in range(n)]
    assert ages == pytest.approx(np.array([a[0] for a, _ in singly]).reshape(n, BINS), abs=1e-6)
    assert p_female == pytest.approx(np.array([p[0] for _, p in singly]), abs=1e-6)


@pytest.mark.parametrize("chips", [np.zeros((1, 9, 9, 3), np.uint8), np.zeros((1, SIZE, SIZE, 3))])
def test_other_chips_are_refused(tiny_model: Path, chips: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ValueError, match="chips must be uint8"):
        Model(tiny_model).run(chips)


def test_normalisation_follows_the_metadata() -> None:
    metadata = tiny_metadata(channel_order="BGR", mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.2))
    chip = np.full((1, SIZE, SIZE, 3), (255, 51, 0), np.uint8)
    blue, green, red = normalise(chip, metadata)[0, :, 0, 0]
    assert (blue, green, red) == pytest.approx((-0.2, 0.0, 3.5), abs=1e-6)


def test_metadata_survives_the_file(tiny_model: Path) -> None:
    assert Model(tiny_model).metadata == tiny_metadata()


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert sentence(tmp_path / "no.onnx") == f"There is no model file {tmp_path / 'no.onnx'}; check the path."


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.onnx"
    path.write_bytes(content)
    assert "is not an ONNX file" in sentence(path)


def test_file_without_metadata_is_refused(make_model: MakeModel) -> None:
    assert "has no mien metadata" in sentence(make_model(None))


def test_foreign_onnx_file_is_refused(yunet: Path) -> None:
    assert "has no mien metadata" in sentence(yunet)


@pytest.mark.parametrize(
    ("graph", "named"),
    [
        ({"outputs": ("years", "p_female")}, "maps chips to years, p_female"),
        ({"size": 64}, r"\['n', 3, 64, 64\]"),
        ({"bins": 80}, r"\['n', 80\]"),
        ({"batch": 1}, r"\[1, 3, 48, 48\]"),
    ],
)
def test_graph_that_contradicts_the_metadata_is_refused(
    make_model: MakeModel, graph: dict[str, Any], named: str
) -> None:
    with pytest.raises(ModelError, match=named):
        Model(make_model(tiny_metadata(), **graph))


def test_other_chip_geometry_is_refused(make_model: MakeModel) -> None:
    geometry = ChipGeometry(box=(0.1, 0.1, 0.8, 0.8))
    assert "chip geometry" in sentence(make_model(tiny_metadata(geometry=geometry)))


def test_other_gender_order_is_refused(make_model: MakeModel) -> None:
    assert "orders genders" in sentence(make_model(tiny_metadata(gender_order=("female", "male"))))


@pytest.mark.parametrize(
    ("changes", "message"), [({"age_max": 0}, "age_max"), ({"std": (0.0, 1.0, 1.0)}, "std is not positive")]
)
def test_metadata_must_make_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_metadata(**changes)


@pytest.mark.parametrize(
    ("coverage", "half_mass"),
    [
        ((0.5, 0.9), ((0.1,), (0.2,), (0.3,))),
        ((0.9, 0.5), ((0.1,), (0.2,))),
        ((0.5, 0.9), ((0.3,), (0.2,))),
        ((0.5, 0.9), ((0.1,), (0.6,))),
        ((0.5, 0.9), ((0.1, 0.1), (0.2, 0.2))),
    ],
)
def test_calibration_must_make_sense(
    coverage: tuple[float, ...], half_mass: tuple[tuple[float, ...], ...]
) -> None:
    with pytest.raises(ValueError, match=r"half_mass|rise"):
        IntervalCalibration(coverage=coverage, half_mass=half_mass, n=1)


def test_files_of_earlier_versions_have_one_band_and_an_uncalibrated_gender() -> None:
    fields = tiny_metadata().model_dump(mode="json", exclude={"gender"})
    fields["interval"] = {"coverage": [0.5, 0.9], "half_mass": [0.2, 0.4], "n": 7}
    metadata = ModelMetadata.from_properties({"mien": json.dumps(fields)}, "old.onnx")
    assert metadata.interval.half_mass == ((0.2,), (0.4,)) and metadata.interval.ages == (0,)
    assert metadata.gender == GenderCalibration()


def test_the_shipped_model_loads_and_is_calibrated() -> None:
    metadata = Model().metadata
    assert metadata.interval.coverage[0] <= 0.5
    assert metadata.interval.coverage[-1] >= 0.99
    assert metadata.training_data
    assert metadata.licence


def test_a_checkpoint_is_told_how_to_become_a_model_file(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").write_bytes(b"weights")
    with pytest.raises(
        ModelError, match=r"is a checkpoint of a run; make a model file of it with 'mien export"
    ):
        Model(tmp_path / "best.ckpt")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_model_that_ships_is_known_by_its_name(name: str) -> None:
    assert Model(name).path.name == f"{name}.onnx"


def test_a_name_that_is_neither_known_nor_a_file_is_refused() -> None:
    assert sentence(Path("large")) == "There is no model file large; name a file, or small or open."


@pytest.mark.parametrize(("asked", "threads"), [({}, 1), ({"threads": 3}, 3)])
def test_a_run_uses_one_thread_unless_told_otherwise_and_none_waits_busily(
    tiny_model: Path, asked: dict[str, int], threads: int
) -> None:
    options = Model(tiny_model, **asked)._session.get_session_options()  # type: ignore[arg-type]  # threads alone
    assert options.intra_op_num_threads == threads
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
