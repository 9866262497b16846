"""YuNet, through OpenCV."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.errors import DetectorError
from mien.pipeline.detect.adjustable import AdjustableDetector
from mien.pipeline.detect.nms import choose_faces
from mien.pipeline.detect.pool import Pool
from mien.pipeline.detect.preprocessing import resize
from mien.pipeline.images import Pixels
from mien.results import Face

UNSURE = 0.9
"""Score below which a face is marked as unsure. That of 95 % of upright aligned faces lies above;
that of 99 % of the same faces lying on their side or head, below."""

NMS_IOU = 0.3
"""OpenCV's own."""

_log_level = threading.Lock()

THINNEST = 8
"""Pixels; in a view that is thinner there is no face, but OpenCV 4.10 sees some."""


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
        """Load the file once, to refuse a wrong one now."""
        if path is None:
            from mien.pipeline.detect.fetch import yunet_path

            path = yunet_path()
        self.path = Path(path)
        self.longest_side = longest_side
        self.threshold = threshold
        self._detectors = Pool[Any](self._make)
        if not self.path.is_file():
            raise DetectorError(
                f"There is no YuNet file {path}; write yunet alone to have it fetched from OpenCV."
            )
        try:
            self.detect(np.zeros((32, 32, 3), np.uint8))
        except cv2.error:
            raise DetectorError(
                f"{path} is not a YuNet model; use face_detection_yunet_2023mar.onnx."
            ) from None

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickled detector is set up again."""
        return partial(YuNetDetector, self.path, longest_side=self.longest_side, threshold=self.threshold), ()

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces; see :class:`~mien.pipeline.detect.Detector`."""
        view, scale = resize(photo, self.longest_side)
        if min(view.shape[:2]) < THINNEST:
            return []
        with self._detectors.borrow() as detector:
            detector.setInputSize((view.shape[1], view.shape[0]))
            _, rows = detector.detect(cv2.cvtColor(view, cv2.COLOR_RGB2BGR))
        if rows is None:
            return []
        corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)
        return choose_faces(
            corners,
            rows[:, 14],
            rows[:, 4:14],
            size=photo.shape[:2],
            scale=scale,
            nms_iou=NMS_IOU,
            unsure_below=UNSURE,
        )

    def _make(self) -> Any:  # OpenCV's stubs lack FaceDetectorYN's later arguments
        with _quiet_opencv():
            every = 1.0  # overlap from which OpenCV itself would drop boxes
            return cv2.FaceDetectorYN.create(str(self.path), "", (32, 32), self.threshold, every)


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV 5 from warning on stderr that its DNN engine ignores the target FaceDetectorYN sets."""
    if not hasattr(cv2.utils, "logging"):  # OpenCV 4
        yield
        return
    with _log_level:
        before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            yield
        finally:
            cv2.utils.logging.setLogLevel(before)
