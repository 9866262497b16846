import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mien.errors import TrainingError
from mien.training.dlib_resnet import PUBLISHED_FILE, SMALLEST_SIDE, make_trunk, read_trunk_weights
from mien.training.recipes.dlib import SIDES, DlibModule


@pytest.fixture(scope="session")
def models() -> Path:
    """dlib's published files, as the package face-recognition-models carries them."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        pytest.skip("dlib's face-recognition net is not at hand")
    return Path(spec.origin).parent / "models"


@pytest.fixture
def published(models: Path) -> Path:
    return models / PUBLISHED_FILE


@pytest.fixture
def chips(astronaut: Path) -> torch.Tensor:
    """Parts of a photo as large as the recipe's chips; (12, 128, 128, 3)."""
    with Image.open(astronaut) as photo:
        pixels = np.asarray(photo.convert("RGB").resize((512, 384)))
    return torch.from_numpy(
        pixels.reshape(3, 128, 4, 128, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 128, 128, 3)
    )


def last_layer(file: Path) -> torch.Tensor:
    """The matrix (256, 128) behind the average, which dlib's descriptors are made with."""
    content = file.read_bytes()
    start = content.rindex(b"\x01\x04fc_2") + 22
    return torch.from_numpy(np.frombuffer(content, "<f4", 256 * 128, start).reshape(256, 128).copy())


def test_a_trunk_answers_as_dlib_does(published: Path, astronaut: Path) -> None:
    dlib = pytest.importorskip("dlib", reason="dlib is not installed")
    with Image.open(astronaut) as photo:
        face = photo.convert("RGB").resize((150, 150), box=(180, 40, 330, 190))
    expected = dlib.face_recognition_model_v1(str(published)).compute_face_descriptor(np.asarray(face))
    module = DlibModule()
    chips = torch.from_numpy(np.asarray(face)[None].copy())
    module.start_from(published, chips.expand(8, -1, -1, -1))
    images = module.normalise(chips.permute(0, 3, 1, 2) / 255)
    with torch.no_grad():
        [found] = module.net.eval().trunk(images) @ last_layer(published)
    assert np.abs(found.numpy() - np.array(expected)).max() < 2e-5


def test_its_norms_have_the_statistics_of_the_faces(published: Path, chips: torch.Tensor) -> None:
    module = DlibModule()
    module.start_from(published, chips)
    convolution, norm = module.net.trunk.conv, module.net.trunk.norm
    assert isinstance(norm, torch.nn.BatchNorm2d) and norm.running_mean is not None
    with torch.no_grad():
        seen = convolution(module.normalise(chips.permute(0, 3, 1, 2) / 255))  # type: ignore[operator]  # a layer
    assert torch.allclose(norm.running_mean, seen.mean((0, 2, 3)), atol=1e-4)


@pytest.mark.parametrize("kept", [0, 4, 3000, 500_000, 22_000_000])
def test_a_file_cut_short_is_refused(published: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "short.dat"
    path.write_bytes(published.read_bytes()[:kept])
    with pytest.raises(
        TrainingError, match=r"short\.dat does not hold .* or is cut short; give dlib_face_rec"
    ):
        read_trunk_weights(path)


@pytest.mark.parametrize("name", ["mmod_human_face_detector.dat", "shape_predictor_5_face_landmarks.dat"])
def test_another_of_dlibs_files_is_refused(models: Path, name: str) -> None:
    with pytest.raises(TrainingError, match="does not hold the weights of dlib's face-recognition net"):
        read_trunk_weights(models / name)


def test_a_file_of_another_version_is_refused(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "newer.dat"
    path.write_bytes(published.read_bytes().replace(b"\x01\x05con_4", b"\x01\x05con_6"))
    with pytest.raises(TrainingError, match="does not hold"):
        read_trunk_weights(path)


def test_a_trunk_of_other_widths_is_refused(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "wide.dat"
    path.write_bytes(
        published.read_bytes().replace(b"con_4\x01\x02\x02\x80\x12", b"con_4\x01\x02\x02\x80\x13")
    )
    with pytest.raises(TrainingError, match="does not hold"):
        read_trunk_weights(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="does not exist; give the path of dlib_face"):
        read_trunk_weights(tmp_path / "none.dat")
    with pytest.raises(TrainingError, match=f"cannot be read .*; give {PUBLISHED_FILE}"):
        read_trunk_weights(tmp_path)


@pytest.mark.parametrize("side", [SMALLEST_SIDE, 112, 128, 150])
def test_a_trunk_takes_any_side_from_its_smallest_on(side: int) -> None:
    with torch.no_grad():
        assert make_trunk().eval()(torch.zeros(1, 3, side, side)).shape == (1, 256)


def test_no_side_of_the_recipe_is_too_small() -> None:
    assert min(side for _, side in SIDES) >= SMALLEST_SIDE
