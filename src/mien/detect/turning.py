"""Photos that lie on their side or stand on their head."""

import numpy as np

from mien.detect.protocol import Detector
from mien.images import Pixels
from mien.types import Box, Face


class TurningDetector:
    """Looks at a photo turned by 90, 180 and 270° as well where it finds no face upright that it is sure of.

    Neural detectors often find a face that lies on its side, but with a lower score and wrong points. So the
    turn with the surest face is taken, upright where two are alike; a turn without a face the detector is
    sure of is not, since looking four times would see four times as many faces where there are none. The
    faces are in the photo's own frame;
    :attr:`~mien.types.Face.quarter_turns` says how they lie. A photo without a face takes four times as long.

    Args:
        detector: Looks at the photo and at its turns.
    """

    def __init__(self, detector: Detector) -> None:
        """Store the detector."""
        self.detector = detector

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces; see :class:`~mien.detect.Detector`."""
        upright = self.detector.detect(photo)
        if any(not face.unsure for face in upright):
            return upright
        turned = (self._detect_turned(photo, k) for k in (1, 2, 3))
        sure = [faces for faces in turned if any(not face.unsure for face in faces)]
        return max([upright, *sure], key=lambda faces: max((face.score for face in faces), default=-np.inf))

    def _detect_turned(self, photo: Pixels, quarter_turns: int) -> list[Face]:
        height, width = photo.shape[:2]
        turned = np.ascontiguousarray(np.rot90(photo, quarter_turns))
        return [turn_back(face, quarter_turns, width, height) for face in self.detector.detect(turned)]


def turn_back(face: Face, quarter_turns: int, width: int, height: int) -> Face:
    """A face found in a turned photo, in the frame of the photo before it was turned.

    Args:
        face: In pixels of ``numpy.rot90(photo, quarter_turns)``.
        quarter_turns: Counter-clockwise.
        width: Of the photo before, in pixels.
        height: Likewise.
    """
    (x1, y1), (x2, y2) = (
        _point_back(x, y, quarter_turns, width, height)
        for x, y in ((face.box.x1, face.box.y1), (face.box.x2, face.box.y2))
    )
    landmarks = face.landmarks and tuple(
        _point_back(x, y, quarter_turns, width, height) for x, y in face.landmarks
    )
    box = Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    return Face(box, face.score, landmarks, face.unsure, (face.quarter_turns + quarter_turns) % 4)


def _point_back(x: float, y: float, quarter_turns: int, width: int, height: int) -> tuple[float, float]:
    """A point of the turned photo in the one before; pixel centres lie at half-integers."""
    return ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[quarter_turns % 4]
