"""Quality measures of each face, and flags for values that were found to reduce accuracy."""

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
"""Share of the box outside the photo above which a face is ``cut_off``."""

VIEW = 64
"""Side in pixels of the chip for measuring sharpness and brightness, whatever the model's chip size."""

MIDDLE = slice(VIEW // 8, VIEW - VIEW // 8)
"""Rows and columns of that chip that show the face in most chips."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Quality measures of a face.

    Attributes:
        side: Mean of the box's width and height in pixels.
        outside: Share of the box's area outside the photo, in [0, 1].
        sharpness: Variance of the Laplacian of the face's grey values, divided by the variance of the grey
            values. It does not depend on light or contrast; blur and enlargement lower it.
        brightness: 90th percentile of the face's grey values, in [0, 255]. It measures the lit parts, since
            dark skin in good light has bright parts too.
        asymmetry: Distance of the nose tip from the midpoint of the eyes, along the line through the eyes, in
            halves of the distance between the eyes: 0 for a frontal face, 1 if the nose tip is level with an
            eye; None without landmarks.
    """

    side: float
    outside: float
    sharpness: float
    brightness: float
    asymmetry: float | None


def measure(face: Face, chip: Pixels, width: int, height: int) -> Quality:
    """Measure the quality of a face.

    Args:
        face: A detector's face, in pixels of the photo.
        chip: Its chip, (n, n, 3) RGB.
        width: Width of the photo in pixels.
        height: Height of the photo in pixels.
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
    """The 90th percentile; NumPy's own function would first import ``numpy.ma``."""
    return float(np.interp(0.9 * (values.size - 1), np.arange(values.size), np.sort(values, axis=None)))


def _laplacian(values: Floats) -> Floats:
    """Sum of the differences between the four neighbours and each value; wrong at the border."""
    rolled = [np.roll(values, step, axis) for step in (1, -1) for axis in (0, 1)]
    return np.asarray(sum(rolled) - 4 * values, np.float32)


def share_outside(box: Box, frame: tuple[float, float, float, float]) -> float:
    """The share of a box's area that lies outside a frame (x1, y1, x2, y2), in [0, 1]."""
    return 1 - box.area_within(frame) / box.area


def flags_of(face: Face, quality: Quality, *, damaged: bool = False) -> tuple[str, ...]:
    """The reasons to trust an estimate less.

    Args:
        face: A detector's face.
        quality: Its quality from :func:`measure`.
        damaged: Whether a part of its photo could not be read.

    Returns:
        Those of ``small_face``, ``blurred``, ``dark``, ``profile``, ``cut_off``, ``low_score`` and
        ``damaged`` that apply.
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
    """The faces in the part of a photo that could be read.

    Raises:
        ImageError: If the photo is damaged and there are none.
    """
    if photo.intact is None:
        return tuple(faces)
    whole = tuple(face for face in faces if share_outside(face.box, photo.intact) <= CUT_OFF)
    if not whole:
        raise ImageError(
            f"{photo.name} is damaged or cut short, and the readable part shows no whole face; copy or "
            "download it again."
        )
    return whole
