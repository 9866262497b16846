"""Face alignment: cut the chip of a face, in the same way for training and prediction.

A transform is a 2×3 matrix that maps pixels of the photo to fractions of the chip's side. Pixel centres lie
at half-integers, so a chip shows exactly the part of the photo whose transformed coordinates lie in [0, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from mien.pipeline.resampling import invert, resize, warp
from mien.results import Box, Face

Transform = npt.NDArray[np.float64]
Photo = npt.NDArray[np.uint8]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ChipGeometry:
    """Where a face lies in its chip, as fractions of the (square) chip's side.

    The canonical geometry is that of the aligned UTKFace images, which are dlib face chips. ``box`` is where
    dlib's HOG detector puts its box on such a chip. ``landmarks`` are the medians of YuNet's landmarks on 400
    chips: left eye, right eye, nose tip, left and right mouth corner, where left is the photo's left.

    Attributes:
        box: ``(left, top, width, height)``.
        landmarks: Five ``(x, y)`` points.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}  # for model files

    box: tuple[float, float, float, float] = (0.054, 0.040, 0.905, 0.905)
    landmarks: tuple[Point, Point, Point, Point, Point] = (
        (0.2925, 0.2835),
        (0.6865, 0.2870),
        (0.4795, 0.5095),
        (0.3105, 0.6700),
        (0.6525, 0.6730),
    )


CANONICAL_GEOMETRY = ChipGeometry()

PADDED_LANDMARKS = ((0.3125, 0.2993), (0.6700, 0.3040), (0.4795, 0.5090), (0.3330, 0.6625), (0.6340, 0.6650))
"""Medians of YuNet's landmarks on FairFace (padding 0.25) and All-Age-Faces, as fractions of the side."""


def transform_from_landmarks(landmarks: npt.ArrayLike, geometry: ChipGeometry) -> Transform:
    """Least-squares similarity from five landmarks to the geometry's (Umeyama, PAMI 1991, no reflection).

    Args:
        landmarks: (5, 2) points in pixels, ordered as in :class:`~mien.results.Face`.
        geometry: Positions of the landmarks in the chip.

    Raises:
        ValueError: If all points coincide.
    """
    source = np.asarray(landmarks, np.float64)
    target = np.asarray(geometry.landmarks, np.float64)
    p, q = source - source.mean(0), target - target.mean(0)
    spread = float((p**2).sum())
    if spread == 0:
        raise ValueError("the five landmarks coincide")
    a = float((p * q).sum()) / spread
    b = float((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / spread
    rotation = np.array([[a, -b], [b, a]])
    return np.column_stack([rotation, target.mean(0) - rotation @ source.mean(0)])


def transform_from_box(box: Box, geometry: ChipGeometry, quarter_turns: int = 0) -> Transform:
    """Similarity from a detector's box, made square about its centre, to the geometry's box.

    Args:
        box: In pixels of the photo.
        geometry: Position of the box in the chip.
        quarter_turns: Counter-clockwise quarter turns of the photo that make the face upright.
    """
    left, top, width, height = geometry.box
    side = (box.width + box.height) / 2
    scale = (width + height) / 2 / side
    centre = np.array([box.x1 + box.x2, box.y1 + box.y2]) / 2
    turn = scale * np.linalg.matrix_power(np.array([[0.0, 1.0], [-1.0, 0.0]]), quarter_turns)  # y points down
    return np.column_stack([turn, (left + width / 2, top + height / 2) - turn @ centre])


def transform_of_face(face: Face, geometry: ChipGeometry) -> Transform:
    """Transform of a detected face, from its landmarks or, without landmarks, from its box."""
    if face.landmarks is not None:
        return transform_from_landmarks(face.landmarks, geometry)
    return transform_from_box(face.box, geometry, face.quarter_turns)


def transform_of_crop(width: int, height: int, framing: str = "utkface") -> Transform:
    """Transform of a picture that is itself a face crop.

    Args:
        width: Width of the picture in pixels.
        height: Height in pixels. If it differs from the width, the chip is cut from the central square.
        framing: ``utkface`` (the canonical geometry) or ``padded`` (FairFace with padding 0.25).
    """
    side = min(width, height)
    corner = np.array([width - side, height - side]) / 2
    if framing == "padded":
        return transform_from_landmarks(corner + side * np.array(PADDED_LANDMARKS), CANONICAL_GEOMETRY)
    return np.column_stack([np.eye(2) / side, -corner / side])


def extract_chip(photo: Photo, transform: Transform, size: int) -> Photo:
    """Cut a chip out of a photo; beyond the photo, its edge pixels are repeated.

    Args:
        photo: (height, width, 3) upright RGB.
        transform: From pixels of the photo to fractions of the chip's side.
        size: Side of the chip in pixels.

    Returns:
        (size, size, 3) RGB, resampled without aliasing.
    """
    scale = size * float(np.hypot(transform[0, 0], transform[1, 0]))
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]]) @ invert(transform).T
    height, width = photo.shape[:2]
    x1, y1 = np.clip(np.floor(corners.min(0)) - 2, 0, (width - 1, height - 1)).astype(int)
    x2, y2 = np.clip(np.ceil(corners.max(0)) + 2, (x1 + 1, y1 + 1), (width, height)).astype(int)
    region = photo[y1:y2, x1:x2]
    if scale < 1:  # bilinear sampling would alias: average over areas first
        region = resize(region, *(max(1, round(side * scale)) for side in region.shape[1::-1]))
    sx, sy = region.shape[1] / (x2 - x1), region.shape[0] / (y2 - y1)
    matrix = transform * size
    matrix = np.column_stack([matrix[:, :2] / (sx, sy), matrix[:, 2] + matrix[:, :2] @ (x1, y1)])
    return warp(region, matrix, size)
