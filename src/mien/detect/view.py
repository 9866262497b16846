"""The photo as a detector's net sees it, and the way back to the photo's own pixels."""

import cv2
import numpy as np
import numpy.typing as npt

from mien.align import extract_chip
from mien.detect.overlap import intersection_over_smaller, intersection_over_union
from mien.images import Pixels
from mien.types import Box, Face

MOST_CANDIDATES = 5000
"""The most boxes that are compared with each other; bounds the time that noise can cost."""

MOST_FACES = 1000
"""The most faces that a neural detector gives for one photo: the surest."""

CONTAINED = 0.7
"""Share of the smaller of two boxes within the other from which they are of one face."""

CLOSE_UP = 128
"""Side in pixels of the view of one face; its box takes half of that."""


def resize(photo: Pixels, longest_side: int, enlarge: float = 1) -> tuple[Pixels, float]:
    """The photo with the given longest side, but enlarged no further than that; and the scale."""
    height, width = photo.shape[:2]
    scale = min(longest_side / max(height, width), enlarge)
    if scale == 1:
        return np.ascontiguousarray(photo), 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(photo, size, interpolation=how), np.uint8), scale


def close_up(photo: Pixels, box: Box) -> Pixels:
    """The box in the middle of a square of twice its side; beyond the photo its edge is repeated."""
    side = 2 * max(box.width, box.height)
    corner = np.array([box.x1 + box.x2, box.y1 + box.y2]) / 2 - side / 2
    return extract_chip(photo, np.column_stack([np.eye(2), -corner]) / side, CLOSE_UP)


def to_tensor(view: Pixels, multiple: int = 32) -> npt.NDArray[np.float32]:
    """(1, 3, h, w) values from 0 to 255, with black to the right and below up to multiples of a side."""
    height, width = view.shape[:2]
    h, w = -(-height // multiple) * multiple, -(-width // multiple) * multiple
    tensor = np.zeros((1, 3, h, w), np.float32)
    tensor[0, :, :height, :width] = view.transpose(2, 0, 1)
    return tensor


def choose_faces(
    boxes: npt.ArrayLike,
    scores: npt.ArrayLike,
    landmarks: npt.ArrayLike,
    *,
    scale: float,
    nms_iou: float,
    unsure_below: float = 0.0,
) -> list[Face]:
    """Merge overlapping boxes into faces by score-weighted non-maximum suppression, the surest first.

    A face's box and points are the means of the boxes that overlap, weighted by score, which lie steadier
    than the surest one's (Bazarevsky et al., "BlazeFace", CVPR workshops 2019, post-processing); its score is
    the surest one's. A box that lies in a surer one, or around it, is of the same face, seen at the wrong
    size: it is dropped, and moves nothing.

    Args:
        boxes: (n, 4) x1, y1, x2, y2 in pixels of the view; empty and infinite ones are dropped.
        scores: (n,).
        landmarks: (n, 10) or (n, 5, 2) in pixels of the view.
        scale: Of the view against the photo.
        nms_iou: Overlap from which two boxes are of one face.
        unsure_below: Score below which a face is marked as unsure.
    """
    corners, certainty = np.asarray(boxes, np.float64) / scale, np.asarray(scores, np.float64)
    points = np.asarray(landmarks, np.float64).reshape(-1, 5, 2) / scale
    sound = np.isfinite(corners).all(1) & np.isfinite(points).all((1, 2)) & np.isfinite(certainty)
    sound &= (corners[:, 2:] > corners[:, :2]).all(1)
    left = np.flatnonzero(sound)
    left = left[np.argsort(-certainty[left], kind="stable")][:MOST_CANDIDATES]
    faces: list[Face] = []
    while len(left) and len(faces) < MOST_FACES:
        same = intersection_over_union(corners[left[:1]], corners[left])[0] > nms_iou
        same[0] = True  # an overlap of 1 is not above an nms_iou of 1
        inside = intersection_over_smaller(corners[left[:1]], corners[left])[0] > CONTAINED
        heap, left, score = left[same], left[~same & ~inside], float(certainty[left[0]])
        weights = certainty[heap].clip(1e-9)  # zeros would have no mean
        box, five = (np.average(part[heap], 0, weights) for part in (corners, points))
        placed = tuple((float(x), float(y)) for x, y in five) if np.ptp(five, axis=0).any() else None
        faces.append(Face(Box(*box.tolist()), score, placed, unsure=score < unsure_below))
    return faces
