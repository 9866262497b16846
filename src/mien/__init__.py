"""mien: apparent age and perceived gender from photos of faces.

>>> from mien import Predictor
>>> for estimate in Predictor().predict("examples/astronaut.jpg"):
...     print(estimate.gender.label)
female
"""

from typing import TYPE_CHECKING

from mien.deprecated import keep_old_names
from mien.errors import (
    DataError,
    DetectorError,
    DeviceError,
    ImageError,
    MienError,
    ModelError,
    TrainingError,
)
from mien.pipeline.telemetry import switch_off
from mien.request import Request
from mien.results import AgeEstimate, Box, Estimate, Face, GenderEstimate

if TYPE_CHECKING:
    from mien.fusion import fuse
    from mien.photo_result import PhotoResult
    from mien.pipeline.images import EncodedPhoto, Photo
    from mien.predictor import Predictor

    __version__: str

__all__ = [
    "AgeEstimate",
    "Box",
    "DataError",
    "DetectorError",
    "DeviceError",
    "EncodedPhoto",
    "Estimate",
    "Face",
    "GenderEstimate",
    "ImageError",
    "MienError",
    "ModelError",
    "Photo",
    "PhotoResult",
    "Predictor",
    "Request",
    "TrainingError",
    "__version__",
    "fuse",
]

_LAZY = {
    "EncodedPhoto": "mien.pipeline.images",
    "Photo": "mien.pipeline.images",
    "PhotoResult": "mien.photo_result",
    "Predictor": "mien.predictor",
    "fuse": "mien.fusion",
}

switch_off()  # before anything loads ONNX Runtime
keep_old_names()


def __getattr__(name: str) -> object:
    """Import what needs NumPy, Pillow or ONNX Runtime only on first use, to keep ``import mien`` fast."""
    if name == "__version__":
        from importlib.metadata import version

        return version("mien")
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'mien' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return __all__
