"""Decoding: every format and mode upright, every bad input one sentence."""

import io
import logging
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import BLUE, GREEN, RED, WHITE, bomb, corners, encode
from PIL import Image, ImageOps

from mien.errors import ImageError
from mien.pipeline.images import EncodedPhoto, PhotoSource, read_photo


def assert_upright(source: PhotoSource, tolerance: int = 12) -> None:
    pixels = read_photo(source).pixels
    assert pixels.shape == (48, 32, 3)
    found = pixels[[12, 12, 36, 36], [8, 24, 8, 24]].astype(int)
    assert np.abs(found - [RED, GREEN, BLUE, WHITE]).max() <= tolerance


def sentence(source: Any) -> str:
    with pytest.raises(ImageError) as caught:
        read_photo(source)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF", "AVIF"])
def test_formats_are_read(kind: str) -> None:
    assert_upright(encode(corners(), kind), tolerance=30)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_photos_are_turned_upright(kind: str, orientation: int) -> None:
    undone = {5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE}
    undone |= {8: Image.Transpose.ROTATE_270, 2: Image.Transpose.FLIP_LEFT_RIGHT}
    undone |= {3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM}
    stored = corners() if orientation == 1 else corners().transpose(undone[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_upright(encode(stored, kind, exif=exif), tolerance=30)


def test_orientation_of_a_pillow_image_is_followed_and_the_image_left_alone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(encode(corners().transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)))
    assert_upright(image)
    assert image.size == (48, 32)
    assert_upright(ImageOps.exif_transpose(image))


def test_damaged_exif_data_does_not_refuse_a_photo() -> None:
    assert_upright(encode(corners(), "PNG", exif=b"Exif\0\0nonsense"))


@pytest.mark.parametrize(
    "mode", ["L", "P", "1", "CMYK", "YCbCr", "LA", "RGBA", "I", "I;16", "F", "HSV", "LAB"]
)
def test_modes_become_rgb(mode: str) -> None:
    assert read_photo(Image.new(mode, (5, 4))).pixels.shape == (4, 5, 3)


def test_cmyk_jpeg_keeps_its_colours() -> None:
    assert_upright(encode(corners().convert("CMYK"), "JPEG", quality=95), tolerance=40)


def test_palette_keeps_its_colours() -> None:
    assert_upright(encode(corners().quantize(8), "PNG"))


def test_sixteen_bit_greys_are_scaled_not_clipped() -> None:
    grey = np.array([[0, 257 * 100, 65535]], np.uint16)
    assert read_photo(encode(Image.fromarray(grey), "PNG")).pixels[0, :, 0].tolist() == [0, 100, 255]


def test_sixteen_bit_colour_is_scaled() -> None:
    rows = b"\0" + struct.pack(">6H", 65535, 257 * 100, 0, 0, 65535, 65535)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    assert read_photo(png).pixels.tolist() == [[[255, 100, 0], [0, 255, 255]]]


def test_floats_up_to_one_are_scaled() -> None:
    grey = np.array([[0, 0.5, 1]], np.float32)
    assert read_photo(Image.fromarray(grey)).pixels[0, :, 0].tolist() == [0, 128, 255]


def test_transparent_parts_show_white() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((1, 1), (0, 0, 255, 255))
    pixels = read_photo(encode(image, "PNG")).pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == [0, 0, 255]


def test_transparent_palette_entries_show_white() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    assert read_photo(encode(image, "PNG", transparency=0)).pixels[0, 0].tolist() == [255, 255, 255]
    assert read_photo(encode(image, "PNG", transparency=b"\0\xff")).pixels[0, 0].tolist() == [255, 255, 255]


def test_gif_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_photo(data).pixels[0, 0].tolist() == [255, 0, 0]


def test_rgb_array_is_taken_as_it_is() -> None:
    array = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    assert np.array_equal(read_photo(array).pixels, array)


def test_grey_array_becomes_rgb() -> None:
    array = np.arange(20, dtype=np.uint8).reshape(4, 5)
    assert np.array_equal(read_photo(array).pixels, np.dstack([array] * 3))


def test_strided_array_becomes_contiguous() -> None:
    assert read_photo(np.zeros((4, 5, 3), np.uint8)[:, ::-1]).pixels.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (np.zeros((4, 5, 3)), "float64"),
        (np.zeros(4, np.uint8), "(4,)"),
        (np.zeros((1, 4, 5, 3), np.uint8), "(1, 4, 5, 3)"),
        (np.zeros((0, 5, 3), np.uint8), "no pixels"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray[Any, Any], named: str) -> None:
    assert named in sentence(array)


def test_other_types_are_refused() -> None:
    assert "not <int>" in sentence(3)


@pytest.mark.parametrize(
    "name", ["photo with space.png", "家族.png", "عائلة.png", "-dash.png", "a\nb.png", "émigré.png"]
)
def test_names_in_any_script_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encode(corners(), "PNG"))
    assert_upright(tmp_path / name)
    assert_upright(str(tmp_path / name))
    assert read_photo(tmp_path / name).name == str(tmp_path / name)


def test_data_without_a_name_has_a_stand_in() -> None:
    assert read_photo(encode(corners(), "PNG")).name == "<bytes>"
    assert read_photo(corners()).name == "<image>"
    assert read_photo(EncodedPhoto("upload.png", encode(corners(), "PNG"))).name == "upload.png"


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert sentence(tmp_path / "no.jpg") == f"{tmp_path / 'no.jpg'} does not exist; check the path."


def test_folder_is_named(tmp_path: Path) -> None:
    assert "is a folder" in sentence(tmp_path)


def test_null_character_in_a_path_is_refused() -> None:
    assert "not a path" in sentence("a\0b")


def test_overlong_path_is_refused() -> None:
    assert "cannot be opened" in sentence("a." * 2500)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may open everything")
def test_file_without_permission_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(encode(corners(), "PNG"))
    path.chmod(0)
    assert "permissions" in sentence(path)


def test_permission_error_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "permissions" in sentence(tmp_path / "secret.png")


def test_empty_file_is_refused() -> None:
    assert "is empty" in sentence(b"")


def test_text_named_as_a_photo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("not a photo")
    assert "not a picture" in sentence(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "HEIF"])
def test_truncated_photo_is_refused(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encode(noise, kind)
    message = sentence(EncodedPhoto("cut.file", data[: len(data) // 2]))
    assert message.startswith("cut.file is ")


@pytest.mark.parametrize("side", [10_001, 30_000])
def test_too_many_pixels_are_refused_from_the_header(side: int) -> None:
    assert "more than 100 megapixels" in sentence(bomb(side, side))


def test_a_single_pixel_is_a_photo() -> None:
    assert read_photo(encode(Image.new("RGB", (1, 1)), "PNG")).pixels.shape == (1, 1, 3)


def test_file_names_stay_out_of_logs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "private-name.jpg"
    path.write_bytes(encode(corners(), "JPEG"))
    with caplog.at_level(logging.DEBUG):
        read_photo(path)
    assert "private-name" not in caplog.text


@given(st.binary(max_size=200), st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"]), st.data())
def test_any_bytes_are_a_photo_or_an_image_error(noise: bytes, kind: str, data: st.DataObject) -> None:
    good = encode(corners(), kind)
    at = data.draw(st.integers(0, len(good)))
    for candidate in (noise, good[:at] + noise + good[at + len(noise) :]):
        try:
            assert read_photo(candidate).pixels.dtype == np.uint8
        except ImageError as error:
            assert str(error)
