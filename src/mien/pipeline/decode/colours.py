"""Convert any picture to 8-bit sRGB: modes, deep greys, transparency, profiles and high dynamic range.

Deep greys are grey values of more than 8 bits.
"""

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

Pixels = npt.NDArray[np.uint8]
Convert = Callable[[Image.Image], Pixels]

BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
"""TIFF tags."""

PIECE = 2**20
"""Pixels per piece: pictures are converted piece by piece, so that no full copy is made."""

_WHITE = (255, 255, 255, 255)

ALIKE = 2
"""A profile that changes no value by more than this is treated as sRGB: the picture is not changed."""

REFERENCE_WHITE = 203.0
"""Luminance of standard-range white in cd/m² (ITU-R BT.2408-7, section 2.1)."""

_TO_SRGB = {
    9: ((1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349), (-0.018151, -0.100579, 1.118730)),
    11: ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)),
    12: ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)),
}
"""Matrices for linear light, from the primaries of BT.2020 (9) and P3 (11, 12), as numbered by ITU-T H.273,
to those of BT.709."""

LINEAR, PQ, HLG = 8, 16, 18
_GAMMAS = {4: 2.2, 5: 2.8}


class Coding(NamedTuple):
    """Colour primaries and transfer characteristics, as numbered by ITU-T H.273; sRGB has 1 and 13."""

    primaries: int = 1
    transfer: int = 13

    @property
    def is_standard(self) -> bool:
        """Whether no conversion is needed; unknown numbers are treated as sRGB."""
        return self.primaries not in _TO_SRGB and self.transfer not in (LINEAR, PQ, HLG, *_GAMMAS)


def converter(image: Image.Image, coding: Coding | None = None) -> Convert:
    """Make the function that converts pieces of a loaded image, from ``image.crop``, to (h, w, 3) sRGB.

    A colour profile (ICC) takes precedence over ``coding``; a broken profile is ignored. Deep greys are
    scaled to 8 bits, and transparent parts become white. Values that are already sRGB are not changed.

    Args:
        image: An image of any mode.
        coding: The coding that the file declares, if any.
    """
    to_flat = _flatten_deep(image) if image.mode.startswith(("I", "F")) else _flatten
    profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return lambda piece: np.asarray(_by_profile(to_flat(piece), profile), np.uint8)
    if coding is not None and not coding.is_standard:
        return lambda piece: to_standard(np.asarray(to_flat(piece).convert("RGB"), np.uint8), coding)
    gamma = image.info.get("gamma") if image.format == "PNG" and "srgb" not in image.info else None
    if isinstance(gamma, float) and 0.01 < gamma < 10 and abs(gamma * 2.2 - 1) > 0.05:
        table = _table_of_gamma(gamma)
        return lambda piece: table[np.asarray(to_flat(piece).convert("RGB"), np.uint8)]
    return lambda piece: np.asarray(_rgb(to_flat(piece)), np.uint8)


def boxes(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Boxes (x1, y1, x2, y2) of at most :data:`PIECE` pixels that together cover a picture."""
    columns = min(width, PIECE)
    rows = max(1, PIECE // columns)
    for y in range(0, height, rows):
        for x in range(0, width, columns):
            yield x, y, min(x + columns, width), min(y + rows, height)


def to_standard(values: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], coding: Coding) -> Pixels:
    """Convert values of another coding, including high dynamic range, to sRGB; clip values above white.

    The transfer functions are those of ITU-R BT.2100-2: table 4 for PQ, and table 5 for HLG, with the system
    gamma 1.2 of a display of 1,000 cd/m².

    Args:
        values: (h, w, 3) of 8 or 16 bits, full range.
        coding: Coding of the values.
    """
    linear = _light(values.dtype.itemsize * 8, coding.transfer)[values]
    if coding.transfer == HLG:
        brightness = linear @ np.array((0.2627, 0.6780, 0.0593), np.float32)
        linear *= (1000 / REFERENCE_WHITE) * brightness[..., None] ** np.float32(0.2)
    if coding.primaries in _TO_SRGB:
        linear = linear @ np.array(_TO_SRGB[coding.primaries], np.float32).T
    return np.asarray(_encoded()[np.rint(linear.clip(0, 1) * 65535).astype(np.uint16)], np.uint8)


@cache
def _light(bits: int, transfer: int) -> npt.NDArray[np.float32]:
    """The linear light of each value, 1 at white; for HLG, the light of the scene."""
    v = np.linspace(0, 1, 2**bits)
    if transfer == PQ:
        root = v ** (32 / 2523)
        light = (
            10000
            / REFERENCE_WHITE
            * ((root - 0.8359375).clip(0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610)
        )
    elif transfer == HLG:
        light = np.where(v <= 0.5, v**2 / 3, (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    elif transfer == LINEAR:
        light = v
    elif transfer in _GAMMAS:
        light = v ** _GAMMAS[transfer]
    else:
        light = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@cache
def _encoded() -> Pixels:
    """The sRGB value of each of 65,536 steps of linear light (IEC 61966-2-1)."""
    return _encode(np.linspace(0, 1, 65536))


def _encode(light: npt.NDArray[np.float64]) -> Pixels:
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(encoded * 255), np.uint8)


def _table_of_gamma(gamma: float) -> Pixels:
    """The sRGB value of each value of a PNG picture with a gAMA chunk (PNG specification, 13.13)."""
    return _encode(np.linspace(0, 1, 256) ** (1 / gamma))


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _flatten(piece: Image.Image) -> Image.Image:
    """Lay a transparent piece on white."""
    if not piece.has_transparency_data:
        return piece
    canvas = Image.new("RGBA", piece.size, _WHITE)
    canvas.alpha_composite(piece.convert("RGBA"))
    return canvas.convert("RGB")


def _flatten_deep(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Make a function that scales deep grey values to the range 0 to 255, in the same way for all pieces.

    Integers up to 255 are treated as 8-bit values, other integers up to 65535 as 16-bit values, or as 12-bit
    values if a TIFF says so. Floats up to 1 are treated as values in [0, 1]. Other values have no agreed
    range: the largest becomes white. If a TIFF says that zero is white, the values are inverted.
    """
    tags = getattr(image, "tag_v2", {})
    unsigned = image.mode == "I" and tags.get(SAMPLE_FORMAT, (1,)) == (1,) and tags.get(BITS) == (32,)
    peak = max(float(_numbers(image.crop(box), unsigned).max()) for box in boxes(*image.size))
    ranges = (1.0,) if image.mode == "F" else (255.0, 4095.0 if tags.get(BITS) == (12,) else 65535.0)
    white = next((white for white in ranges if peak <= white), peak)

    def flatten(piece: Image.Image) -> Image.Image:
        grey = np.rint(_numbers(piece, unsigned).clip(0, white) * (255 / white)).astype(np.uint8)
        return Image.fromarray(255 - grey if tags.get(PHOTOMETRIC) == 0 else grey)

    return flatten


def _numbers(piece: Image.Image, unsigned: bool) -> npt.NDArray[np.float32]:
    values = np.asarray(piece)
    if unsigned:  # Pillow has no unsigned 32-bit values
        values = values.astype(np.int32).view(np.uint32)
    return np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert an image to sRGB by its profile; ignore a profile that is broken or for another mode."""
    if image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("RGB")
    transform = _transform(profile, image.mode)
    return _rgb(image) if transform is None else ImageCms.applyTransform(image, transform) or image


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> Any:
    """The transform of a mode's values from a profile to sRGB; None if it is unnecessary or impossible."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode not in ("L", "RGB"):
            return transform
        colours = Image.fromarray(_samples(mode))
        moved = np.asarray(ImageCms.applyTransform(colours, transform), np.int16)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform if np.abs(moved - np.asarray(colours.convert("RGB"), np.int16)).max() > ALIKE else None


def _samples(mode: str) -> Pixels:
    """Samples from the whole range of a mode's values, as the pixels of an image."""
    if mode == "L":
        return np.arange(256, dtype=np.uint8)[None]
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
