"""Reading of the aligned face chips of a manifest, for training, calibration and export."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from mien.errors import DataError, ImageError
from mien.pipeline.align import extract_chip, transform_of_crop
from mien.pipeline.images import read_photo


def read_chips(table: pd.DataFrame, side: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the chips of a manifest's rows, which must be face crops, in order; reads with several threads.

    Args:
        table: A table with the columns ``path`` and ``framing``; for the latter see
            :func:`~mien.pipeline.align.transform_of_crop`.
        side: Side of each chip in pixels.

    Yields:
        (side, side, 3) RGB.

    Raises:
        DataError: If a picture cannot be read.
    """
    with ThreadPoolExecutor() as pool:
        yield from pool.map(partial(_read_chip, side=side), table["path"], table["framing"])


def _read_chip(path: str, framing: str, side: int) -> npt.NDArray[np.uint8]:
    try:
        photo = read_photo(path)
    except ImageError as error:
        raise DataError(
            f"{error} 'mien data audit MANIFEST --output CSV' lists such pictures and leaves them out."
        ) from None
    return extract_chip(photo.pixels, transform_of_crop(photo.width, photo.height, framing), side)
