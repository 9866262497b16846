"""Resize pictures without aliasing, and warp them by bilinear interpolation."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resize a picture: shrink by area averaging, enlarge by linear interpolation.

    Args:
        pixels: (h, w) or (h, w, 3).
        width: New width in pixels.
        height: New height in pixels.
    """
    rows = _means(pixels, min(height, pixels.shape[0]))
    columns = _means(np.ascontiguousarray(rows.swapaxes(0, 1)), min(width, pixels.shape[1]))
    small = np.rint(columns.swapaxes(0, 1)).astype(np.uint8)
    if small.shape[:2] == (height, width):
        return small
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR), np.uint8)


def _means(values: npt.NDArray[np.uint8] | Floats, n: int) -> Floats:
    """Means over n equal parts of the first axis; a part may begin or end within a row."""
    if len(values) == n:
        return values.astype(np.float32)
    edges = np.linspace(0, len(values), n + 1)
    whole = edges.astype(int)
    exact = np.uint32 if values.dtype == np.uint8 else np.float32
    sums = [values[a:b].sum(0, dtype=exact) for a, b in pairwise(whole)]
    means = np.array(sums, np.float32)
    shares = (edges - whole).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    cut = shares * values[np.minimum(whole, len(values) - 1)]
    means -= cut[:-1]
    means += cut[1:]
    return means * np.float32(n / len(values))


def warp(pixels: Pixels, matrix: Matrix, size: int) -> Pixels:
    """Cut a square out of a picture by bilinear interpolation; beyond the picture, its edge is repeated.

    Args:
        pixels: (h, w, 3).
        matrix: (2, 3), from pixels of the picture to pixels of the square, with centres at half-integers.
        size: Side of the square in pixels.
    """
    centres = np.arange(size) + 0.5
    x, y = (row[0] * centres + row[1] * centres[:, None] + (row[2] - 0.5) for row in invert(matrix))
    left, top = np.floor(x), np.floor(y)
    along, down = ((a - b).astype(np.float32)[..., None] for a, b in ((x, left), (y, top)))
    corners = _corners(pixels, left, top)
    upper, lower = corners[:, 0] + along * (corners[:, 1] - corners[:, 0])
    return np.ascontiguousarray((upper + down * (lower - upper) + 0.5).astype(np.uint8)[..., :3])


def _corners(pixels: Pixels, left: Matrix, top: Matrix) -> Floats:
    """The four pixels around each position: (2, 2, n, n, 4), rows by columns; the last channel is padding."""
    height, width = pixels.shape[:2]
    packed = np.dstack([pixels, pixels[..., :1]]).view(np.uint32)[..., 0]  # faster to gather than channels
    rows, columns = (
        [(first + i).clip(0, side - 1).astype(np.intp) for i in (0, 1)]
        for first, side in ((top, height), (left, width))
    )
    gathered = np.stack([[packed[row, column] for column in columns] for row in rows])
    return gathered[..., None].view(np.uint8).astype(np.float32)


def invert(matrix: Matrix) -> Matrix:
    """The inverse of a (2, 3) affine matrix."""
    back = np.linalg.inv(matrix[:, :2])
    return np.column_stack([back, -back @ matrix[:, 2]])
