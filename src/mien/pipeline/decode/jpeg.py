"""JPEG files that are truncated, or corrupted by a transfer in text mode."""

import re

_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)
_SOI, _EOI, _SOS, _PROGRESSIVE = 0xD8, 0xD9, 0xDA, (0xC2, 0xCA)

END = b"\xff\xd9"
FILLERS = (END, b"\x55\xaa" * 500 + END)
"""Two replacements for lost data: pixels that differ between the two were not in the file."""


def picture_of(data: bytes) -> tuple[bytes, bool, bool]:
    """Find the first picture in a JPEG file.

    Returns:
        The bytes of the picture without an end marker; whether the end marker follows; and whether it is a
        progressive picture in which at least the first scan of finer luminance is complete, so that the whole
        picture is visible, though coarse.
    """
    at, scans, progressive = 2, 0, False
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in (_EOI, _SOI):
            break
        if marker == 0xFF:
            at += 1
            continue
        progressive |= marker in _PROGRESSIVE
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SOS:
            scans += 1
            found = _MARKER.search(data, at)
            at = found.end() - 2 if found else len(data)
    ended = data[at : at + 2] == END
    return (data if at >= len(data) else data[:at]).rstrip(b"\0\xff"), ended, progressive and scans > 2


def first_scan(data: bytes) -> int:
    """Offset of the first scan, which begins the pixel data; the length of the file if there is none."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _SOS:
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return min(at, len(data))


def went_through_text(data: bytes) -> bool:
    """Whether a transfer in text mode has inserted or removed line-end bytes in a JPEG file.

    In compressed data, each byte value is about as common as the next ones, and occurs next to any other.
    """
    start = first_scan(data) % len(data)  # from the beginning if even the header is corrupted
    feeds = data.count(b"\n", start)
    returns, usual = data.count(b"\r", start), min(data.count(b"\x0c", start), data.count(b"\x0e", start))
    put_in = feeds >= 16 and usual >= 4 and data.count(b"\r\n", max(0, start - 1)) == feeds
    return put_in or (returns == 0 and usual >= 32) or (feeds == 0 and min(returns, usual) >= 32)
