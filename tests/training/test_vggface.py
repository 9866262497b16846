from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.signal import correlate2d

from mien.errors import TrainingError
from mien.training.module import FaceModule
from mien.training.recipes.classic import INPUT
from mien.training.vggface import WIDTHS, make_trunk, read_trunk_weights

Floats = npt.NDArray[np.float32]
Names = Callable[[str], tuple[str, str]]


def shapes() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Written out on their own, as the published file has them."""
    channels = 3
    for block, (width, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1):
        for i in range(1, count + 1):
            yield f"conv{block}_{i}", (3, 3, channels, width)
            channels = width


def keras_2(layer: str) -> tuple[str, str]:
    return f"{layer}/kernel:0", f"{layer}/bias:0"


def keras_1(layer: str) -> tuple[str, str]:
    return f"{layer}_W_1:0", f"{layer}_b_1:0"


def write(path: Path, names: Names = keras_2, full: tuple[str, ...] = ()) -> Path:
    """A file of the published layout: random numbers in the layers of ``full``, a constant in the others."""
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name, _ in shapes()]
        file.create_group("pool1")
        for layer, shape in shapes():
            group = file.create_group(layer)
            for name, size in zip(names(layer), (shape, shape[-1:]), strict=True):
                if layer in full:
                    group[name] = random.normal(0, 0.05, size).astype(np.float32)
                else:  # takes no room on disk
                    group.create_dataset(name, size, np.float32, fillvalue=0.01)
            group.attrs["weight_names"] = [name.encode() for name in names(layer)]
    return path


@pytest.mark.parametrize("names", [keras_1, keras_2])
def test_kernels_are_turned_round(tmp_path: Path, names: Names) -> None:
    path = write(tmp_path / "vgg.h5", names, full=("conv2_1",))
    state = read_trunk_weights(path)
    with h5py.File(path) as file:
        kernel, bias = (np.asarray(file["conv2_1"][name]) for name in names("conv2_1"))
    assert state["conv2_1.weight"].shape == (128, 64, 3, 3)
    assert float(state["conv2_1.weight"][7, 5, 0, 2]) == kernel[0, 2, 5, 7]
    np.testing.assert_array_equal(state["conv2_1.bias"], bias)


def test_the_state_fits_the_trunk(tmp_path: Path) -> None:
    trunk = make_trunk()
    trunk.load_state_dict(read_trunk_weights(write(tmp_path / "vgg.h5")))
    assert sum(p.numel() for p in trunk.parameters()) == 14_714_688


def convolve(image: Floats, kernel: Floats, bias: Floats) -> Floats:
    """One layer by the book: image (h, w, in), kernel (3, 3, in, out), zeros beyond the edge, then ReLU."""
    maps = [
        sum(correlate2d(image[..., i], kernel[..., i, o], "same") for i in range(image.shape[2])) + bias[o]
        for o in range(kernel.shape[3])
    ]
    return np.asarray(np.maximum(np.stack(maps, -1), 0), np.float32)


def test_a_photo_gives_what_keras_would_compute(tmp_path: Path) -> None:
    path = write(tmp_path / "vgg.h5", full=("conv1_1", "conv1_2"))
    rgb = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)

    bgr = rgb[..., ::-1].astype(np.float32) - np.array([93.5940, 104.7624, 129.1863], np.float32)
    with h5py.File(path) as file:
        weights = {
            layer: [np.asarray(file[layer][name]) for name in keras_2(layer)]
            for layer in ("conv1_1", "conv1_2")
        }
    expected = convolve(convolve(bgr, *weights["conv1_1"]), *weights["conv1_2"])
    expected = expected.reshape(3, 2, 4, 2, 64).max((1, 3))  # pool1

    trunk = make_trunk()
    trunk.load_state_dict(read_trunk_weights(path))
    images = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        got = trunk[:5](FaceModule(INPUT).normalise(images))[0].permute(1, 2, 0)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)


def test_features_are_averages_of_the_last_map() -> None:
    trunk, images = make_trunk().eval(), torch.randn(1, 3, 64, 64) * 64
    with torch.no_grad():
        assert torch.allclose(trunk(images), trunk[:-2](images).mean((2, 3)), atol=1e-6)
        assert trunk[:-2](images).shape == (1, 512, 2, 2)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(TrainingError, match=r"nowhere\.h5 does not exist"):
        read_trunk_weights(Path("nowhere.h5"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>Not Found</html>", "is a web page"),
        (b"\n<!DOCTYPE html><p>Sign in", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "is a pointer of Git LFS"),
        (b"\x89HDF\r\n\x1a\n half", "is cut short; download it again"),
        (b"nothing of the kind", "is not a readable HDF5 file"),
        (b"", "is not a readable HDF5 file"),
    ],
)
def test_what_is_not_hdf5_is_told_apart(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "vgg.h5").write_bytes(content)
    with pytest.raises(TrainingError, match=rf"vgg\.h5 {words}.*; give rcmalli"):
        read_trunk_weights(tmp_path / "vgg.h5")


def layer_names(form: str) -> list[str]:
    names = [(block, i) for block, widths in enumerate(WIDTHS, 1) for i in range(1, len(widths) + 1)]
    return [form.format(block=block, i=i, after=f"_{n}" * (n > 0)) for n, (block, i) in enumerate(names)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [
        "model_weights/vggface_vgg16/conv{block}_{i}",
        "model_weights/block{block}_conv{i}",
        "block{block}_conv{i}",
        "layers/conv2d{after}/vars",
    ],
)
def test_the_same_weights_are_read_however_keras_saved_them(tmp_path: Path, form: str) -> None:
    published = write(tmp_path / "vgg.h5", full=("conv2_1",))
    with h5py.File(published) as file, h5py.File(tmp_path / "again.h5", "w") as again:
        for own, name in zip(layer_names(form), layer_names("conv{block}_{i}"), strict=True):
            for number, part in enumerate(keras_2(name)):
                again[f"{own}/{number}"] = np.asarray(file[name][part])
    expected, got = read_trunk_weights(published), read_trunk_weights(tmp_path / "again.h5")
    assert expected.keys() == got.keys()
    assert all(torch.equal(value, got[name]) for name, value in expected.items())


def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "vgg.h5")
    with h5py.File(path, "a") as file:
        del file["conv4_2"]
    with pytest.raises(TrainingError, match=r"no layer 'conv4_2'"):
        read_trunk_weights(path)


def test_a_wrong_shape_is_named_with_the_right_one(tmp_path: Path) -> None:
    path = write(tmp_path / "vgg.h5")
    with h5py.File(path, "a") as file:
        del file["conv1_1"]
        file["conv1_1/conv1_1_W"] = np.zeros((64, 3, 3, 3), np.float32)
        file["conv1_1/conv1_1_b"] = np.zeros(64, np.float32)
    with pytest.raises(TrainingError, match=r"'conv1_1'.*\(64, 3, 3, 3\).*\(3, 3, 3, 64\)"):
        read_trunk_weights(path)


def test_a_layer_without_its_bias_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "vgg.h5")
    with h5py.File(path, "a") as file:
        del file["conv5_3/conv5_3/bias:0"]
    with pytest.raises(TrainingError, match=r"'conv5_3'.*\(512,\)"):
        read_trunk_weights(path)
