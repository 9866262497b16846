"""How far a photo may be reduced when it is decoded, and the conversion back to its own pixels.

A photo reduced by n has an nth of the width and height. Each of its pixels covers n×n pixels of the whole
photo, the first one the first n×n.
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
"""Least longest side of a decoded photo, in multiples of the detector's longest side: small faces are checked
again in an enlarged close-up. Of 178 faces on 118 photos, 10 were lost with a factor of 1, and 2 with 2."""


def reduction_to_see(size: tuple[int, int], detector: Detector) -> float:
    """The greatest reduction of a photo that a detector allows.

    Args:
        size: The photo's sides in pixels.
        detector: An :class:`AdjustableDetector`, which shrinks photos itself; any other gets the whole photo.
    """
    if not isinstance(detector, AdjustableDetector):
        return 1.0
    return max(1.0, seen_at_once(size) / (SEEN * detector.longest_side))


def reduction_to_cut(transforms: Sequence[Transform], size: int) -> float:
    """The greatest reduction of a photo at which no chip is enlarged; infinite without faces.

    Args:
        transforms: For each face, from pixels of the whole photo to fractions of its chip.
        size: Side of a chip in pixels.
    """
    scales = [size * float(np.hypot(transform[0, 0], transform[1, 0])) for transform in transforms]
    return 1 / max(scales) if scales else np.inf


def face_in_whole(face: Face, reduction: int) -> Face:
    """Convert a face found in a reduced photo to pixels of the whole photo."""
    if reduction == 1:
        return face
    landmarks = face.landmarks and tuple((reduction * x, reduction * y) for x, y in face.landmarks)
    return replace(face, box=Box(*(reduction * end for end in face.box)), landmarks=landmarks)


def transform_of_reduced(transform: Transform, reduction: int) -> Transform:
    """The transform to the same chip, but from pixels of the reduced photo."""
    return np.column_stack([transform[:, :2] * reduction, transform[:, 2]])
