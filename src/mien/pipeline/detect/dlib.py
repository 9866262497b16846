"""dlib's HOG detector."""

import pickle
import threading
from functools import cache, partial
from typing import Any

import numpy as np

from mien.errors import DetectorError
from mien.pipeline.detect.adjustable import AdjustableDetector
from mien.pipeline.detect.pool import Pool
from mien.pipeline.detect.preprocessing import resize
from mien.pipeline.images import Pixels
from mien.results import Box, Face

UNSURE = 0.5
"""Score below which a face is marked as unsure."""

_unpacking = threading.Lock()


class DlibDetector(AdjustableDetector):
    """dlib's frontal HOG detector (Dalal and Triggs, CVPR 2005; King, "Max-margin object detection", 2015).

    Finds upright faces that look roughly into the camera; gives boxes without landmarks. Its window has 80
    pixels, so photos are shrunk, or enlarged at most twice, until their longest side has ``longest_side``
    pixels. Faces are found from about 40 pixels in photos of up to 640 pixels, and from a sixteenth of the
    longest side in larger photos. May be used by several threads at once.

    The table has the share of unmasked faces found in 300 photos of at most 640 pixels, by size in pixels;
    the number of false faces in 300 pictures without faces; and the CPU time per photo:

    ============  =====  =====  =====  =====  =====  ==
    longest side  30-40  40-60  60-90  >90    false  ms
    ============  =====  =====  =====  =====  =====  ==
    640           0.00   0.24   0.37   0.77   0      23
    960           0.13   0.37   0.48   0.74   1      43
    1280          0.29   0.41   0.48   0.72   1      63
    ============  =====  =====  =====  =====  =====  ==

    dlib's own threshold is 0; 0.25 avoids false faces beside true ones.

    Args:
        longest_side: Longest side in pixels to which photos are resized.
        threshold: Least score; dlib's scores are distances from a hyperplane, mostly between 0 and 3.

    Raises:
        DetectorError: If dlib is not installed.
    """

    def __init__(self, *, longest_side: int = 1280, threshold: float = 0.25) -> None:
        """Store the settings, and check that dlib is installed."""
        _import_dlib()
        self.longest_side = longest_side
        self.threshold = threshold
        self._detectors = Pool[Any](_make)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings alone; unpickling creates dlib's detector again."""
        return partial(DlibDetector, longest_side=self.longest_side, threshold=self.threshold), ()

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces; see :class:`~mien.pipeline.detect.Detector`."""
        view, scale = resize(photo, self.longest_side, enlarge=2)
        with self._detectors.borrow() as detector:
            rectangles, scores, _ = detector.run(view, 0, self.threshold)
        return [
            Face(
                Box(*(np.array([r.left(), r.top(), r.right() + 1, r.bottom() + 1]) / scale).tolist()),
                score,
                unsure=score < UNSURE,
            )
            for r, score in zip(rectangles, scores, strict=True)
        ]


def _import_dlib() -> Any:  # dlib has no types
    try:
        import dlib
    except ModuleNotFoundError:
        raise DetectorError("The detector dlib needs the package dlib: pip install 'mien[dlib]'.") from None
    return dlib


def _make() -> Any:
    with _unpacking:  # only the first thread unpacks it
        pickled = _pickle_detector()
    return pickle.loads(pickled)


@cache
def _pickle_detector() -> bytes:
    """Pickle dlib's detector: dlib takes 0.3 s to unpack it, but a copy takes only 1 ms."""
    return pickle.dumps(_import_dlib().get_frontal_face_detector())
