"""Recognition of pictures by their first bytes."""

import re

HEAD = 16
"""Number of bytes that suffice."""

_PICTURE = re.compile(
    rb"\xff\xd8\xff"  # JPEG
    rb"|\x89PNG\r\n\x1a\n"
    rb"|GIF8[79]a"
    rb"|RIFF....WEBP"
    rb"|BM....\0\0\0\0"  # BMP
    rb"|II\*\0|MM\0\*"  # TIFF
    rb"|....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1|avi[fs])"  # HEIF and AVIF
    rb"|\0\0\0\x0cjP  |\xff\x4f\xff\x51",  # JPEG 2000
    re.DOTALL,
)


def looks_like_a_picture(data: bytes) -> bool:
    """Whether the bytes begin with the signature of a known picture format.

    >>> looks_like_a_picture(b"GIF89a..."), looks_like_a_picture(b"name=value")
    (True, False)
    """
    return _PICTURE.match(data) is not None
