"""What makes an estimate less sure: measured on each face, and named where it was found to cost accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.errors import ImageError
from mien.pipeline.images import Photo, Pixels
from mien.pipeline.resampling import resize
from mien.results import Box, Face

Floats = npt.NDArray[np.float32]

SMALL_FACE = 32
"""Side in pixels (mean of the box's width and height) below which a face is ``small_face``."""

BLURRED = 0.05
"""Sharpness below which a face is ``blurred``."""

DARK = 40
"""Brightness below which a face is ``dark``."""

PROFILE = 0.6
"""Asymmetry above which a face is a ``profile``."""

CUT_OFF = 0.2
"""Share of the box beyond the photo above which a face is ``cut_off``."""

VIEW = 64
"""Side in pixels of the chip that sharpness is measured on, whatever the model's own."""

MIDDLE = slice(VIEW // 8, VIEW - VIEW // 8)
"""The part of it that is face in most chips."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How a face can be seen.

    Attributes:
        side: Mean of the box's width and height in pixels.
        outside: Share of the box's area beyond the photo's edges, in [0, 1].
        sharpness: Variance of the Laplacian of the face's grey values, as a share of their variance; does not
            change with light or contrast, falls with blur and with enlarging.
        brightness: The grey value that a tenth of the face exceeds, in [0, 255]: of the lit parts, as dark
            skin in good light has bright ones too.
        asymmetry: How far the nose tip lies from the middle between the eyes, along the line through them, in
            halves of their distance: 0 for a face seen from the front, 1 where it is below an eye; None
            without landmarks.
    """

    side: float
    outside: float
    sharpness: float
    brightness: float
    asymmetry: float | None


def measure(face: Face, chip: Pixels, width: int, height: int) -> Quality:
    """Measure how a face can be seen.

    Args:
        face: As a detector gave it.
        chip: (n, n, 3) RGB, its chip.
        width: Of the photo in pixels.
        height: Likewise.
    """
    box = face.box
    view = resize(chip, VIEW, VIEW)
    grey = np.asarray(Image.fromarray(view).convert("L"), np.float32)
    middle, edges = grey[MIDDLE, MIDDLE], _laplacian(grey)[MIDDLE, MIDDLE]
    return Quality(
        side=(box.width + box.height) / 2,
        outside=share_outside(box, (0, 0, width, height)),
        sharpness=float(edges.var() / max(float(middle.var()), 1.0)),
        brightness=_exceeded_by_a_tenth(middle),
        asymmetry=_asymmetry(face),
    )


def _exceeded_by_a_tenth(values: npt.NDArray[np.float32]) -> float:
    """The 90th percentile; NumPy's own would import ``numpy.ma`` first."""
    return float(np.interp(0.9 * (values.size - 1), np.arange(values.size), np.sort(values, axis=None)))


def _laplacian(values: Floats) -> Floats:
    """What the four neighbours of each value differ from it; the rim is wrong."""
    rolled = [np.roll(values, step, axis) for step in (1, -1) for axis in (0, 1)]
    return np.asarray(sum(rolled) - 4 * values, np.float32)


def share_outside(box: Box, frame: tuple[float, float, float, float]) -> float:
    """The share of a box's area that lies beyond a frame (x1, y1, x2, y2), in [0, 1]."""
    return 1 - box.area_within(frame) / box.area


def flags_of(face: Face, quality: Quality, *, damaged: bool = False) -> tuple[str, ...]:
    """The reasons to trust an estimate less.

    Args:
        face: As a detector gave it.
        quality: As :func:`measure` found it.
        damaged: Whether a part of its photo could not be read.

    Returns:
        Of ``small_face``, ``blurred``, ``dark``, ``profile``, ``cut_off``, ``low_score`` and ``damaged``
        those that hold.
    """
    holds = {
        "small_face": quality.side < SMALL_FACE,
        "blurred": quality.sharpness < BLURRED,
        "dark": quality.brightness < DARK,
        "profile": quality.asymmetry is not None and quality.asymmetry > PROFILE,
        "cut_off": quality.outside > CUT_OFF,
        "low_score": face.unsure,
        "damaged": damaged,
    }
    return tuple(flag for flag, held in holds.items() if held)


def _asymmetry(face: Face) -> float | None:
    if face.landmarks is None:
        return None
    left, right, nose = np.array(face.landmarks[:3])
    eyes = right - left
    distance = float(eyes @ eyes)
    if distance == 0:
        return 1.0  # one eye behind the other
    return float(abs(2 * (nose - left) @ eyes / distance - 1))


def intact_faces(faces: Sequence[Face], photo: Photo) -> tuple[Face, ...]:
    """The faces that lie in what could be read of a photo.

    Raises:
        ImageError: If it is damaged and there are none.
    """
    if photo.intact is None:
        return tuple(faces)
    whole = tuple(face for face in faces if share_outside(face.box, photo.intact) <= CUT_OFF)
    if not whole:
        raise ImageError(
            f"{photo.name} is damaged or cut short, and what can be read of it shows no whole face; copy or "
            "download it again."
        )
    return whole
