"""What is kept of a photo until the model runs on its faces."""

from collections.abc import Sequence
from dataclasses import dataclass

from mien.pipeline.align import Transform, extract_chip
from mien.pipeline.images import Photo, Pixels
from mien.pipeline.quality import Quality, measure
from mien.pipeline.reduction import transform_of_reduced
from mien.results import Face


@dataclass(frozen=True, slots=True)
class Prepared:
    """The faces of a photo, without its pixels.

    Attributes:
        name: As in :class:`~mien.pipeline.images.Photo`.
        width: Width of the whole photo in pixels.
        height: Height of the whole photo in pixels.
        faces: In pixels of the whole photo.
        chips: The chip of each face.
        qualities: The quality of each face.
        damaged: Whether a part of the photo could not be read.
    """

    name: str
    width: int
    height: int
    faces: tuple[Face, ...]
    chips: tuple[Pixels, ...]
    qualities: tuple[Quality, ...]
    damaged: bool


def cut_out(photo: Photo, faces: tuple[Face, ...], transforms: Sequence[Transform], size: int) -> Prepared:
    """Cut the chips of faces out of their photo.

    Args:
        photo: The photo, whole or reduced.
        faces: In pixels of the whole photo.
        transforms: For each face, from pixels of the whole photo to fractions of its chip.
        size: Side of a chip in pixels.
    """
    chips = tuple(
        extract_chip(photo.pixels, transform_of_reduced(transform, photo.reduction), size)
        for transform in transforms
    )
    qualities = tuple(
        measure(face, chip, photo.width, photo.height) for face, chip in zip(faces, chips, strict=True)
    )
    damaged = photo.intact is not None
    return Prepared(photo.name, photo.width, photo.height, faces, chips, qualities, damaged)
