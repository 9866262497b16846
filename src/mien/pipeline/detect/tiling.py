"""Panoramas and long screenshots, of which a detector sees too little at once."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, pairwise

import numpy as np

from mien.pipeline.detect.nms import MOST_FACES, choose_between
from mien.pipeline.detect.protocol import Detector
from mien.pipeline.images import Pixels
from mien.results import Box, Face

LONG = 2.5
"""A photo more than so many times longer than wide is searched in tiles. Those of cameras, phones' screens
and cinemas are not: the longest of them, 21.5:9, are 2.4 times longer than wide."""

TILE = 2
"""Length of a tile in widths of the photo. Neighbours share at least a width, so that every face that is no
larger than the photo is wide lies whole in one of them."""

SEAM = 1 / 8
"""How far, in widths of the photo, a tile's faces may lie on its neighbour's side of the middle of what both
share: the two do not see a face at exactly the same place. A face that is cut off by the tile's end lies
farther off, if it is smaller than three quarters of the width."""


class TilingDetector:
    """Searches long photos in overlapping tiles, and all others whole.

    A detector shrinks a photo until its longer side has some number of pixels, so that a face in a panorama
    becomes too small to be found. The tiles lie along the photo, as high as it is and :data:`TILE` times as
    long, or the other way round. A tile gives the faces whose middle is nearer to its own than to its
    neighbours'; of a face that two of them give, the surer one is kept. A photo N times longer than wide has
    N - 1 tiles, rounded up.

    Args:
        detector: Looks at the photo or its tiles.
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
    """Whether a photo of such sides is searched in tiles."""
    return max(sides) > LONG * min(sides)


def seen_at_once(sides: tuple[int, ...]) -> int:
    """Longer side in pixels of what a detector sees at once: of the photo, or of a tile."""
    return TILE * min(sides) if is_long(sides) else max(sides)


def _starts(length: int, width: int) -> Sequence[int]:
    """Where the tiles start, the first at the one end, the last so as to reach the other."""
    tiles = -(-length // width) - TILE + 1
    return [int(start) for start in np.linspace(0, length - TILE * width, tiles)]


def _middle(face: Face, axis: int) -> float:
    """Of the box, along the photo."""
    box = face.box
    return (box.y1 + box.y2) / 2 if axis == 0 else (box.x1 + box.x2) / 2


def _moved(face: Face, x: int, y: int) -> Face:
    x1, y1, x2, y2 = face.box
    landmarks = face.landmarks and tuple((px + x, py + y) for px, py in face.landmarks)
    return replace(face, box=Box(x1 + x, y1 + y, x2 + x, y2 + y), landmarks=landmarks)
