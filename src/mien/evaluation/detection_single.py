"""Test of detectors on pictures of a single face, at many picture sizes, face sizes and angles.

A detector should give exactly one box per picture.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from mien.errors import DataError
from mien.pipeline.align import (
    CANONICAL_GEOMETRY,
    Transform,
    extract_chip,
    transform_of_crop,
    transform_of_face,
)
from mien.pipeline.detect import Detector
from mien.pipeline.detect.nms import intersection_over_smaller
from mien.pipeline.estimation import estimate_faces
from mien.pipeline.images import Pixels, read_photo
from mien.pipeline.model import Model
from mien.request import Request
from mien.results import Face

SIDES = (96, 128, 200, 320, 480, 640, 1000, 1600, 3000)
"""Longer sides in pixels to which pictures are resized."""

LAID_SIDES = (320, 640, 1280)
"""Sides in pixels of the square pictures into which faces are pasted."""

SHARES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)
"""Sides of a pasted face crop as shares of the picture's side."""

OF_FACE = 0.5
"""A box belongs to the face if it shares more than this part of the smaller area with the face's chip."""

CHIPS_AT_ONCE = 64

Ages = npt.NDArray[np.float64]

Cell: TypeAlias = "tuple[str, int, float, float, SingleFaces]"
"""Name of the detector, side of the picture, share, angle, and results."""


@dataclass(slots=True)
class SingleFaces:
    """Results of a detector on pictures of one face each, all of one size, share and angle.

    Attributes:
        counts: Number of boxes of the face, per picture.
        found_errors: Absolute age errors in years of the largest box of the face, for pictures with one.
        given_errors: Absolute age errors of chips cut at the known position, for the same pictures.
    """

    counts: list[int] = field(default_factory=list)
    found_errors: list[float] = field(default_factory=list)
    given_errors: list[float] = field(default_factory=list)

    @property
    def one(self) -> float:
        """Share of pictures with exactly one box of the face, in [0, 1]."""
        return float(np.mean(np.array(self.counts) == 1))


def resize_to(photo: Pixels, longer_side: int) -> Pixels:
    """Resize a photo to a longer side in pixels."""
    scale = longer_side / max(photo.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = [max(1, round(side * scale)) for side in photo.shape[1::-1]]
    return np.asarray(cv2.resize(photo, size, interpolation=how), np.uint8)


def count_in_pictures(
    pictures: Sequence[str], detectors: Mapping[str, Detector], sides: Sequence[int] = SIDES
) -> Iterator[tuple[str, int, SingleFaces]]:
    """Count the boxes in resized pictures of one face each.

    Args:
        pictures: Paths of the pictures.
        detectors: Detectors by name.
        sides: Longer sides in pixels.

    Yields:
        Name of the detector, side, and results.

    Raises:
        ImageError: If a picture cannot be read.
    """
    for side in sides:
        found = {name: SingleFaces() for name in detectors}
        for path in pictures:
            view = resize_to(read_photo(path).pixels, side)
            for name, detector in detectors.items():
                found[name].counts.append(len(detector.detect(view)))
        yield from ((name, side, measured) for name, measured in found.items())


def lay_face(
    crop: Pixels, framing: str, background: Pixels, share: float, angle: float
) -> tuple[Pixels, Transform]:
    """Paste an aligned face into the middle of a square picture and rotate the result.

    Args:
        crop: Square picture of the face.
        framing: As for :func:`~mien.pipeline.align.transform_of_crop`.
        background: Square picture to paste it into.
        share: Side of the crop as a share of the picture's; above 1 the crop reaches beyond the picture.
        angle: Rotation counter-clockwise in degrees; missing corners repeat the edge pixels.

    Returns:
        The picture, and the transform from its pixels to the face's chip.
    """
    side = len(background)
    size = max(1, round(share * side))
    face = resize_to(crop, size)
    start = (side - size) // 2
    to, of = slice(max(0, start), max(0, start) + min(size, side)), max(0, -start)
    picture = background.copy()
    picture[to, to] = face[of : of + side, of : of + side]
    to_chip = transform_of_crop(size, size, framing)
    to_chip[:, 2] -= to_chip[:, :2] @ (start, start)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), angle, 1)
    offset = turn[:, :2] @ (0.5, 0.5) - 0.5  # in OpenCV, pixel centres are at integers
    corner = np.column_stack([turn[:, :2], turn[:, 2] + offset])
    turned = cv2.warpAffine(
        picture, corner, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    back = np.vstack([cv2.invertAffineTransform(turn), (0, 0, 1)])
    return np.asarray(turned if angle else picture, np.uint8), to_chip @ back


def count_laid(
    faces: pd.DataFrame,
    backgrounds: Sequence[str],
    detectors: Mapping[str, Detector],
    model: Model,
    *,
    sides: Sequence[int] = LAID_SIDES,
    shares: Sequence[float] = SHARES,
    angles: Sequence[float] = (0.0,),
) -> Iterator[Cell]:
    """Paste aligned faces into pictures without a face; count their boxes, and measure the age errors.

    Args:
        faces: Rows of a manifest with known ages.
        backgrounds: Paths of pictures without a face, used in turn.
        detectors: Detectors by name.
        model: Model that estimates the ages.
        sides: Sides of the square pictures in pixels.
        shares: Sides of the crops as shares of the pictures'.
        angles: Rotations of the pictures counter-clockwise, in degrees.

    Yields:
        Name of the detector, side, share, angle, and results.

    Raises:
        DataError: If there are no faces, or no pictures without a face.
        ImageError: If a picture cannot be read.
    """
    if faces.empty or not backgrounds:
        raise DataError("Give a manifest with faces of known age, and a table with pictures without a face.")
    for side in sides:
        for share in shares:
            for angle in angles:
                laid = _lay_all(faces, backgrounds, side, share, angle)
                found = _count(laid, detectors, model, faces["age"].to_numpy(float))
                yield from ((name, side, share, angle, measured) for name, measured in found.items())


def _lay_all(
    faces: pd.DataFrame, backgrounds: Sequence[str], side: int, share: float, angle: float
) -> Iterator[tuple[Pixels, Transform]]:
    for i, (path, framing) in enumerate(zip(faces["path"], faces["framing"], strict=True)):
        background = _background(backgrounds[i % len(backgrounds)], side)
        yield lay_face(read_photo(str(path)).pixels, str(framing), background, share, angle)


def _background(path: str, side: int) -> Pixels:
    photo = read_photo(path).pixels
    edge = min(photo.shape[:2])
    y, x = (photo.shape[0] - edge) // 2, (photo.shape[1] - edge) // 2
    return resize_to(photo[y : y + edge, x : x + edge], side)


def _count(
    laid: Iterator[tuple[Pixels, Transform]], detectors: Mapping[str, Detector], model: Model, ages: Ages
) -> dict[str, SingleFaces]:
    found = {name: SingleFaces() for name in detectors}
    given: list[Pixels] = []
    chips: dict[str, list[Pixels]] = {name: [] for name in detectors}
    for picture, to_chip in laid:
        side = len(picture)
        given.append(_cut(model, picture, to_chip))
        for name, detector in detectors.items():
            faces = boxes_of_chip(detector.detect(picture), to_chip, side)
            found[name].counts.append(len(faces))
            if faces:
                largest = max(faces, key=lambda face: face.box.area_within((0, 0, side, side)))
                chips[name].append(_cut(model, picture, transform_of_face(largest, CANONICAL_GEOMETRY)))
    errors = np.abs(_ages(model, given) - ages)
    for name, measured in found.items():
        seen = np.array(measured.counts) > 0
        measured.given_errors = errors[seen].tolist()
        measured.found_errors = np.abs(_ages(model, chips[name]) - ages[seen]).tolist()
    return found


def boxes_of_chip(faces: Sequence[Face], to_chip: Transform, side: int) -> list[Face]:
    """Select the detections in a square picture that belong to the face with the known chip."""
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]]) @ cv2.invertAffineTransform(to_chip).T
    place = np.concatenate([corners.min(0), corners.max(0)]).clip(0, side)
    boxes = np.array([[*face.box] for face in faces]).reshape(-1, 4)
    shares = intersection_over_smaller(boxes, place[None])[:, 0]
    return [face for face, share in zip(faces, shares, strict=True) if share > OF_FACE]


def _cut(model: Model, picture: Pixels, transform: Transform) -> Pixels:
    return extract_chip(picture, transform, model.metadata.input_size)


def _ages(model: Model, chips: Sequence[Pixels]) -> Ages:
    years: list[float] = []
    for start in range(0, len(chips), CHIPS_AT_ONCE):
        answers = model.run(np.stack(chips[start : start + CHIPS_AT_ONCE]))
        years += [age.years for age, _ in estimate_faces(model.metadata, *answers, Request())]
    return np.array(years)
