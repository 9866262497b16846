"""Preprocessing of photos for a detector's net."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.pipeline.align import extract_chip
from mien.pipeline.images import Pixels
from mien.results import Box

CLOSE_UP = 128
"""Side in pixels of a close-up of one face; the longer side of the face's box is half of that."""

FILTERED = 1.5
"""Least factor by which the filter shrinks a large photo; block averaging does the rest."""

BAND = 64
"""Approximate number of rows that are averaged at a time."""


def resize(photo: Pixels, longest_side: int, enlarge: float = 1) -> tuple[Pixels, float]:
    """Resize a photo to the given longest side, enlarged at most by ``enlarge``; return it and the scale."""
    height, width = photo.shape[:2]
    scale = min(longest_side / max(height, width), enlarge)
    if scale == 1:
        return np.ascontiguousarray(photo), 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    blocks = max(1, int(1 / (scale * FILTERED)))
    if blocks > 1:
        photo = _average(photo, blocks)
    how = Image.Resampling.HAMMING if scale < 1 else Image.Resampling.BILINEAR
    whole = (0, 0, width / blocks, height / blocks)  # blocks at the ends may be cut off
    return np.asarray(Image.fromarray(photo).resize(size, how, whole), np.uint8), scale


def _average(photo: Pixels, side: int) -> Pixels:
    """Average square blocks of pixels, some rows at a time, since Pillow copies its input."""
    rows = side * (BAND // side + 1)
    bands = (photo[y : y + rows] for y in range(0, len(photo), rows))
    return np.concatenate([np.asarray(Image.fromarray(band).reduce(side), np.uint8) for band in bands])


def close_up(photo: Pixels, box: Box) -> Pixels:
    """Cut out a square of twice the box's longer side around it; beyond the photo, its edge is repeated."""
    side = 2 * max(box.width, box.height)
    corner = np.array([box.x1 + box.x2, box.y1 + box.y2]) / 2 - side / 2
    return extract_chip(photo, np.column_stack([np.eye(2), -corner]) / side, CLOSE_UP)


def to_tensor(view: Pixels, multiple: int = 32) -> npt.NDArray[np.float32]:
    """(1, 3, h, w) values from 0 to 255, padded with black at the right and bottom to multiples of a side."""
    height, width = view.shape[:2]
    h, w = -(-height // multiple) * multiple, -(-width // multiple) * multiple
    tensor = np.zeros((1, 3, h, w), np.float32)
    tensor[0, :, :height, :width] = view.transpose(2, 0, 1)
    return tensor
