"""Overlap of boxes, (n, 4) x1, y1, x2, y2, and non-maximum suppression that merges the boxes of a face."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mien.results import Box, Face

Boxes = npt.NDArray[np.floating]
Shares = npt.NDArray[np.float64]

MOST_CANDIDATES = 5000
"""Maximum number of boxes that are compared; bounds the time for photos with many false candidates."""

MOST_FACES = 1000
"""Maximum number of faces per photo from a neural detector; those with the highest scores are kept."""

CONTAINED = 0.7
"""Share of the smaller of two boxes inside the other above which both belong to one face."""


def intersection_over_union(a: Boxes, b: Boxes) -> Shares:
    """Intersection over union of all pairs: (n, m); 0 for empty boxes."""
    shared, area_a, area_b = _areas(a, b)
    return _ratio(shared, area_a + area_b - shared)


def intersection_over_smaller(a: Boxes, b: Boxes) -> Shares:
    """Intersection over the area of the smaller box: (n, m); 1 if one box lies inside the other."""
    shared, area_a, area_b = _areas(a, b)
    return _ratio(shared, np.minimum(area_a, area_b))


def _areas(a: Boxes, b: Boxes) -> tuple[Shares, Shares, Shares]:
    """Areas of the intersections (n, m), of the first boxes (n, 1) and of the second boxes (1, m)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner, 0, None).prod(-1)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(-1) for box in (a, b))
    return shared, area_a[:, None], area_b[None]


def _ratio(shared: Shares, whole: Shares) -> Shares:
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0), np.float64)


LEAST_INSIDE = 0.4
"""Least share of a box that must lie within the photo."""

MIRRORED = -0.03
"""Least cross product of the vectors between the eyes and from the eyes to the mouth, as a share of the box's
area. It is about 0 for profiles, and negative for mirrored landmarks."""

LEAST_HEIGHT = 0.15
"""Least distance from the eyes to the mouth, as a share of the box's side. True faces have 0.35 to 0.47."""


def form_faces(boxes: Boxes, points: Boxes) -> npt.NDArray[np.bool_]:
    """Whether five landmarks lie in their box like those of a face: (n,).

    Their mean lies in the box, the mouth is well apart from the eyes, and the landmarks are not mirrored.
    This holds for faces at any angle, including profiles. Landmarks that coincide come from detectors without
    landmarks and pass.

    Args:
        boxes: (n, 4).
        points: (n, 5, 2), ordered as in :class:`~mien.results.Face`.
    """
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    eyes, down = points[:, 1] - points[:, 0], points[:, 3:].mean(1) - points[:, :2].mean(1)
    turn = (eyes[:, 0] * down[:, 1] - eyes[:, 1] * down[:, 0]) / area
    middle = points.mean(1)
    inside = ((middle >= boxes[:, :2]) & (middle <= boxes[:, 2:])).all(1)
    sound = inside & (turn >= MIRRORED) & (np.hypot(*down.T) >= LEAST_HEIGHT * np.sqrt(area))
    return np.asarray(sound | ~np.ptp(points, axis=1).any(1), np.bool_)


def share_inside(boxes: Boxes, size: tuple[int, int]) -> Shares:
    """Share of each box (n, 4) that lies within a photo of size (height, width): (n,)."""
    photo = np.array([[0, 0, size[1], size[0]]])
    shared, area, _ = _areas(boxes, photo)
    return _ratio(shared[:, 0], area[:, 0])


def choose_faces(
    boxes: npt.ArrayLike,
    scores: npt.ArrayLike,
    landmarks: npt.ArrayLike,
    *,
    size: tuple[int, int],
    scale: float,
    nms_iou: float,
    unsure_below: float = 0.0,
) -> list[Face]:
    """Merge overlapping boxes into faces by score-weighted non-maximum suppression, highest scores first.

    The box and landmarks of a face are the means over the overlapping boxes, weighted by score, which are
    more stable than those of the best box (Bazarevsky et al., "BlazeFace", CVPR workshops 2019,
    post-processing). The score is that of the best box. A box inside or around a better one that overlaps too
    little for the means belongs to the same face at the wrong size, and is dropped. Boxes that lie mostly
    outside the photo are dropped too, and boxes whose landmarks do not form a face.

    Args:
        boxes: (n, 4) x1, y1, x2, y2 in pixels of the resized photo; empty and infinite ones are dropped.
        scores: (n,).
        landmarks: (n, 10) or (n, 5, 2) in pixels of the resized photo.
        size: Height and width of the photo in pixels.
        scale: Scale of the resized photo relative to the photo.
        nms_iou: Intersection over union above which two boxes belong to one face.
        unsure_below: Score below which a face is marked as unsure.
    """
    corners, certainty = np.asarray(boxes, np.float64) / scale, np.asarray(scores, np.float64)
    points = np.asarray(landmarks, np.float64).reshape(-1, 5, 2) / scale
    sound = np.isfinite(corners).all(1) & np.isfinite(points).all((1, 2)) & np.isfinite(certainty)
    sound &= (corners[:, 2:] > corners[:, :2]).all(1)
    left = np.flatnonzero(sound)
    plausible = form_faces(corners[left], points[left]) & (share_inside(corners[left], size) >= LEAST_INSIDE)
    left = left[plausible]
    left = left[np.argsort(-certainty[left], kind="stable")][:MOST_CANDIDATES]
    faces: list[Face] = []
    while len(left) and len(faces) < MOST_FACES:
        same = intersection_over_union(corners[left[:1]], corners[left])[0] > nms_iou
        same[0] = True  # an overlap of 1 is not above an nms_iou of 1
        inside = intersection_over_smaller(corners[left[:1]], corners[left])[0] > CONTAINED
        heap, left, score = left[same], left[~same & ~inside], float(certainty[left[0]])
        weights = certainty[heap].clip(1e-9)  # a mean with all weights zero is undefined
        box, five = (np.average(part[heap], 0, weights) for part in (corners, points))
        placed = tuple((float(x), float(y)) for x, y in five) if np.ptp(five, axis=0).any() else None
        faces.append(Face(Box(*box.tolist()), score, placed, unsure=score < unsure_below))
    return faces


VIEWS_IOU = 0.3
"""Overlap (IoU) above which two boxes in different views of a photo belong to one face."""


def choose_between(a: Sequence[Face], b: Sequence[Face]) -> tuple[list[Face], list[Face]]:
    """Drop the faces of two views of a photo that overlap with a face of higher score in the other view.

    Two faces of the same view are never compared: the detector has already separated them.

    Args:
        a: Faces of the first view, in pixels of the photo; kept if the scores are equal.
        b: Faces of the second view, likewise.
    """
    if not a or not b:
        return list(a), list(b)
    corners = [np.array([[*face.box] for face in faces], np.float64) for faces in (a, b)]
    scores = [np.array([face.score for face in faces]) for faces in (a, b)]
    same = intersection_over_union(*corners) > VIEWS_IOU
    same |= intersection_over_smaller(*corners) > CONTAINED
    second = scores[0][:, None] < scores[1]
    dropped_a, dropped_b = np.any(same & second, axis=1), np.any(same & ~second, axis=0)
    return (
        [face for i, face in enumerate(a) if not dropped_a[i]],
        [face for i, face in enumerate(b) if not dropped_b[i]],
    )
