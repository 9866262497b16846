"""Detection in panoramas and long screenshots, whose faces are too small in the shrunk photo."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, pairwise

import numpy as np

from mien.pipeline.detect.nms import MOST_FACES, choose_between
from mien.pipeline.detect.protocol import Detector
from mien.pipeline.images import Pixels
from mien.results import Box, Face

LONG = 2.5
"""Photos with a higher aspect ratio are searched in tiles. Cameras, phone screens and cinemas stay below it:
their longest format, 21.5:9, has an aspect ratio of 2.4."""

TILE = 2
"""Length of a tile in widths of the photo. Neighbouring tiles overlap by at least one width, so every face
that is no larger than the photo's width lies wholly in one tile."""

SEAM = 1 / 8
"""How far, in widths of the photo, the centre of a tile's face may lie beyond the middle of the overlap with
the neighbouring tile: two tiles do not place a face identically. A face that is cut off by the tile's end
lies farther away, if it is smaller than three quarters of the width."""


class TilingDetector:
    """Searches long photos in overlapping tiles, and all other photos whole.

    A detector shrinks a photo to a fixed longer side, so faces in a panorama become too small to be found.
    The tiles lie along the photo; each is as wide as the photo's shorter side and :data:`TILE` times as long.
    A tile contributes the faces whose centre is closer to its own centre than to its neighbours' centres,
    with a tolerance of :data:`SEAM`. If two tiles report the same face, the higher score wins. A photo N
    times as long as wide has N - 1 tiles, rounded up.

    Args:
        detector: The detector that searches the photo or its tiles.
    """

    def __init__(self, detector: Detector) -> None:
        """Store the detector."""
        self.detector = detector

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces; see :class:`~mien.pipeline.detect.Detector`."""
        if not is_long(photo.shape[:2]):
            return self.detector.detect(photo)
        axis, width = int(np.argmax(photo.shape[:2])), min(photo.shape[:2])
        starts = _starts(max(photo.shape[:2]), width)
        seams = [-np.inf, *(((a + b) / 2 + width * TILE / 2) for a, b in pairwise(starts)), np.inf]
        tiles: list[list[Face]] = []
        for start, seam in zip(starts, pairwise(seams), strict=True):
            near = seam[0] - SEAM * width, seam[1] + SEAM * width
            faces = self._detect_tile(photo, axis, start, width)
            tiles.append([face for face in faces if near[0] <= _middle(face, axis) <= near[1]])
            if len(tiles) > 1:
                tiles[-2:] = choose_between(*tiles[-2:])
        return sorted(chain(*tiles), key=lambda face: -face.score)[:MOST_FACES]

    def _detect_tile(self, photo: Pixels, axis: int, start: int, width: int) -> list[Face]:
        """The faces of one tile, in pixels of the photo."""
        along = slice(start, start + TILE * width)
        tile = np.ascontiguousarray(photo[along] if axis == 0 else photo[:, along])
        x, y = (0, start) if axis == 0 else (start, 0)
        return [_moved(face, x, y) for face in self.detector.detect(tile)]


def is_long(sides: tuple[int, ...]) -> bool:
    """Whether a photo with these sides is searched in tiles."""
    return max(sides) > LONG * min(sides)


def seen_at_once(sides: tuple[int, ...]) -> int:
    """Longer side in pixels of what a detector searches at once: the photo, or a tile."""
    return TILE * min(sides) if is_long(sides) else max(sides)


def _starts(length: int, width: int) -> Sequence[int]:
    """Start positions of the tiles: the first tile begins at one end, the last tile ends at the other."""
    tiles = -(-length // width) - TILE + 1
    return [int(start) for start in np.linspace(0, length - TILE * width, tiles)]


def _middle(face: Face, axis: int) -> float:
    """Centre of the box along the axis."""
    box = face.box
    return (box.y1 + box.y2) / 2 if axis == 0 else (box.x1 + box.x2) / 2


def _moved(face: Face, x: int, y: int) -> Face:
    x1, y1, x2, y2 = face.box
    landmarks = face.landmarks and tuple((px + x, py + y) for px, py in face.landmarks)
    return replace(face, box=Box(x1 + x, y1 + y, x2 + x, y2 + y), landmarks=landmarks)
