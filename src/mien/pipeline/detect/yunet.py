"""YuNet, from its ONNX file in the OpenCV Zoo."""

from functools import partial
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

Rows = npt.NDArray[np.float32]

UNSURE = 0.9
"""Score below which a face is marked as unsure. 95 % of upright aligned faces score higher; 99 % of the same
faces score lower when they lie on their side or are upside down."""

NMS_IOU = 0.3
"""OpenCV's default."""

STRIDES = (8, 16, 32)
"""Cell sides in pixels of the net's three grids; the names of the outputs end with them."""

KINDS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
"""The outputs of each grid, and how many numbers they have per cell."""

SIDE, ANY = b"\x0a\x03\x08\x80\x05", (b"\x0a\x03\x12\x01h", b"\x0a\x03\x12\x01w")
"""Bytes of a dimension of 640 in an ONNX file, and of two symbolic dimensions with the same byte length."""


class YuNetDetector(AdjustableDetector):
    """YuNet, a small neural detector (Wu, Peng and Yu, "YuNet: a tiny millisecond-level detector", 2023).

    Finds many more faces than dlib, including rotated and masked ones, with five landmarks. Photos are shrunk
    until their longest side has ``longest_side`` pixels; with more than 640, faces that fill the photo are
    missed. May be used by several threads at once.

    Args:
        path: The ONNX file ``face_detection_yunet_2023mar.onnx`` of the OpenCV Zoo; None for the one in the
            user's cache directory, which is downloaded if it is missing.
        longest_side: Longest side in pixels to which photos are shrunk.
        threshold: Least score, in [0, 1].

    Raises:
        DetectorError: If the file is missing, cannot be downloaded, or is not a YuNet model.
    """

    def __init__(
        self, path: str | Path | None = None, *, longest_side: int = 640, threshold: float = 0.6
    ) -> None:
        """Load the file."""
        if path is None:
            from mien.pipeline.detect.fetch import yunet_path

            path = yunet_path()
        self.path = Path(path)
        self.longest_side = longest_side
        self.threshold = threshold
        if not self.path.is_file():
            raise DetectorError(
                f"There is no YuNet file {path}; write yunet alone to have it fetched from OpenCV."
            )
        self._session = _open(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings alone; unpickling loads the file again."""
        return partial(YuNetDetector, self.path, longest_side=self.longest_side, threshold=self.threshold), ()

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces; see :class:`~mien.pipeline.detect.Detector`."""
        view, scale = resize(photo, self.longest_side)
        image = np.ascontiguousarray(to_tensor(view)[:, ::-1])  # BGR
        found = [self._decode(stride, image.shape[3], outputs) for stride, outputs in self._run(image)]
        boxes, scores, points = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return choose_faces(
            boxes,
            scores,
            points,
            size=photo.shape[:2],
            scale=scale,
            nms_iou=NMS_IOU,
            unsure_below=UNSURE,
        )

    def _run(self, image: Rows) -> list[tuple[int, list[Rows]]]:
        """For each stride, the outputs that :data:`KINDS` names, with one row per cell."""
        outputs = iter(self._session.run(_outputs(), {"input": image}))
        return [(stride, [next(outputs)[0] for _ in KINDS]) for stride in STRIDES]

    def _decode(self, stride: int, width: int, outputs: list[Rows]) -> tuple[Rows, Rows, Rows]:
        """Boxes, scores and landmarks of the cells above the threshold, as ``FaceDetectorYN`` decodes them.

        Args:
            stride: Side of a cell in pixels.
            width: Width of the image in pixels.
            outputs: The net's outputs for this stride, in the order of :data:`KINDS`.
        """
        classes, objects, offsets, points = outputs
        columns = width // stride
        scores = np.sqrt(classes.clip(0, 1) * objects.clip(0, 1))[:, 0]
        sure = np.flatnonzero(scores > self.threshold)
        corners = np.stack([sure % columns, sure // columns], -1).astype(np.float32)
        centres = (corners + offsets[sure, :2]) * stride
        halves = np.exp(np.minimum(offsets[sure, 2:], 8)) * (stride / 2)
        five = (points[sure].reshape(-1, 5, 2) + corners[:, None]) * stride
        return np.concatenate([centres - halves, centres + halves], 1), scores[sure], five


def _open(path: Path) -> Any:  # onnxruntime has no types
    """Open a session for inputs of any size; the file itself declares a fixed size."""
    graph = path.read_bytes()
    for letter in ANY:
        graph = graph.replace(SIDE, letter, 1)
    try:
        session = open_session(graph, threads=1)
    except ValueError:
        raise _not_yunet(path) from None
    inputs, outputs = (
        {value.name: value.shape[2:] for value in values}
        for values in (session.get_inputs(), session.get_outputs())
    )
    expected = {name: [KINDS[name.partition("_")[0]]] for name in _outputs()}
    if inputs != {"input": ["h", "w"]} or outputs != expected:
        raise _not_yunet(path)
    return session


def _outputs() -> list[str]:
    return [f"{kind}_{stride}" for stride in STRIDES for kind in KINDS]


def _not_yunet(path: Path) -> DetectorError:
    return DetectorError(f"{path} is not a YuNet model; use face_detection_yunet_2023mar.onnx.")
