"""HEIF (HEIC) files, at full bit depth if they have high dynamic range."""

from functools import partial
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from mien.pipeline.decode.colours import HLG, PQ, Coding, Convert, Pixels, converter, to_standard


class HeifPicture:
    """The primary image of a file, decoded only by :meth:`load`.

    Args:
        data: Bytes of the file.

    Attributes:
        size: Width and height in pixels, upright.
    """

    def __init__(self, data: bytes) -> None:
        """Read the header."""
        file = pillow_heif.open_heif(data)
        profile: Any = file[file.primary_index].info.get("nclx_profile") or {}
        self.coding = Coding(profile.get("color_primaries", 1), profile.get("transfer_characteristics", 13))
        if self.coding.transfer in (PQ, HLG):
            file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
        self._image = file[file.primary_index]
        self.size: tuple[int, int] = self._image.size

    def load(self) -> Convert:
        """Decode the image; return the function that converts its pieces to sRGB."""
        self._values = np.asarray(self._image)
        self.size = self._values.shape[1], self._values.shape[0]
        if self._values.dtype == np.uint16:
            return partial(_from_deep, coding=self.coding)
        first = self.crop((0, 0, 1, 1))
        first.info = {key: self._image.info[key] for key in ("icc_profile",) if key in self._image.info}
        return converter(first, self.coding)

    def crop(self, box: tuple[int, int, int, int]) -> Any:
        """Cut a piece out of the loaded image: a Pillow image, or an array of 16-bit values."""
        x1, y1, x2, y2 = box
        piece = self._values[y1:y2, x1:x2]
        if piece.dtype == np.uint16:
            return piece
        return Image.frombytes(self._mode, (x2 - x1, y2 - y1), np.ascontiguousarray(piece).tobytes())

    @property
    def _mode(self) -> str:
        return str(self._image.mode)


def _from_deep(piece: Any, coding: Coding) -> Pixels:
    """Convert 16-bit values to sRGB; transparent parts become white, as elsewhere."""
    values = piece if piece.ndim == 3 else piece[..., None]
    opaque = to_standard(np.broadcast_to(values[..., :3], (*values.shape[:2], 3)), coding)
    if values.shape[2] == 4:
        alpha = values[..., 3:].astype(np.float32) / 65535
        opaque = np.rint(opaque * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return opaque
