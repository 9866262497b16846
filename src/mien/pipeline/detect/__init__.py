"""Face detection: one module per detector, imported only when that detector is requested."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mien.errors import DetectorError
from mien.pipeline.detect.adjustable import AdjustableDetector
from mien.pipeline.detect.protocol import Detector
from mien.pipeline.detect.rotation import TurningDetector
from mien.pipeline.detect.tiling import TilingDetector
from mien.pipeline.device_names import Device

if TYPE_CHECKING:
    from mien.pipeline.detect.centerface import CenterFaceDetector
    from mien.pipeline.detect.dlib import DlibDetector
    from mien.pipeline.detect.mien import MienDetector
    from mien.pipeline.detect.yunet import YuNetDetector

__all__ = [
    "AdjustableDetector",
    "CenterFaceDetector",
    "Detector",
    "DlibDetector",
    "MienDetector",
    "TilingDetector",
    "TurningDetector",
    "YuNetDetector",
    "make_detector",
]

_LAZY = {
    "CenterFaceDetector": "centerface",
    "DlibDetector": "dlib",
    "MienDetector": "mien",
    "YuNetDetector": "yunet",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def make_detector(
    name: str, *, longest_side: int | None = None, threshold: float | None = None, device: Device = "cpu"
) -> "MienDetector | DlibDetector | YuNetDetector | CenterFaceDetector":
    """Create a detector by name.

    Args:
        name: ``mien``, ``dlib``, ``centerface``, ``yunet``, or ``yunet:PATH`` with the path of its ONNX file.
        longest_side: Longest side in pixels to which photos are shrunk; None for the detector's default.
        threshold: Least score of a face; None for the detector's default.
        device: Device of ``mien``; the other detectors run on the CPU.

    Raises:
        DetectorError: If there is no such detector, or a package or file that it needs is missing or wrong.
        DeviceError: If the device cannot be used.
    """
    given = {"longest_side": longest_side, "threshold": threshold}
    settings: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    kind, _, path = name.partition(":")
    if kind == "yunet" and (path or name == kind):
        from mien.pipeline.detect.yunet import YuNetDetector

        return YuNetDetector(path or None, **settings)
    if name == "mien":
        from mien.pipeline.detect.mien import MienDetector

        return MienDetector(**settings, device=device)
    if name == "dlib":
        from mien.pipeline.detect.dlib import DlibDetector

        return DlibDetector(**settings)
    if name == "centerface":
        from mien.pipeline.detect.centerface import CenterFaceDetector

        return CenterFaceDetector(**settings)
    raise DetectorError(f"There is no detector {name!r}; choose mien, dlib, centerface, yunet or yunet:PATH.")
