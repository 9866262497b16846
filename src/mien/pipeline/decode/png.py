"""Reduce PNG files to the chunks that make up the picture, so that damage in other chunks has no effect."""

import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_COLOURS = (b"gAMA", b"sRGB", b"iCCP", b"cICP", b"eXIf", b"zTXt", b"tEXt")
_KNOWN = (*_PICTURE, b"fcTL", b"fdAT")
_EXIF = b"Raw profile type exif\0"
MOST = 2**20
"""Maximum bytes of an ancillary chunk, also after decompression; larger chunks are dropped."""


def only_the_picture(data: bytes) -> tuple[bytes, tuple[int, int] | None]:
    """Keep only the chunks that make up the picture, and correct their checksums.

    Of an animation, the still picture is kept. Ancillary chunks are kept if they define the colours or the
    orientation and are intact.

    Returns:
        The file, and the primaries and transfer of its cICP chunk if it has one.
    """
    parts, coding, seen_data = [SIGNATURE], None, False
    for kind, body, whole in _chunks(data):
        if kind == b"IEND" or (seen_data and kind in (b"fcTL", b"fdAT")):
            break
        if kind == b"IDAT":
            parts.append(_chunk(kind, body))
            seen_data = True
        elif (not seen_data or kind == b"eXIf") and (kind in _PICTURE or (whole and _matters(kind, body))):
            parts.append(_chunk(kind, body))
        if kind == b"cICP" and whole and len(body) == 4:
            coding = body[0], body[1]
    return b"".join((*parts, _chunk(b"IEND", b""))), coding


def _matters(kind: bytes, body: bytes) -> bool:
    """Whether a chunk defines the colours or the orientation, and is safe to read."""
    if kind not in _COLOURS or len(body) > MOST:
        return False
    if kind in (b"zTXt", b"tEXt"):  # where ImageMagick keeps EXIF data
        return body.startswith(_EXIF) and _unpacks(body[len(_EXIF) + 1 :], kind == b"zTXt")
    return kind != b"iCCP" or _unpacks(body.partition(b"\0")[2][1:], True)


def _unpacks(packed: bytes, is_packed: bool) -> bool:
    if not is_packed:
        return True
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(packed, MOST)
    except zlib.error:
        return False
    return not inflater.unconsumed_tail


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Kind, body, and whether the checksum is right; after a wrong length, skip to the next known chunk."""
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        body = data[at + 8 : end]
        whole = data[end : end + 4] == zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big")
        if not whole and kind not in _PICTURE and not _is_kind(data[end + 8 : end + 12]):
            found = [i for known in _KNOWN if (i := data.find(known, at + 8)) >= 0]
            at = min(found, default=len(data) + 4) - 4
            continue
        yield kind, body, whole
        at = end + 4


def _is_kind(name: bytes) -> bool:
    return len(name) == 4 and name.isalpha() and name.isascii()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big")
