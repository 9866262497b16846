"""Arrays as photos: which are accepted, and how to convert others in one line."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.errors import ImageError

CHANNELS = (1, 3, 4)


def from_array(array: npt.NDArray[Any], image_format: str = "RGB") -> npt.NDArray[np.uint8]:
    """Convert an array to contiguous (height, width, 3) RGB, without a copy if it has this form already.

    Args:
        array: uint8 of (height, width) or (height, width, 1) grey, (height, width, 3) RGB, or (height, width,
            4) RGBA, whose transparent parts become white.
        image_format: Channel order, ``RGB`` or ``BGR``; alpha comes last in both.

    Raises:
        ImageError: If the array has another type or shape; the message says how to convert it.
    """
    if 0 in array.shape:
        raise ImageError("<image> has no pixels; give a photo of at least 1x1.")
    if array.dtype != np.uint8:
        raise ImageError(f"An array must hold uint8 values from 0 to 255, not {array.dtype}; {_cure(array)}.")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in CHANNELS:
        raise ImageError(
            f"An array must have the shape (height, width, 3), not {array.shape}; {_turn(array)}."
        )
    if image_format == "BGR" and array.shape[2] > 1:
        array = array[:, :, [2, 1, 0, 3][: array.shape[2]]]
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    if array.shape[2] == 4:
        canvas = Image.new("RGBA", (array.shape[1], array.shape[0]), (255, 255, 255, 255))
        canvas.alpha_composite(Image.fromarray(np.ascontiguousarray(array)))
        array = np.array(canvas.convert("RGB"))
    return np.ascontiguousarray(array)


def refuse_other(source: object) -> ImageError:
    """The error for an object that is not a photo."""
    kind = type(source)
    if kind.__module__.partition(".")[0] in ("torch", "tensorflow", "jax", "jaxlib", "cupy", "mlx"):
        return ImageError(
            f"A photo must be a path, bytes, a Pillow image or a uint8 array, not a {kind.__name__}; give "
            "(255 * x.detach().cpu().numpy()).round().astype('uint8').transpose(1, 2, 0) if its "
            "channels come first and its values lie in 0 to 1."
        )
    if isinstance(source, list | tuple):
        return ImageError(
            f"A photo must be a single one, not a {kind.__name__}; use predict_many for several."
        )
    return ImageError(
        f"A photo must be a path, bytes, a Pillow image or a uint8 array, not <{kind.__name__}>."
    )


def _cure(array: npt.NDArray[Any]) -> str:
    """How to convert values of another type."""
    if array.dtype == np.bool_:
        return "give 255 * x.astype('uint8')"
    if array.dtype.kind not in "fiu":
        return "convert it first"
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    if low < 0 and high <= 1:
        return "for values in -1 to 1 give ((x + 1) * 127.5).round().astype('uint8')"
    if array.dtype.kind == "f" and high <= 1:
        return "for values in 0 to 1 give (255 * x).round().astype('uint8')"
    if high > 255:
        return "for values up to 65535 give (x / 257).round().astype('uint8')"
    return "for values in 0 to 255 give x.round().astype('uint8')"


def _turn(array: npt.NDArray[Any]) -> str:
    """How to convert another shape."""
    if array.ndim == 4:
        return "it holds several photos, so give them one by one, for example to predict_many"
    if array.ndim == 3 and array.shape[0] in CHANNELS:
        return "its channels come first, so give x.transpose(1, 2, 0)"
    return "give RGB, RGBA or grey"
