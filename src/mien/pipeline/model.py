"""The model file: an ONNX graph and its metadata, checked against each other when it is loaded."""

import os
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mien.errors import ModelError
from mien.pipeline.align import CANONICAL_GEOMETRY
from mien.pipeline.device_names import Device
from mien.pipeline.devices import device_of
from mien.pipeline.metadata import ModelMetadata
from mien.pipeline.session import open_session

Chips: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float64]

BATCH_SIZE = 64
"""Maximum number of chips per run of the graph. It bounds memory; more are no faster on a CPU."""


SHIPPED = ("small", "open")
"""Names of the models that ship with mien, the default first; each has its own model card."""


def default_model_path() -> Path:
    """The file of the default model."""
    return model_path(SHIPPED[0])


def model_path(model: str | os.PathLike[str]) -> Path:
    """The file of a model: a name in :data:`SHIPPED`, or a path, which is returned unchanged."""
    if str(model) in SHIPPED:
        return Path(str(files("mien") / "weights" / f"{model}.onnx"))
    return Path(model)


class Model:
    """A loaded model file; may be used by several threads at once.

    Args:
        path: The file, or the name of a shipped model, ``small`` or ``open``; None for ``small``.
        device: Device to run on: ``cpu``, ``cuda``, ``coreml``, ``directml`` or ``openvino``; ``auto`` for
            the first accelerator that works, or else ``cpu``.
        threads: Threads per run; 0 for one per core, which pays off for single photos with many faces.

    Attributes:
        path: The file.
        metadata: Metadata of the file.
        device: The device in use.

    Raises:
        DeviceError: If the device cannot be used.
        ModelError: If the file is missing, is not ONNX or lacks metadata, or if its graph or geometry does
            not match its metadata or this version of mien.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, device: Device = "cpu", threads: int = 1
    ) -> None:
        """Load the file and check it."""
        source = model_path(path) if path is not None else default_model_path()
        self.path = source
        self._session = _load(source, device, threads)
        self.device, self._asked, self._threads = device_of(self._session), device, threads
        properties = self._session.get_modelmeta().custom_metadata_map
        self.metadata = ModelMetadata.from_properties(properties, str(source))
        _check_metadata(self.metadata, str(source))
        _check_graph(self._session, self.metadata, str(source))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings alone; unpickling loads the file again."""
        return partial(Model, self.path, device=self._asked, threads=self._threads), ()

    def run(self, chips: Chips) -> tuple[Floats, Floats]:
        """Run the model on chips.

        Args:
            chips: (n, size, size, 3) uint8 RGB, where size is ``metadata.input_size``; n may be 0.

        Returns:
            ``age_probabilities`` (n, k), the mass of each age from ``age_min`` to ``age_max``, and
            ``p_female`` (n,), in [0, 1].

        Raises:
            ValueError: If the chips have another shape or type.
        """
        size = self.metadata.input_size
        if chips.dtype != np.uint8 or chips.ndim != 4 or chips.shape[1:] != (size, size, 3):
            raise ValueError(f"chips must be uint8 (n, {size}, {size}, 3), got {chips.dtype} {chips.shape}")
        bins = self.metadata.age_max - self.metadata.age_min + 1
        ages, p_female = np.empty((len(chips), bins)), np.empty(len(chips))
        for start in range(0, len(chips), BATCH_SIZE):
            part = slice(start, start + BATCH_SIZE)
            ages[part], p_female[part] = self._session.run(
                ["age_probabilities", "p_female"], {"chips": normalise(chips[part], self.metadata)}
            )
        return ages, np.clip(p_female, 0, 1)  # float32 may exceed 1 by a rounding error


def normalise(chips: Chips, metadata: ModelMetadata) -> npt.NDArray[np.float32]:
    """Convert chips to the graph's input: (n, 3, size, size), channels ordered, scaled and normalised."""
    if metadata.channel_order == "BGR":
        chips = chips[..., ::-1]
    mean, std = np.asarray(metadata.mean, np.float32), np.asarray(metadata.std, np.float32)
    scaled = chips.astype(np.float32) * (1 / (255 * std)) - mean / std
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def _load(path: Path, device: Device, threads: int) -> Any:  # onnxruntime has no types
    if not path.is_file():
        cure = "check the path" if path.suffix else f"name a file, or {' or '.join(SHIPPED)}"
        if path.parent == default_model_path().parent:
            cure = "install mien again"
        raise ModelError(f"There is no model file {path}; {cure}.")
    if path.suffix == ".ckpt":
        raise ModelError(
            f"{path} is a checkpoint of a run; make a model file of it with 'mien export {path} "
            "--manifest CSV --output FILE'."
        )
    try:
        return open_session(path, threads, device)
    except ValueError:
        raise ModelError(
            f"{path} is not an ONNX file that can be run; use a file that 'mien export' wrote."
        ) from None


def _check_metadata(metadata: ModelMetadata, source: str) -> None:
    if metadata.geometry != CANONICAL_GEOMETRY:
        raise ModelError(
            f"{source} was trained on faces cropped in another way than mien crops them (its chip geometry "
            "differs); use a file that this version's 'mien export' wrote."
        )
    if metadata.gender_order != ("male", "female"):
        raise ModelError(
            f"{source} orders genders as {metadata.gender_order}, not male, female; export it again."
        )


def _check_graph(session: Any, metadata: ModelMetadata, source: str) -> None:
    """Check the graph's names and shapes against the metadata; an axis of unknown length fits any length."""
    size, bins = metadata.input_size, metadata.age_max - metadata.age_min + 1
    inputs = {value.name: value for value in session.get_inputs()}
    outputs = {value.name: value for value in session.get_outputs()}
    if list(inputs) != ["chips"] or not {"age_probabilities", "p_female"} <= set(outputs):
        raise ModelError(
            f"{source} maps {', '.join(inputs)} to {', '.join(outputs)}, "
            "not chips to age_probabilities, p_female; export it again."
        )
    expected = {"chips": ("n", 3, size, size), "age_probabilities": ("n", bins), "p_female": ("n",)}
    for name, shape in expected.items():
        value = (inputs | outputs)[name]
        if value.type != "tensor(float)" or not _fits(value.shape, shape):
            raise ModelError(
                f"{source} has {name} as {value.type} {value.shape}, where its metadata says "
                f"float {list(shape)} for any n; export it again."
            )


def _fits(actual: list[int | str | None], expected: tuple[int | str, ...]) -> bool:
    if len(actual) != len(expected) or isinstance(actual[0], int):
        return False
    return all(a == e or not isinstance(a, int) for a, e in zip(actual[1:], expected[1:], strict=True))
