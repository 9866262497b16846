"""What a model runs on. Hardware is imitated: here by none, or by the processor under another name."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from conftest import ROOT
from typer.testing import CliRunner

from mien import Predictor
from mien.cli import app
from mien.errors import DeviceError, ServerError
from mien.pipeline import devices, session
from mien.pipeline.devices import ACCELERATORS, CPU, Accelerator
from mien.pipeline.model import Model
from mien.web.settings import load_settings

NAMES = [accelerator.device for accelerator in ACCELERATORS]


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without accelerators."""
    providers(monkeypatch, [CPU])
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: [])


def providers(monkeypatch: pytest.MonkeyPatch, names: list[str]) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)


def plugged_in(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let a plug-in named openvino drive the processor."""
    providers(monkeypatch, [])
    plugin = replace(ACCELERATORS[-1], provider=CPU, plugin="", **changes)
    monkeypatch.setattr(devices, "ACCELERATORS", [plugin])


def test_the_processor_is_taken_where_nothing_is_said(tiny_model: Path) -> None:
    assert Predictor(tiny_model).device == Model(tiny_model).device == "cpu"


@pytest.mark.usefixtures("nothing")
def test_auto_takes_the_processor_where_there_is_no_other(tiny_model: Path) -> None:
    assert Predictor(tiny_model, device="auto").device == "cpu"


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize(
    ("device", "cure"),
    [
        ("cuda", "onnxruntime-gpu[cuda,cudnn]"),
        ("directml", "onnxruntime-directml"),
        ("coreml", "a Mac"),
        ("openvino", "mien[openvino]"),
    ],
)
def test_a_missing_device_is_named_with_what_to_install(device: Any, cure: str, tiny_model: Path) -> None:
    with pytest.raises(DeviceError, match=f"{device} cannot be used here") as raised:
        Predictor(tiny_model, device=device)
    assert cure in str(raised.value)


def test_an_unknown_device_is_refused_with_those_there_are(tiny_model: Path) -> None:
    with pytest.raises(DeviceError, match="'gpu'; choose auto, cpu, cuda"):
        Model(tiny_model, device="gpu")  # type: ignore[arg-type]  # as a user may write


@pytest.mark.usefixtures("nothing")
def test_a_runtime_that_another_overwrote_is_told_from_one_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    there = ("onnxruntime", "onnxruntime-gpu")
    monkeypatch.setattr(devices, "_installed", lambda name: name in there)
    with pytest.raises(
        DeviceError, match="pip uninstall -y onnxruntime onnxruntime-gpu' and then 'pip install"
    ):
        Model(tiny_model, device="cuda")


@pytest.mark.filterwarnings("ignore:Specified provider")  # this ONNX Runtime knows that it has none
@pytest.mark.parametrize("name", NAMES)
def test_a_device_that_is_announced_but_does_not_work_counts_as_missing(
    name: Any, monkeypatch: pytest.MonkeyPatch, tiny_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    providers(monkeypatch, [accelerator.provider for accelerator in ACCELERATORS])
    assert Model(tiny_model, device="auto").device == "cpu"
    with pytest.raises(DeviceError, match=name):
        Model(tiny_model, device=name)
    assert "".join(capfd.readouterr()) == ""


def test_a_file_that_is_no_graph_is_blamed_and_not_the_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plugged_in(monkeypatch)
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"broken\.onnx"):
        session.open_session(tmp_path / "broken.onnx", device="openvino")


@pytest.mark.parametrize("concurrent", [True, False])
def test_a_plug_in_is_used_and_answers_as_the_processor_does(
    concurrent: bool, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    expected = Model(tiny_model)
    plugged_in(monkeypatch, concurrent=concurrent)
    model = Model(tiny_model, device="auto")
    assert model.device == "openvino"
    size = model.metadata.input_size
    chips = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    for answer, wanted in zip(model.run(chips), expected.run(chips), strict=True):
        np.testing.assert_allclose(answer, wanted, atol=1e-6)


def test_a_detector_goes_where_the_model_is(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    seen = []
    plugged_in(monkeypatch)
    opened = session._open_on

    def watched(accelerator: Accelerator, *given: Any) -> Any:
        seen.append(accelerator.device)
        return opened(accelerator, *given)

    monkeypatch.setattr(session, "_open_on", watched)
    Predictor(tiny_model, device="auto")
    assert seen == ["openvino", "openvino"]


def test_a_pickled_predictor_stays_on_its_device(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    plugged_in(monkeypatch)
    predictor = pickle.loads(pickle.dumps(Predictor(tiny_model, device="openvino")))
    assert predictor.device == predictor.model.device == "openvino"


@pytest.mark.usefixtures("nothing")
def test_the_command_says_what_auto_took_and_ends_where_a_device_is_missing(
    astronaut: Path, tiny_model: Path
) -> None:
    command = ["predict", str(astronaut), "--model", str(tiny_model), "--device"]
    taken = CliRunner().invoke(app, [*command, "auto"])
    assert (taken.exit_code, taken.stderr) == (0, "mien: the model runs on cpu.\n")
    missing = CliRunner().invoke(app, [*command, "cuda"])
    assert isinstance(missing.exception, DeviceError) and missing.exception.exit_status == 2


def test_the_page_on_devices_names_each_with_what_brings_it() -> None:
    page = (ROOT / "docs" / "where.md").read_text("utf-8")
    for accelerator in ACCELERATORS:
        assert f"| `{accelerator.device}` |" in page and f"`{accelerator.package}" in page


def test_a_server_on_a_device_that_it_does_not_know_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_DEVICE", "gpu")
    with pytest.raises(ServerError, match="MIEN_DEVICE"):
        load_settings()
    monkeypatch.setenv("MIEN_DEVICE", "auto")
    assert load_settings().device == "auto"
