"""A whole run of the detector on noise, from pictures to a file that finds faces in a photo."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from mien.cli import app
from mien.cli.train_detector import _detector_file
from mien.errors import DetectorError, TrainingError
from mien.evaluation.detection import read_boxes
from mien.pipeline.detect import MienDetector
from mien.pipeline.detect.mien import default_detector_path
from mien.pipeline.images import Pixels
from mien.results import Box, Face
from mien.training.checkpoint import read_checkpoint
from mien.training.detection import run as running
from mien.training.detection.export import export_detector
from mien.training.detection.module import Deployed, DetectorModule
from mien.training.detection.quantize import DetectorDrift
from mien.training.detection.run import train_detector

Train = Callable[..., Path]


class Teacher:
    def detect(self, photo: Pixels) -> list[Face]:
        side = photo.shape[0]
        points = ((0.4, 0.4), (0.6, 0.4), (0.5, 0.5), (0.42, 0.6), (0.58, 0.6))
        landmarks = tuple((x * side, y * side) for x, y in points)
        return [Face(Box(side * 0.3, side * 0.3, side * 0.7, side * 0.7), 0.9, landmarks)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for i in range(80):
        pixels = random.integers(0, 256, (72, 72, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    boxes = [{"image": f"{i}.png", "x1": 20, "y1": 20, "x2": 50, "y2": 52} for i in range(40)]
    pd.DataFrame(boxes).to_csv(folder / "boxes.csv", index=False)
    pd.DataFrame({"image": [f"{i}.png" for i in range(40, 72)]}).to_csv(folder / "no-face.csv", index=False)
    faces = [
        {"path": f"{i}.png", "age": 30, "split": "train" if i < 76 else "validation"} for i in range(72, 80)
    ]
    pd.DataFrame(faces).to_csv(folder / "faces.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def start(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Train:
    def run(output: Path, **settings: Any) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mien.training.curves.draw_curves", lambda table, folder: [])  # most of the time
            for name, value in {
                "SCENES": 4,
                "VALIDATION_SCENES": 4,
                "SIDE": 64,
                "STARTING_SCENES": 4,
            }.items():
                patch.setattr(running, name, value)
            common: dict[str, Any] = {"epochs": 1, "batch_size": 2, "devices": "1"}
            return train_detector(
                pictures, [pictures / "faces.csv"], [Teacher()], output, **(common | settings)
            )

    return run


@pytest.fixture(scope="module")
def checkpoint(start: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start(tmp_path_factory.mktemp("run") / "detector")


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    return export_detector(checkpoint, checkpoint.parent / "detector.onnx", threshold=0.4).path


def test_a_run_leaves_a_checkpoint_that_says_what_it_saw(checkpoint: Path) -> None:
    note = read_checkpoint(checkpoint)["mien"]
    assert note["recipe"] == "detector"
    assert [line.split(":")[0] for line in note["training_data"]] == [
        "photos",
        "pictures without faces",
        "aligned faces",
    ]


def test_a_run_names_the_pictures_that_judge_it(checkpoint: Path) -> None:
    boxes = read_boxes([checkpoint.parents[1] / "validation.csv"])
    assert set(boxes["split"]) == {"validation"} and all(Path(image).exists() for image in boxes["image"])
    assert 0 < boxes["x1"].isna().sum() < len(boxes)


@pytest.mark.slow
def test_the_exported_file_is_a_detector_of_two_megabytes(exported: Path, astronaut: Path) -> None:
    detector = MienDetector(exported)
    assert detector.metadata.threshold == 0.4
    assert exported.stat().st_size <= 2.5e6  # in single precision
    assert isinstance(detector.detect(np.asarray(Image.open(astronaut))), list)


@pytest.mark.slow
def test_the_exported_file_answers_as_the_checkpoint_on_any_size(checkpoint: Path, exported: Path) -> None:
    module = DetectorModule()
    module.load_state_dict(read_checkpoint(checkpoint)["state_dict"])
    image = torch.randint(0, 256, (1, 3, 96, 224)).float()
    with torch.no_grad():
        expected = Deployed(module.eval()).eval()(image)
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    found = session.run(["scores", "boxes", "landmarks"], {"image": image.numpy()})
    for one, other in zip(expected, found, strict=True):
        assert np.allclose(one.numpy(), other, atol=1e-2)


@pytest.mark.slow
def test_a_run_that_starts_from_a_file_answers_as_the_file_at_first(checkpoint: Path, exported: Path) -> None:
    module = DetectorModule()
    module.load_state_dict(read_checkpoint(checkpoint)["state_dict"])
    started = DetectorModule()
    scenes = torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8)
    started.start_from(exported, scenes)
    images = scenes.permute(0, 3, 1, 2).float()
    with torch.no_grad():
        for one, other in zip(module.eval()(images), started.eval()(images), strict=True):
            assert torch.allclose(one, other, atol=1e-2)


@pytest.mark.slow
def test_a_run_can_start_from_a_file(start: Train, exported: Path, tmp_path: Path) -> None:
    assert start(tmp_path / "more", weights=exported).exists()


@pytest.mark.slow
def test_a_resumed_run_goes_on(start: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    def stop(self: DetectorModule) -> None:
        if self.current_epoch == 1:
            raise Stop

    monkeypatch.setattr(DetectorModule, "on_train_epoch_start", stop)
    with pytest.raises(Stop):
        start(tmp_path / "run", epochs=2)
    monkeypatch.undo()
    assert read_checkpoint(start(tmp_path / "run", epochs=2, resume=True))["epoch"] == 1


def test_what_is_no_detector_file_is_refused(start: Train, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no net")
    with pytest.raises(DetectorError, match=r"text\.onnx is not an ONNX file"):
        start(tmp_path / "run", weights=tmp_path / "text.onnx")


@pytest.mark.slow
def test_a_detector_in_eight_bits_answers_nearly_as_its_file(
    exported: Path, pictures: Path, tmp_path: Path
) -> None:
    report = export_detector(exported, tmp_path / "eight.onnx", quantize=[pictures])
    assert MienDetector(report.path).metadata == MienDetector(exported).metadata
    assert report.drift is not None and report.path.stat().st_size < 0.5 * exported.stat().st_size
    kernels = {tensor.name for tensor in onnx.load(report.path).graph.initializer}
    assert "module.detector.net.stem.1.0.weight_quantized" in kernels
    assert {f"module.detector.net.{name}.weight" for name in ("stem.0.0", "heads.0")} <= kernels
    image = np.asarray(Image.open(pictures / "0.png"), np.float32)[:64, :64].transpose(2, 0, 1)[None]
    one, other = (
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
            ["scores"], {"image": image}
        )[0]
        for path in (exported, report.path)
    )
    np.testing.assert_allclose(one, other, atol=0.02)


@pytest.mark.slow
def test_a_detector_that_eight_bits_spoil_is_refused_and_leaves_no_file(
    exported: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.training.detection.quantize.BOUNDS", DetectorDrift(-0.01, 0.01, 0.02))
    done = CliRunner().invoke(
        app,
        ["export-detector", str(exported), "--quantize", str(pictures), "--output", str(tmp_path / "x.onnx")],
    )
    assert isinstance(done.exception, TrainingError) and "change too much" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_penalty_on_small_faces_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--small-penalty is for checkpoints"):
        export_detector(default_detector_path(), tmp_path / "x.onnx", small_penalty=1.0)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    torch.save({"mien": {"recipe": "small"}, "state_dict": {}}, tmp_path / "small.ckpt")
    with pytest.raises(TrainingError, match=r"small\.ckpt is no checkpoint of 'mien train-detector'"):
        export_detector(tmp_path / "small.ckpt", tmp_path / "x.onnx", threshold=0.5)


@pytest.mark.slow
def test_the_command_exports(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "detector.onnx"
    done = CliRunner().invoke(app, ["export-detector", str(checkpoint), "--output", str(output)])
    assert done.exit_code == 0 and "MB" in done.stdout and output.exists()


def test_the_command_refuses_an_unknown_teacher(pictures: Path, tmp_path: Path) -> None:
    arguments = ["train-detector", str(pictures), "--faces", str(pictures / "faces.csv")]
    done = CliRunner().invoke(app, [*arguments, "--teacher", "owl", "--output", str(tmp_path / "run")])
    assert isinstance(done.exception, DetectorError) and "'owl'" in str(done.exception)


def test_small_faces_log_odds_are_lowered_at_export_by_the_penalty_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    state = DetectorModule().state_dict()
    note = {"recipe": "detector", "training_data": ["noise: 9 faces"]}
    torch.save({"mien": note, "state_dict": state}, tmp_path / "last.ckpt")
    deployed: list[torch.nn.Module] = []

    class Stop(Exception):
        pass

    def stop(module: torch.nn.Module, *_: object) -> None:
        deployed.append(module)
        raise Stop

    monkeypatch.setattr("mien.training.detection.export.to_onnx", stop)
    for penalty in (0.0, 1.3):
        with pytest.raises(Stop):
            export_detector(tmp_path / "last.ckpt", tmp_path / "x.onnx", threshold=0.5, small_penalty=penalty)
    image = torch.randint(0, 256, (1, 3, 96, 128)).float()
    with torch.no_grad():
        scores = [module(image)[0].double() for module in deployed]
    change = scores[1].logit() - scores[0].logit()
    finest = change.numel() - int((change.abs() < 1e-3).sum())
    assert finest > change.numel() / 2  # each coarser level has a quarter of the positions
    assert torch.allclose(change[0, :finest], torch.tensor(-1.3).double(), atol=1e-3)


def test_biases_and_norms_are_not_decayed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = DetectorModule(weight_decay=0.07)
    monkeypatch.setattr(DetectorModule, "trainer", SimpleNamespace(estimated_stepping_batches=100))
    configured: dict[str, Any] = module.configure_optimizers()
    decay = {id(p): g["weight_decay"] for g in configured["optimizer"].param_groups for p in g["params"]}
    of_norms = {
        id(p)
        for part in module.net.modules()
        if isinstance(part, torch.nn.BatchNorm2d)
        for p in part.parameters()
    }
    for name, parameter in module.net.named_parameters():
        spared = id(parameter) in of_norms or name.endswith("bias")
        assert decay[id(parameter)] == (0 if spared else 0.07), name


@pytest.mark.parametrize("size", [(96, 128), (64, 224)])
def test_what_is_exported_gives_probabilities_boxes_and_points_for_any_size(size: tuple[int, int]) -> None:
    module = DetectorModule().eval()
    image = torch.randint(0, 256, (2, 3, *size)).float()
    with torch.no_grad():
        logits, boxes, points = module(image)
        scores, *same = Deployed(module)(image)
    assert torch.allclose(scores, logits.sigmoid()) and scores.shape[0] == 2
    assert torch.equal(same[0], boxes) and boxes.shape == (*scores.shape, 4)
    assert torch.equal(same[1], points) and points.shape == (*scores.shape, 10)


@pytest.mark.slow
def test_a_run_starts_from_what_a_checkpoint_would_be_exported_to(checkpoint: Path, tmp_path: Path) -> None:
    file = _detector_file(checkpoint, tmp_path)
    assert file is not None and MienDetector(file).metadata.kind == "detector"
    assert _detector_file(file, tmp_path) == file
