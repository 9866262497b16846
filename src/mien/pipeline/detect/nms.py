"""Overlap of boxes, (n, 4) x1, y1, x2, y2, and non-maximum suppression that merges those of one face."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mien.results import Box, Face

Boxes = npt.NDArray[np.floating]
Shares = npt.NDArray[np.float64]

MOST_CANDIDATES = 5000
"""The most boxes that are compared with each other; bounds the time that noise can cost."""

MOST_FACES = 1000
"""The most faces that a neural detector gives for one photo: the surest."""

CONTAINED = 0.7
"""Share of the smaller of two boxes within the other from which they are of one face."""


def intersection_over_union(a: Boxes, b: Boxes) -> Shares:
    """Shared area over joint area: (n, m); 0 for empty boxes."""
    shared, area_a, area_b = _areas(a, b)
    return _ratio(shared, area_a + area_b - shared)


def intersection_over_smaller(a: Boxes, b: Boxes) -> Shares:
    """Shared area over that of the smaller box, which is 1 where one lies in the other: (n, m)."""
    shared, area_a, area_b = _areas(a, b)
    return _ratio(shared, np.minimum(area_a, area_b))


def _areas(a: Boxes, b: Boxes) -> tuple[Shares, Shares, Shares]:
    """Of what pairs share (n, m), of the first (n, 1) and of the second (1, m)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner, 0, None).prod(-1)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(-1) for box in (a, b))
    return shared, area_a[:, None], area_b[None]


def _ratio(shared: Shares, whole: Shares) -> Shares:
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0), np.float64)


LEAST_INSIDE = 0.4
"""Share of a box that has to lie within the photo."""

MIRRORED = -0.03
"""Least turn from the eyes to the mouth, as a share of the box's area; a profile's is about 0."""

LEAST_HEIGHT = 0.15
"""Least distance from the eyes to the mouth, as a share of the box's side. True faces have 0.35 to 0.47."""


def form_faces(boxes: Boxes, points: Boxes) -> npt.NDArray[np.bool_]:
    """Whether five points lie in their box as a face's do: (n,).

    Their middle lies in the box, the mouth is well apart from the eyes, and seen from the eyes towards the
    mouth the left eye is on the right-hand side. This holds for faces at any angle, profiles among them.
    Points that coincide are of detectors without landmarks and pass.

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
    """Share of each box (n, 4) that lies within a photo of this (height, width): (n,)."""
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
    """Merge overlapping boxes into faces by score-weighted non-maximum suppression, the surest first.

    A face's box and points are the means of the boxes that overlap, weighted by score, which lie steadier
    than the surest one's (Bazarevsky et al., "BlazeFace", CVPR workshops 2019, post-processing); its score is
    the surest one's. A box that lies in a surer one, or around it, is of the same face, seen at the wrong
    size: it is dropped, and moves nothing. Boxes that lie mostly outside the photo are dropped too, and those
    whose points do not form a face.

    Args:
        boxes: (n, 4) x1, y1, x2, y2 in pixels of the view; empty and infinite ones are dropped.
        scores: (n,).
        landmarks: (n, 10) or (n, 5, 2) in pixels of the view.
        size: Height and width of the photo in pixels.
        scale: Of the view against the photo.
        nms_iou: Overlap from which two boxes are of one face.
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
        weights = certainty[heap].clip(1e-9)  # zeros would have no mean
        box, five = (np.average(part[heap], 0, weights) for part in (corners, points))
        placed = tuple((float(x), float(y)) for x, y in five) if np.ptp(five, axis=0).any() else None
        faces.append(Face(Box(*box.tolist()), score, placed, unsure=score < unsure_below))
    return faces


VIEWS_IOU = 0.3
"""Overlap from which two boxes in different views of a photo are of one face."""


def choose_between(a: Sequence[Face], b: Sequence[Face]) -> tuple[list[Face], list[Face]]:
    """The faces of two views of one photo, without those that the other view shows more surely.

    Two faces of one view are never compared: the detector has told them apart.

    Args:
        a: In pixels of the photo.
        b: Likewise.
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
