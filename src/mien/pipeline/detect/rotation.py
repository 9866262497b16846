"""Photos that lie on their side or are upside down."""

from collections.abc import Iterator, Sequence

import numpy as np

from mien.pipeline.detect.preprocessing import close_up, resize
from mien.pipeline.detect.protocol import Detector
from mien.pipeline.detect.tiling import seen_at_once
from mien.pipeline.images import Pixels
from mien.results import Box, Face

OVERVIEW = 256
"""Longest side in pixels of the view of a whole photo that has no face which is sure in a close-up; of a tile
of it, where a photo is searched in tiles."""

MARGIN = 0.05
"""By how much the score of a turned face must beat that of the upright one.

Chosen with the other bounds on validation faces, laid into pictures without faces, and on photos set apart.
"""

BEYOND_DOUBT = 0.92
"""Score of the upright face in a close-up from which the other turns are not searched. Photos of the detector's
training set turned by 90, 180 and 270 degrees (250 of each) had no face above 0.911 there."""


class TurningDetector:
    """Notices photos that lie on their side or are upside down, and finds the faces in the turned photo.

    Neural detectors also find turned faces, with lower scores and wrong landmarks. So a close-up of the
    largest face is searched upright, and in the other three turns unless the upright face scores at least
    :data:`BEYOND_DOUBT`. If no face in the close-up is sure, or no face was found, the whole photo is searched
    in the same way, shrunk to :data:`OVERVIEW` pixels. If a turned face is sure, and scores higher than the
    upright one by :data:`MARGIN`, the photo is searched in that turn. The turn is taken if the scores of its
    faces have the larger sum. The faces are given in the frame of the photo as it is;
    :attr:`~mien.results.Face.quarter_turns` says how they lie.

    Args:
        detector: Looks at the photo and at its turns.
    """

    def __init__(self, detector: Detector) -> None:
        """Store the detector."""
        self.detector = detector

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces; see :class:`~mien.pipeline.detect.Detector`."""
        upright = self.detector.detect(photo)
        for view in _views(photo, upright):
            scores = [self._score(view, 0)]
            if scores[0] >= BEYOND_DOUBT:
                return upright
            scores += [self._score(view, k) - MARGIN for k in (1, 2, 3)]
            turns = int(np.argmax(scores))
            if max(scores) == -np.inf:
                continue
            if turns == 0:
                return upright
            turned = self._detect_turned(photo, turns)
            if _certainty(turned) > _certainty(upright):
                return turned
        return upright

    def _score(self, view: Pixels, quarter_turns: int) -> float:
        """Of the surest face in the view, of those that the detector is sure of."""
        faces = self._detect_turned(view, quarter_turns)
        return max((face.score for face in faces if not face.unsure), default=-np.inf)

    def _detect_turned(self, photo: Pixels, quarter_turns: int) -> list[Face]:
        height, width = photo.shape[:2]
        turned = np.ascontiguousarray(np.rot90(photo, quarter_turns))
        return [turn_back(face, quarter_turns, width, height) for face in self.detector.detect(turned)]


def _views(photo: Pixels, upright: Sequence[Face]) -> Iterator[Pixels]:
    """What the turn is told by: a close-up of the largest face that was found, then the whole photo."""
    frame = (0.0, 0.0, float(photo.shape[1]), float(photo.shape[0]))
    if upright:
        yield close_up(photo, max((face.box for face in upright), key=lambda box: box.area_within(frame)))
    yield resize(photo, round(OVERVIEW * max(photo.shape[:2]) / seen_at_once(photo.shape[:2])))[0]


def _certainty(faces: Sequence[Face]) -> float:
    """The sum of the scores of the faces that the detector is sure of."""
    return sum(face.score for face in faces if not face.unsure)


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
