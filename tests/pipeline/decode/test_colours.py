"""Colours: what a file means by its values, as sRGB; and untouched where it means sRGB."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from pictures import chunk, difference, encode, portrait, tiff, with_chunks
from PIL import Image, ImageCms
from profiles import ADOBE, P3, PROPHOTO, SRGB, Matrix, profile, stored_in

from mien.pipeline.decode.colours import PIECE, boxes
from mien.pipeline.images import read_photo

PHOTO = np.asarray(portrait())
BT2020 = np.array(
    ((0.627404, 0.329283, 0.043313), (0.069097, 0.919540, 0.011362), (0.016391, 0.088013, 0.895595))
)
LOSSLESS: list[tuple[str, dict[str, Any]]] = [
    ("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("JPEG2000", {}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF", "HEIF"])
@pytest.mark.parametrize("space", [(P3, 2.2), (ADOBE, 2.2), (PROPHOTO, 1.8), (SRGB, 1.0)])
def test_profiles_are_brought_to_srgb(kind: str, space: tuple[Matrix, float]) -> None:
    stored = Image.fromarray(stored_in(PHOTO, *space))
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind != "TIFF" else {}
    data = encode(stored, kind, icc_profile=profile(*space), **options)
    assert difference(data, PHOTO) < 3 < 4 < np.abs(np.asarray(stored).astype(int) - PHOTO).mean()


NEARLY = tuple(tuple(value + 0.0002 for value in row) for row in SRGB)
OWN = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
@pytest.mark.parametrize("own", [OWN, profile(NEARLY, None)], ids=["exact", "nearly"])
def test_srgb_stays_bit_for_bit_under_its_own_profile(kind: str, options: dict[str, Any], own: bytes) -> None:
    named = {} if kind == "JPEG2000" else {"icc_profile": own}
    assert np.array_equal(read_photo(encode(portrait(), kind, **options, **named)).pixels, PHOTO)


@pytest.mark.parametrize("broken", [b"x" * 300, profile(P3, 2.2)[:300], profile(P3, 2.2)[:127]])
def test_broken_profiles_are_ignored(broken: bytes) -> None:
    assert difference(encode(portrait(), "PNG", icc_profile=broken), PHOTO) == 0


def test_profile_for_colours_on_a_grey_picture_is_ignored() -> None:
    grey = portrait().convert("L")
    expected = np.asarray(grey.convert("RGB"))
    assert difference(encode(grey, "PNG", icc_profile=profile(P3, 2.2)), expected) == 0


def test_profile_counts_for_palettes_and_transparency_too() -> None:
    image = Image.fromarray(stored_in(PHOTO, SRGB, 1.0))
    clear = image.copy()
    clear.putalpha(255)
    linear = profile(SRGB, 1.0)
    assert difference(encode(clear, "PNG", icc_profile=linear), PHOTO) < 1
    palette = encode(image.quantize(256), "PNG", icc_profile=linear)
    expected = read_photo(encode(image.quantize(256).convert("RGB"), "PNG", icc_profile=linear)).pixels
    assert difference(palette, expected) == 0


def test_profile_of_a_pillow_image_counts() -> None:
    image = Image.fromarray(stored_in(PHOTO, P3, 2.2))
    image.info["icc_profile"] = profile(P3, 2.2)
    assert difference(image, PHOTO) < 1


def test_png_gamma_counts_where_nothing_else_is_said() -> None:
    linear = encode(Image.fromarray(stored_in(PHOTO, SRGB, 1.0)), "PNG")
    gamma, usual = (chunk(b"gAMA", value.to_bytes(4, "big")) for value in (100_000, 45_455))
    assert difference(with_chunks(linear, gamma), PHOTO) < 1
    plain = encode(portrait(), "PNG")
    assert difference(with_chunks(plain, usual), PHOTO) == 0
    assert difference(with_chunks(plain, gamma, chunk(b"sRGB", b"\0")), PHOTO) == 0


def _light() -> npt.NDArray[np.float64]:
    """The photo's linear light in BT.2020's primaries, 203 candela a square metre at white, of 10,000."""
    value = PHOTO / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.asarray(light @ BT2020.T * 203 / 10_000)


def pq() -> npt.NDArray[np.float64]:
    y = _light().clip(0) ** (2610 / 16384)
    return np.asarray(((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32))


def hlg() -> npt.NDArray[np.float64]:
    light = 10 * _light()
    brightness = (light @ (0.2627, 0.6780, 0.0593))[..., None]
    scene = light * brightness.clip(1e-9) ** (1 / 1.2 - 1)
    upper = 0.17883277 * np.log((12 * scene - 0.28466892).clip(1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)


@pytest.mark.parametrize(("values", "transfer"), [(pq(), 16), (hlg(), 18)], ids=["PQ", "HLG"])
class TestHighDynamicRange:
    @pytest.mark.slow
    def test_heic_of_ten_bits(self, values: npt.NDArray[np.float64], transfer: int) -> None:
        deep = np.rint(65535 * values.clip(0, 1)).astype(np.uint16)
        buffer = io.BytesIO()
        pillow_heif.from_bytes("RGB;16", (512, 512), deep.tobytes()).save(
            buffer, quality=98, chroma=444, save_nclx_profile=True, color_primaries=9,
            transfer_characteristics=transfer, matrix_coefficients=9, full_range_flag=1,
        )  # fmt: skip
        assert difference(buffer.getvalue(), PHOTO) < 1.5

    def test_png(self, values: npt.NDArray[np.float64], transfer: int) -> None:
        data = encode(Image.fromarray(np.rint(255 * values).astype(np.uint8)), "PNG")
        assert difference(with_chunks(data, chunk(b"cICP", bytes((9, transfer, 0, 1)))), PHOTO) < 1.5

    def test_avif(self, values: npt.NDArray[np.float64], transfer: int) -> None:
        image = Image.fromarray(np.rint(255 * values).astype(np.uint8))
        data = encode(image, "AVIF", quality=95, subsampling="4:4:4")
        at = data.index(b"colrnclx") + 8
        marked = data[:at] + bytes((0, 9, 0, transfer)) + data[at + 4 :]
        assert difference(marked, PHOTO) < 3.5 < 15 < difference(data, PHOTO)


GREY = np.asarray(portrait().convert("L"))


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_deep_images_with_values_of_eight_bits_are_no_black_ones(kind: type) -> None:
    image = Image.fromarray(GREY.astype(kind))
    assert image.mode.startswith("I")
    assert difference(image, GREY[..., None]) == 0


@pytest.mark.parametrize("factor", [1, 257, 257 * 65537])
def test_unsigned_tiffs_of_32_bits_are_read(factor: int) -> None:
    assert difference(tiff(GREY.astype(np.uint32) * factor), GREY[..., None]) == 0


def test_tiffs_whose_white_is_zero_are_no_negatives() -> None:
    inverted = 65535 - GREY.astype(np.uint16) * 257
    assert difference(tiff(inverted, t262=0), GREY[..., None]) == 0
    assert difference(tiff(255 - GREY, t262=0), GREY[..., None]) == 0


def test_pieces_cover_a_picture_of_any_shape_once() -> None:
    for width, height in ((1, 1), (3 * PIECE, 2), (1000, 3000), (PIECE + 1, 1)):
        assert sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes(width, height)) == width * height


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pieces_are_put_where_they_belong(monkeypatch: pytest.MonkeyPatch, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(portrait().crop((0, 0, 300, 200)), "PNG", exif=exif)
    whole = read_photo(data).pixels
    monkeypatch.setattr("mien.pipeline.decode.colours.PIECE", 97)
    assert np.array_equal(read_photo(data).pixels, whole)
