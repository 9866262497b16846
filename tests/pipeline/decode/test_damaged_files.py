"""Files of every format, spoiled at random: a photo, or one sentence, and nothing else."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encode, portrait

from mien.errors import ImageError
from mien.pipeline.images import read_photo

KINDS = ["JPEG", "progressive", "PNG", "WEBP", "GIF", "BMP", "TIFF", "LZW", "HEIF", "AVIF", "JPEG2000"]


@cache
def good(kind: str) -> bytes:
    special: dict[str, dict[str, Any]] = {
        "progressive": {"progressive": True},
        "LZW": {"compression": "tiff_lzw"},
    }
    options = special.get(kind, {})
    exif = portrait().getexif()
    exif[0x0112] = 6
    if kind not in ("BMP", "GIF", "JPEG2000"):
        options = {**options, "exif": exif}
    return encode(
        portrait().resize((48, 40)), {"progressive": "JPEG", "LZW": "TIFF"}.get(kind, kind), **options
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(data=st.data())
def test_spoiled_file_is_a_photo_or_an_image_error(kind: str, data: st.DataObject) -> None:
    spoiled = bytearray(good(kind))
    for _ in range(data.draw(st.integers(1, 4))):
        # headers are where decoders stumble
        at = data.draw(st.integers(0, min(400, len(spoiled) - 1)) | st.integers(0, len(spoiled) - 1))
        new = data.draw(
            st.binary(min_size=1, max_size=4) | st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff"])
        )
        spoiled[at : at + data.draw(st.sampled_from([0, len(new), len(new), 200]))] = new
    end = data.draw(st.just(len(spoiled)) | st.integers(0, len(spoiled)))
    try:
        photo = read_photo(bytes(spoiled[:end]), damaged=True, max_pixels=10**7)
    except ImageError as error:
        assert str(error).startswith("<bytes> ") and str(error).endswith(".")
    else:
        assert photo.pixels.dtype == np.uint8 and photo.pixels.shape == (photo.height, photo.width, 3)
