"""Picture files made by the tests: small, and as odd as those that people bring."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from mien.errors import ImageError
from mien.pipeline.images import PhotoSource, read_photo

Pixels = npt.NDArray[np.uint8]
RED, GREEN, BLUE, WHITE = (220, 20, 20), (20, 200, 20), (20, 20, 220), (250, 250, 250)
EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"


def portrait() -> Image.Image:
    """The example photo, 512x512."""
    with Image.open(EXAMPLE) as image:
        return image.convert("RGB")


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    if kind == "HEIF":
        register_heif_opener()
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG file with further chunks after its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def tiff(values: npt.NDArray[Any], **tags: int) -> bytes:
    """An uncompressed little-endian TIFF of (h, w) grey or (h, w, 3) values, other tags as ``t262=0``."""
    height, width = values.shape[:2]
    data, bands = values.tobytes(), values.ndim * 2 - 3
    entries = {256: width, 257: height, 258: values.itemsize * 8, 259: 1, 262: 2 if bands == 3 else 1}
    entries |= {273: 8, 277: bands, 278: height, 279: len(data)}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    start = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    return start + struct.pack("<H", len(entries)) + directory + bytes(4)


def difference(source: PhotoSource, pixels: npt.NDArray[Any]) -> float:
    """Mean absolute difference of the values that are read from those expected."""
    return float(np.abs(read_photo(source).pixels.astype(int) - pixels).mean())


def sentence(source: Any) -> str:
    with pytest.raises(ImageError) as caught:
        read_photo(source)
    return str(caught.value)


def corners() -> Image.Image:
    """32x48, its quarters red, green (top), blue, white (bottom)."""
    image = Image.new("RGB", (32, 48))
    for i, colour in enumerate((RED, GREEN, BLUE, WHITE)):
        image.paste(colour, (16 * (i % 2), 24 * (i // 2), 16 * (i % 2) + 16, 24 * (i // 2) + 24))
    return image


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
