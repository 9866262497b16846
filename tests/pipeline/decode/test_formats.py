"""What a file is: only pictures are decoded, and what else it is is said, with the cure."""

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import difference, encode, portrait, sentence, tiff
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from mien.pipeline.images import Pixels, read_photo

PHOTO = np.asarray(portrait())
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{} loop\n"

OTHERS = [
    (b"%PDF-1.7\n", "a PDF document; export the page"),
    (EPS, "a PostScript file (EPS); export it"),
    (b"\xc5\xd0\xd3\xc6" + bytes(40), "a PostScript file (EPS)"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing; export it as PNG"),
    (b"<?xml version='1.0'?>\n<!-- x -->\n<svg/>", "an SVG drawing"),
    (b"<!DOCTYPE html><html>", "a web page, not a photo; download the picture itself"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run 'git lfs pull'"),
    (b"PK\x03\x04" + bytes(30), "a ZIP archive or an office document; unpack"),
    (b"\x1f\x8b\x08" + bytes(30), "an archive; unpack"),
    (b"\0\0\0\x18ftypmp42" + bytes(30), "a video; save a frame"),
    (b"\0\0\0\x14ftypqt  " + bytes(30), "a video"),
    (b"RIFF\0\0\0\0AVI LIST" + bytes(30), "a video"),
    (b"\x1a\x45\xdf\xa3" + bytes(30), "a video"),
    (b"\0\0\0\x18ftypcrx " + bytes(30), "a camera raw file; export it as JPEG"),
    (b"II*\0\x10\0\0\0CR\2\0" + bytes(30), "a camera raw file"),
    (b"FUJIFILMCCD-RAW 0201" + bytes(30), "a camera raw file"),
    (b"\xff\x0a" + bytes(30), "a JPEG XL picture; convert it"),
    (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(30), "a JPEG XL picture"),
    (b"8BPS\0\1" + bytes(30), "a Photoshop document"),
    (b"P6\n2 2\n255\n" + bytes(12), "a PPM picture"),
    (b"\0\0\1\0\1\0" + bytes(30), "an icon"),
    (b"holiday/photo.JPG\n", "a path, not a picture"),
    (b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgK", "a picture as base64 text"),
]


@pytest.mark.parametrize(("data", "named"), OTHERS, ids=[named[:20] for _, named in OTHERS])
def test_other_files_are_named_with_the_cure(tmp_path: Path, data: bytes, named: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    assert f"photo.jpg is {named}" in sentence(path) or named in sentence(path)


@pytest.mark.skipif(os.name == "nt", reason="needs a shell script")
def test_no_file_starts_a_program(tmp_path: Path) -> None:
    mark, tool, photo = tmp_path / "started", tmp_path / "gs", tmp_path / "photo.jpg"
    tool.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    tool.chmod(0o755)
    photo.write_bytes(EPS)
    code = (
        "import sys; from PIL import Image\n"
        "from mien.errors import ImageError; from mien.pipeline.images import Pixels, read_photo\n"
        "for source in (sys.argv[1], open(sys.argv[1], 'rb').read(), Image.open(sys.argv[1])):\n"
        "    try: read_photo(source)\n"
        "    except ImageError as error: assert 'PostScript' in str(error), error\n"
        "    else: raise SystemExit('it was read')"
    )
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-c", code, str(photo)], env=environment, check=True)
    assert not mark.exists()


def test_jpeg_2000_is_read() -> None:
    assert difference(encode(portrait(), "JPEG2000"), PHOTO) == 0


def test_avif_under_a_general_brand_is_read() -> None:
    data = encode(portrait(), "AVIF")
    assert read_photo(data[:8] + b"mif1" + data[12:]).width == 512


def thumbnail_first() -> bytes:
    directory = ImageFileDirectory_v2()
    directory[254] = 1
    small = portrait().resize((128, 128))
    return encode(small, "TIFF", save_all=True, append_images=[portrait()], tiffinfo=directory)


def test_tiff_is_read_from_its_largest_full_page() -> None:
    assert difference(thumbnail_first(), PHOTO) == 0


def in_front(values: Pixels, *, below: bool, **tags: int) -> bytes:
    """A TIFF whose first page holds these values; the photo is the next one, or lies below it."""
    photo = tiff(PHOTO)
    [directory] = struct.unpack("<I", photo[4:8])
    first = bytearray(tiff(values, **tags, **({"t330": directory} if below else {})))
    [start] = struct.unpack("<I", first[4:8])
    old, new = (struct.pack("<HHII", 273, 4, 1, 8 + shift) for shift in (0, len(photo)))
    first[start:] = first[start:].replace(old, new)
    if not below:
        first[-4:] = struct.pack("<I", directory)
    return photo[:4] + struct.pack("<I", len(photo) + start) + photo[8:] + bytes(first)


def test_tiff_whose_photo_lies_below_its_thumbnail_is_read() -> None:
    assert difference(in_front(PHOTO[::8, ::8], below=True, t254=1), PHOTO) == 0


@pytest.mark.parametrize("kind", [1, 4], ids=["reduced copy", "mask"])
def test_page_that_is_not_full_is_not_read(kind: int) -> None:
    assert difference(in_front(255 - PHOTO, below=False, t254=kind), PHOTO) == 0


def test_first_of_two_alike_pages_is_read() -> None:
    data = encode(portrait(), "TIFF", save_all=True, append_images=[portrait().rotate(180)])
    assert difference(data, PHOTO) == 0


@pytest.mark.parametrize("tags", [{"t50706": 4}, {"t262": 32803}])
def test_camera_raw_in_a_tiff_is_named(tags: dict[str, int]) -> None:
    assert "is a camera raw file; export it as JPEG first" in sentence(tiff(PHOTO[..., 0], **tags))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (tiff(PHOTO.astype(np.float32) / 255, t339=3), "floating-point values of 32 bits"),
        (tiff(PHOTO[..., 0].astype(np.float64), t339=3), "floating-point values of 64 bits"),
        (tiff(PHOTO, t259=50002), "JPEG XL inside"),
        (tiff(PHOTO, t259=34712), "JPEG 2000 inside"),
    ],
)
def test_kinds_of_tiff_that_cannot_be_read_are_named(data: bytes, kind: str) -> None:
    assert f"is a TIFF with {kind}, which mien does not read; convert it" in sentence(data)


def test_kind_of_bmp_that_cannot_be_read_is_not_called_damaged() -> None:
    data = bytearray(encode(portrait(), "BMP"))
    data[30] = 4  # a JPEG inside
    assert "is a BMP of a kind that mien does not read" in sentence(bytes(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_orientation_in_xmp_is_not_followed(kind: str) -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    options: dict[str, Any] = {"tiffinfo": {700: xmp}} if kind == "TIFF" else {"xmp": xmp}
    if kind == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options = {"pnginfo": info}
    image = portrait().crop((0, 0, 300, 200))
    data = encode(image, kind, **options)
    assert b'tiff:Orientation="6"' in data
    assert read_photo(data).pixels.shape == (200, 300, 3)
    opened = Image.new("RGB", (3, 2))
    opened.info["xmp"] = xmp
    assert read_photo(opened).pixels.shape == (2, 3, 3)
