"""Recognise a file by its first bytes: a picture that mien reads, or something else, with advice."""

import re
from collections.abc import Callable

from mien.errors import ImageError
from mien.pipeline.decode.texts import is_base64, is_path

HEAD = 4096
"""Number of bytes at the beginning of a file that tell its kind."""

_HEVC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_AV1 = (b"avif", b"avis")

_PICTURES: tuple[tuple[str, bytes], ...] = (
    ("JPEG", rb"\xff\xd8\xff"),
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("WEBP", rb"RIFF....WEBP"),
    ("GIF", rb"GIF8[79]a"),
    ("BMP", rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
    ("TIFF", rb"II\x2a\0|MM\0\x2a|II\x2b\0|MM\0\x2b"),
    ("JPEG2000", rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n"),
)

_EXPORT = "export it as JPEG first"
_OTHERS: tuple[tuple[str, str, bytes], ...] = (
    ("a PDF document", "export the page as JPEG or PNG", rb"\s*%PDF-"),
    ("a PostScript file (EPS)", "export it as JPEG or PNG", rb"\s*%!PS|\xc5\xd0\xd3\xc6"),
    ("a Git LFS pointer, not the photo itself", "run 'git lfs pull'", rb"version https://git-lfs"),
    ("a camera raw file", _EXPORT, rb"II\x2a\0....CR|....ftypcrx|FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0|FOVb"),
    ("a JPEG XL picture", "convert it to JPEG or PNG", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    ("a Photoshop document", _EXPORT, rb"8BPS"),
    ("a Windows metafile", _EXPORT, rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF"),
    ("an icon", "convert it to PNG", rb"\0\0[\x01\x02]\0|icns"),
    ("a PPM picture", "convert it to PNG", rb"P[1-7fF][\s#]"),
    ("a DDS texture", "convert it to PNG", rb"DDS "),
    ("a QOI picture", "convert it to PNG", rb"qoif"),
    (
        "a video",
        "save a frame of it as JPEG",
        rb"....ftyp|RIFF....AVI |\x1a\x45\xdf\xa3|FLV\x01|\0\0\x01[\xba\xb3]|OggS|\x30\x26\xb2\x75"
        rb"|....(moov|mdat|wide)",
    ),
    ("a sound file", "give a photo", rb"RIFF....WAVE|ID3|fLaC"),
    ("a ZIP archive or an office document", "unpack the photos in it", rb"PK\x03\x04"),
    ("an archive", "unpack the photos in it", rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd"),
    (
        "a picture that was changed by a transfer as text",
        "copy or download it again, in binary mode",
        rb"(\xef\xbf\xbd){2,4}.{0,8}(JFIF|Exif)|(\xef\xbf\xbd|.)PNG\r?\n|\x89PNG",
    ),
    ("an SVG drawing", "export it as PNG", rb"(?i)(\xef\xbb\xbf)?\s*(<\?xml.{0,2000})?(<!.{0,2000})?<svg\b"),
    (
        "a web page, not a photo",
        "download the picture itself",
        rb"(?i)(\xef\xbb\xbf)?\s*(<!--.{0,1000})?<(!doctype html|html|head|body)\b",
    ),
    ("an XML file", "give a photo", rb"(\xef\xbb\xbf)?\s*<\?xml"),
    ("a data: URL", "decode what follows its comma with base64.b64decode", rb"data:image/"),
)


def _pattern(text: bytes) -> re.Pattern[bytes]:
    return re.compile(text, re.DOTALL)


_READS = tuple((kind, _pattern(start).match) for kind, start in _PICTURES)
_NAMES: tuple[tuple[str, str, Callable[[bytes], object]], ...] = tuple(
    (what, cure, _pattern(start).match) for what, cure, start in _OTHERS
)


def format_of(data: bytes, name: str) -> str:
    """The format of a picture file, by its name in Pillow.

    Args:
        data: Bytes of the whole file, not empty.
        name: Name of the photo in the error.

    Raises:
        ImageError: If mien does not read the format; the message names the kind of file if it is known.
    """
    head = data[:HEAD]
    if head[4:8] == b"ftyp" and (kind := _format_of_brands(head)) is not None:
        return kind
    raw = _NAMES[3][2](head)
    kind = next((kind for kind, starts in _READS if starts(head)), None) if not raw else None
    if kind is not None:
        return kind
    for what, cure, starts in _NAMES:
        if starts(head):
            raise ImageError(f"{name} is {what}; {cure}.")
    if is_base64(head):
        raise ImageError(f"{name} is a picture as base64 text; decode it with base64.b64decode first.")
    if is_path(head):
        raise ImageError(f"{name} is a path, not a picture; give the path as text, or the file itself.")
    raise ImageError(f"{name} is not a picture in a format mien reads; convert it to JPEG or PNG.")


def _format_of_brands(head: bytes) -> str | None:
    """HEIF or AVIF, by the brands of an ISO base media file (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    major, *compatible = (head[i : i + 4] for i in (8, *range(16, end - 3, 4)))
    if major in _AV1 or (major in (b"mif1", b"msf1") and any(brand in _AV1 for brand in compatible)):
        return "AVIF"
    return "HEIF" if major in (*_HEVC, b"mif1", b"msf1") else None
