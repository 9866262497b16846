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
"""Score below which a face is marked as unsure. That of 95 % of upright aligned faces lies above;
that of 99 % of the same faces lying on their side or head, below."""

NMS_IOU = 0.3
"""OpenCV's own."""

STRIDES = (8, 16, 32)
"""Sides in pixels of the cells of the net's three grids, which share the names of their outputs."""

KINDS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
"""What it says of each cell, and in how many numbers."""

SIDE, ANY = b"\x0a\x03\x08\x80\x05", (b"\x0a\x03\x12\x01h", b"\x0a\x03\x12\x01w")
"""A dimension of 640 in an ONNX file, and two that may have any value and are written as long."""


class YuNetDetector(AdjustableDetector):
    """YuNet, a small neural detector (Wu, Peng and Yu, "YuNet: a tiny millisecond-level detector", 2023).

    Finds many more faces than dlib, also turned and masked ones, and gives their landmarks. Photos are shrunk
    until their longest side has ``longest_side`` pixels; beyond 640 it loses faces that fill the photo. May
    be used by several threads at once.

    Args:
        path: The ONNX file ``face_detection_yunet_2023mar.onnx`` of the OpenCV Zoo; None for the one in the
            user's cache directory, fetched if it is not there yet.
        longest_side: In pixels, of the photo as the detector sees it.
        threshold: Least score, in [0, 1].

    Raises:
        DetectorError: If the file is missing, cannot be fetched, or is not a YuNet.
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
        """A pickled detector is set up again."""
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
        """For each stride, a row for each cell of what :data:`KINDS` names."""
        outputs = iter(self._session.run(_outputs(), {"input": image}))
        return [(stride, [next(outputs)[0] for _ in KINDS]) for stride in STRIDES]

    def _decode(self, stride: int, width: int, outputs: list[Rows]) -> tuple[Rows, Rows, Rows]:
        """Boxes, scores and landmarks of the cells above the threshold, as ``FaceDetectorYN`` decodes them.

        Args:
            stride: Side of a cell in pixels.
            width: Of the image in pixels.
            outputs: What the net says of each.
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
    """A session for inputs of any size; the file itself names a fixed one."""
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
