"""Find the page of a TIFF file that is the photo, and the reason why a page cannot be read."""

import struct
from io import BytesIO
from typing import Any, NamedTuple

from PIL.TiffImagePlugin import ImageFileDirectory_v2

MOST_PAGES = 256
"""Maximum number of pages that are examined."""

SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, SUBFILES, FORMAT, DNG = (
    254, 256, 257, 258, 259, 262, 330, 339, 50706,
)  # fmt: skip
REDUCED, MASK = 1, 4
_FILTERED = (32803, 34892)
"""Photometric interpretations of raw sensor values."""

_KINDS = {
    50002: "JPEG XL inside",
    52546: "JPEG XL inside",
    33003: "JPEG 2000 inside",
    33004: "JPEG 2000 inside",
    33005: "JPEG 2000 inside",
    34712: "JPEG 2000 inside",
    34887: "LERC inside",
    22610: "JPEG XR inside",
    34934: "JPEG XR inside",
}


class Page(NamedTuple):
    """An image file directory: its offset and its tags."""

    offset: int
    tags: Any

    @property
    def pixels(self) -> int:
        """Number of pixels; 0 if the size is missing."""
        width, length = self.tags.get(WIDTH, 0), self.tags.get(LENGTH, 0)
        return width * length if isinstance(width, int) and isinstance(length, int) else 0

    @property
    def is_full(self) -> bool:
        """Whether it is neither a reduced copy nor a mask of another page."""
        kind = self.tags.get(SUBFILE, 0)
        return not (isinstance(kind, int) and kind & (REDUCED | MASK))


def pages_of(data: bytes) -> list[Page]:
    """The pages in their order, each followed by its subpages; at most :data:`MOST_PAGES`."""
    pages: list[Page] = []
    seen: set[int] = set()
    waiting = [_first(data)]
    while waiting and len(pages) < MOST_PAGES:
        offset = waiting.pop()
        if not 0 < offset < len(data) or offset in seen:
            continue
        seen.add(offset)
        tags = ImageFileDirectory_v2(data[: 16 if _is_big(data) else 8])
        file = BytesIO(data)
        file.seek(offset)
        tags.load(file)
        pages.append(Page(offset, tags))
        below = tags.get(SUBFILES, ())
        below = below if isinstance(below, tuple) else (below,)
        waiting += [tags.next, *(offset for offset in reversed(below) if isinstance(offset, int))]
    return pages


def is_raw(pages: list[Page]) -> bool:
    """Whether the file is a camera raw file (DNG, NEF, ARW …), whose other pages are only previews."""
    return any(DNG in page.tags or page.tags.get(PHOTOMETRIC) in _FILTERED for page in pages)


def photo_of(pages: list[Page]) -> Page:
    """The largest full page, the first of several; the largest of all pages if none is full."""
    return max([page for page in pages if page.is_full] or pages, key=lambda page: page.pixels)


def starting_with(data: bytes, page: Page) -> bytes:
    """The file with this page as its first."""
    if page.offset == _first(data):
        return data
    order, at, code = ("<" if data[:2] == b"II" else ">"), *((8, "Q") if _is_big(data) else (4, "L"))
    return data[:at] + struct.pack(order + code, page.offset) + data[at + struct.calcsize(order + code) :]


def kind_of(page: Page) -> str:
    """The unusual property of a page that cannot be read; empty if there is none."""
    if (kind := _KINDS.get(page.tags.get(COMPRESSION, 1))) is not None:
        return kind
    bits = page.tags.get(BITS, (1,))
    if 3 in (page.tags.get(FORMAT) or ()):
        return f"floating-point values of {bits[0]} bits"
    return "" if set(bits) <= {1, 8, 16} else f"values of {bits[0]} bits"


def _first(data: bytes) -> int:
    offset = data[8:16] if _is_big(data) else data[4:8]
    return int.from_bytes(offset, "little" if data[:2] == b"II" else "big")


def _is_big(data: bytes) -> bool:
    return 43 in data[2:4]
