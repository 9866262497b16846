"""Detection in photos that lie on their side or are upside down."""

from collections.abc import Iterator, Sequence

import numpy as np

from mien.pipeline.detect.preprocessing import close_up, resize
from mien.pipeline.detect.protocol import Detector
from mien.pipeline.detect.tiling import seen_at_once
from mien.pipeline.images import Pixels
from mien.results import Box, Face

OVERVIEW = 256
"""Longest side in pixels to which the whole photo is shrunk if no close-up decides its orientation. If the
photo is searched in tiles, it is the longest side of a tile."""

MARGIN = 0.05
"""Margin by which the score of a turned face must exceed that of the upright one.

Like the other thresholds, it was chosen on validation faces pasted into pictures without faces, and on
held-out photos.
"""

BEYOND_DOUBT = 0.92
"""Score of the upright face in a close-up from which the other orientations are not searched. In 250 photos,
each turned by 90, 180 and 270 degrees, no close-up had a face with a score above 0.911."""


class TurningDetector:
    """Recognises photos that lie on their side or are upside down, and finds the faces in the turned photo.

    Neural detectors also find turned faces, but with lower scores and wrong landmarks. So the detector also
    searches a close-up of the largest face: upright, and in the other three orientations unless the upright
    face scores at least :data:`BEYOND_DOUBT`. If that does not decide, or if no face was found, it searches
    the whole photo, shrunk to :data:`OVERVIEW` pixels, in the same way. If a turned face is not marked as
    unsure and scores higher than the upright one by :data:`MARGIN`, the photo is searched in that
    orientation. The result is used if its faces that are not unsure have a higher sum of scores. The faces
    are in the frame of the photo as given; :attr:`~mien.results.Face.quarter_turns` is their orientation.

    Args:
        detector: The detector that searches the photo in each orientation.
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
        """Highest score of a sure face in the turned view; -inf if there is none."""
        faces = self._detect_turned(view, quarter_turns)
        return max((face.score for face in faces if not face.unsure), default=-np.inf)

    def _detect_turned(self, photo: Pixels, quarter_turns: int) -> list[Face]:
        height, width = photo.shape[:2]
        turned = np.ascontiguousarray(np.rot90(photo, quarter_turns))
        return [turn_back(face, quarter_turns, width, height) for face in self.detector.detect(turned)]


def _views(photo: Pixels, upright: Sequence[Face]) -> Iterator[Pixels]:
    """Views that decide the orientation: a close-up of the largest face, if any, then the whole photo."""
    frame = (0.0, 0.0, float(photo.shape[1]), float(photo.shape[0]))
    if upright:
        yield close_up(photo, max((face.box for face in upright), key=lambda box: box.area_within(frame)))
    yield resize(photo, round(OVERVIEW * max(photo.shape[:2]) / seen_at_once(photo.shape[:2])))[0]


def _certainty(faces: Sequence[Face]) -> float:
    """The sum of the scores of the faces that are not unsure."""
    return sum(face.score for face in faces if not face.unsure)


def turn_back(face: Face, quarter_turns: int, width: int, height: int) -> Face:
    """Convert a face found in a turned photo to the frame of the original photo.

    Args:
        face: In pixels of ``numpy.rot90(photo, quarter_turns)``.
        quarter_turns: Counter-clockwise.
        width: Width of the original photo in pixels.
        height: Height of the original photo in pixels.
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
    """Convert a point of the turned photo to the original photo; pixel centres lie at half-integers."""
    return ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[quarter_turns % 4]
