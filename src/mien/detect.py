"""Finding the faces in a photo."""

import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import cv2
import dlib
import numpy as np

from mien.errors import DetectorError
from mien.images import Pixels
from mien.types import Box, Face

T = TypeVar("T")


class Detector(Protocol):
    """Anything that finds faces; :class:`~mien.predictor.Predictor` calls it from several threads at once."""

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces.

        Args:
            photo: (height, width, 3) upright RGB of any size.

        Returns:
            The faces, in any order, in pixels of the photo.
        """
        ...


class DlibDetector:
    """dlib's frontal HOG detector (Dalal and Triggs, CVPR 2005; King, "Max-margin object detection", 2015).

    Finds upright faces that look roughly into the camera; gives boxes without landmarks. Its window is 80 px,
    so photos are enlarged, at most twice, or shrunk until their longest side has ``longest_side`` pixels:
    faces from about 40 px are found in photos up to 640 px, and from a sixteenth of the longest side in large
    ones. May be used by several threads at once.

    What ``benchmarks/detection.py`` printed for 300 photos of at most 640 px: the share of unmasked faces
    found by size in pixels, false faces on 300 pictures without one, and CPU time for a photo.

    ============  =====  =====  =====  =====  =====  ==
    longest side  30-40  40-60  60-90  >90    false  ms
    ============  =====  =====  =====  =====  =====  ==
    640           0.00   0.24   0.37   0.77   0      23
    960           0.13   0.37   0.48   0.74   1      43
    1280          0.29   0.41   0.48   0.72   1      63
    ============  =====  =====  =====  =====  =====  ==

    dlib's own threshold is 0; 0.25 spares false faces beside true ones.

    Args:
        longest_side: In pixels, of the photo as the detector sees it.
        threshold: Least score; dlib's scores are distances from a hyperplane, mostly between 0 and 3.
    """

    def __init__(self, *, longest_side: int = 1280, threshold: float = 0.25) -> None:
        """Store the settings; dlib's detectors are made when needed."""
        self.longest_side = longest_side
        self.threshold = threshold
        self._detectors = _Spares[Any](_make_dlib)

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces; see :class:`Detector`."""
        view, scale = _resize(photo, self.longest_side, enlarge=2)
        with self._detectors.lend() as detector:
            rectangles, scores, _ = detector.run(view, 0, self.threshold)
        return [
            Face(Box(*(np.array([r.left(), r.top(), r.right() + 1, r.bottom() + 1]) / scale).tolist()), score)
            for r, score in zip(rectangles, scores, strict=True)
        ]


class YuNetDetector:
    """YuNet, a small neural detector (Wu, Peng and Yu, "YuNet: a tiny millisecond-level detector", 2023).

    Finds more faces than dlib (0.95 to 0.98 of the unmasked faces over 30 px on the photos named there, none
    falsely, in 11 ms), also turned ones, and gives their landmarks. Photos are shrunk until their longest
    side has ``longest_side`` pixels; beyond 640 it loses faces that fill the photo. May be used by several
    threads at once.

    Args:
        path: The ONNX file ``face_detection_yunet_2023mar.onnx`` of the OpenCV Zoo.
        longest_side: In pixels, of the photo as the detector sees it.
        threshold: Least score, in [0, 1].

    Raises:
        DetectorError: If the file is missing or is not a YuNet.
    """

    def __init__(self, path: str | Path, *, longest_side: int = 640, threshold: float = 0.6) -> None:
        """Load the file once, to refuse a wrong one now."""
        self.path = Path(path)
        self.longest_side = longest_side
        self.threshold = threshold
        self._detectors = _Spares[Any](self._make)
        if not self.path.is_file():
            raise DetectorError(f"There is no YuNet file {path}; download face_detection_yunet_2023mar.onnx.")
        try:
            self.detect(np.zeros((32, 32, 3), np.uint8))
        except cv2.error:
            raise DetectorError(
                f"{path} is not a YuNet model; use face_detection_yunet_2023mar.onnx."
            ) from None

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces; see :class:`Detector`."""
        view, scale = _resize(photo, self.longest_side, enlarge=1)
        with self._detectors.lend() as detector:
            detector.setInputSize((view.shape[1], view.shape[0]))
            _, rows = detector.detect(cv2.cvtColor(view, cv2.COLOR_RGB2BGR))
        if rows is None:
            return []
        faces = (_face_of_row(np.concatenate([row[:14] / scale, row[14:]])) for row in rows.astype(float))
        return [face for face in faces if face is not None]

    def _make(self) -> Any:  # OpenCV's stubs lack FaceDetectorYN's later arguments
        with _quiet_opencv():
            return cv2.FaceDetectorYN.create(str(self.path), "", (32, 32), self.threshold)


def make_detector(name: str) -> Detector:
    """The detector of a name.

    Args:
        name: ``dlib``, or ``yunet:PATH`` with the path of YuNet's ONNX file.

    Raises:
        DetectorError: If there is no such detector, or its file is missing or wrong.
    """
    kind, _, path = name.partition(":")
    if kind == "dlib" and not path:
        return DlibDetector()
    if kind == "yunet" and path:
        return YuNetDetector(path)
    if kind == "yunet":
        raise DetectorError("The detector yunet needs its file: write yunet:PATH.")
    raise DetectorError(f"There is no detector {name!r}; choose dlib or yunet:PATH.")


class _Spares(Generic[T]):
    """Objects that one thread at a time may use: lends a spare one, and makes another where all are lent."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._spares: list[T] = []

    @contextmanager
    def lend(self) -> Iterator[T]:
        try:
            one = self._spares.pop()  # atomic, unlike asking first whether there is one
        except IndexError:
            one = self._make()
        yield one
        self._spares.append(one)  # not after an error: its state is unknown


_dlib_lock = threading.Lock()
_log_level = threading.Lock()


def _make_dlib() -> Any:  # dlib has no types
    with _dlib_lock:  # the first of several threads unpacks it for all
        pickled = _pickle_dlib()
    return pickle.loads(pickled)


@cache
def _pickle_dlib() -> bytes:
    """Dlib takes 0.3 s to unpack its detector, and 1 ms to copy it."""
    return pickle.dumps(dlib.get_frontal_face_detector())


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV 5 from warning on stderr that its DNN engine ignores the target FaceDetectorYN sets."""
    with _log_level:
        before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            yield
        finally:
            cv2.utils.logging.setLogLevel(before)


def _resize(photo: Pixels, longest_side: int, enlarge: float) -> tuple[Pixels, float]:
    """The photo with the given longest side, but enlarged no further than that; and the scale."""
    height, width = photo.shape[:2]
    scale = min(longest_side / max(height, width), enlarge)
    if scale == 1:
        return np.ascontiguousarray(photo), 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(photo, size, interpolation=how), np.uint8), scale


def _face_of_row(row: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Face | None:
    """From x, y, width, height, five points and the score; None for an empty or infinite box."""
    x, y, width, height = row[:4]
    if not np.isfinite(row).all() or min(width, height) <= 0:
        return None
    points = row[4:14].reshape(5, 2)
    landmarks = tuple((float(px), float(py)) for px, py in points) if np.ptp(points, axis=0).any() else None
    return Face(Box(float(x), float(y), float(x + width), float(y + height)), float(row[14]), landmarks)
