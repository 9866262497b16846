"""How much smaller a photo may be decoded, and the way back to its own pixels.

A photo reduced by n has n times fewer pixels each way; its first one covers the first n×n of the whole photo.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mien.pipeline.align import Transform
from mien.pipeline.detect.adjustable import AdjustableDetector
from mien.pipeline.detect.protocol import Detector
from mien.pipeline.detect.tiling import seen_at_once
from mien.results import Box, Face

SEEN = 2
"""A photo is decoded at so many times the longest side of a detector's view, at least: small faces are looked
at once more, enlarged. Of 178 faces on 118 photos, 10 were lost at once the side, and 2 at twice."""


def reduction_to_see(size: tuple[int, int], detector: Detector) -> float:
    """How many times smaller a detector may get a photo.

    Args:
        size: The photo's sides in pixels.
        detector: One of mien's own shrinks photos itself; another one gets them whole.
    """
    if not isinstance(detector, AdjustableDetector):
        return 1.0
    return max(1.0, seen_at_once(size) / (SEEN * detector.longest_side))


def reduction_to_cut(transforms: Sequence[Transform], size: int) -> float:
    """How many times smaller a photo may be, at most, for no chip to be enlarged.

    Args:
        transforms: Of the faces, from pixels of the whole photo.
        size: Side of a chip in pixels.
    """
    scales = [size * float(np.hypot(transform[0, 0], transform[1, 0])) for transform in transforms]
    return 1 / max(scales) if scales else np.inf


def face_in_whole(face: Face, reduction: int) -> Face:
    """A face in pixels of the whole photo, found in the reduced one."""
    if reduction == 1:
        return face
    landmarks = face.landmarks and tuple((reduction * x, reduction * y) for x, y in face.landmarks)
    return replace(face, box=Box(*(reduction * end for end in face.box)), landmarks=landmarks)


def transform_of_reduced(transform: Transform, reduction: int) -> Transform:
    """The transform to the same chip, from pixels of the reduced photo."""
    return np.column_stack([transform[:, :2] * reduction, transform[:, 2]])
