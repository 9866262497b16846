"""What several tests need: a tiny model, the example photo, and paths of what may be absent."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from tiny_model import build_model, tiny_metadata

# How long a test takes is no property of the code: other work on the machine must not fail it.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

ROOT = Path(__file__).parents[1]
SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model") / "tiny.onnx", tiny_metadata())


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a model with other metadata or another graph: ``make_model(metadata, **graph)``."""
    return lambda metadata, **graph: build_model(tmp_path / "model.onnx", metadata, **graph)


@pytest.fixture(scope="session")
def astronaut() -> Path:
    return ROOT / "examples" / "astronaut.jpg"


@pytest.fixture(scope="session")
def yunet() -> Path:
    path = SHARED / "models" / "face_detection_yunet_2023mar.onnx"
    if not path.exists():
        pytest.skip("YuNet's file is not at hand")
    return path
