"""A detector of one's own: look at a large group photo in overlapping tiles, to find its small faces.

    python examples/tiling_detector.py crowd.jpg

mien's detector shrinks a photo to 640 pixels before it looks, so a face 40 pixels high in a photo
6,000 pixels wide is lost. This one looks at the whole photo, for the large faces, and at each tile of it, for
the small ones. Any object with a method ``detect`` is a detector.
"""

import sys
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien import Box, Face, Predictor
from mien.pipeline.detect import Detector, make_detector


@dataclass(frozen=True)
class TilingDetector:
    """Runs another detector on the photo and on its tiles.

    Args:
        inner: The detector that looks.
        side: Side of a tile in pixels.
        overlap: Pixels that neighbouring tiles share: at least the height of the faces they are to find.
    """

    inner: Detector = field(default_factory=lambda: make_detector("mien"))
    side: int = 640
    overlap: int = 128

    def detect(self, photo: NDArray[np.uint8]) -> list[Face]:
        """Find the faces of a (height, width, 3) RGB photo; boxes are in its pixels."""
        found = self.inner.detect(photo)
        for top in self._starts(photo.shape[0]):
            for left in self._starts(photo.shape[1]):
                tile = np.ascontiguousarray(photo[top : top + self.side, left : left + self.side])
                found += [_moved(face, left, top) for face in self.inner.detect(tile)]
        return _merged(found)

    def _starts(self, length: int) -> range:
        """Where tiles start along one axis; a single one where the photo is no longer than a tile."""
        return range(0, max(length - self.overlap, 1), self.side - self.overlap)


def _moved(face: Face, right: int, down: int) -> Face:
    """The face of a tile in the pixels of the photo."""
    x1, y1, x2, y2 = face.box
    landmarks = face.landmarks and tuple((x + right, y + down) for x, y in face.landmarks)
    return replace(face, box=Box(x1 + right, y1 + down, x2 + right, y2 + down), landmarks=landmarks)


def _merged(faces: list[Face]) -> list[Face]:
    """Of boxes that overlap, the one with the best score (non-maximum suppression)."""
    boxes = [(face.box.x1, face.box.y1, face.box.width, face.box.height) for face in faces]
    kept = cv2.dnn.NMSBoxes(boxes, [face.score for face in faces], 0.0, 0.3)
    return [faces[i] for i in np.asarray(kept, int).ravel()]


if __name__ == "__main__":
    predictor = Predictor(detector=TilingDetector())
    for name in sys.argv[1:]:
        for face in predictor.predict(name):
            print(f"{name}: apparent age {face.age.years:.0f} at {[round(side) for side in face.box]}")
