"""Files that are cut short or spoiled: what can be read of them, and what is refused."""

import zlib

import numpy as np
import pytest
from pictures import chunk, difference, encode, portrait, sentence, tiff, with_chunks
from PIL import Image

from mien import Predictor
from mien.errors import ImageError
from mien.pipeline.images import read_photo

PHOTO = np.asarray(portrait())
JPEG = encode(portrait(), "JPEG", quality=95)
PROGRESSIVE = encode(portrait(), "JPEG", quality=95, progressive=True)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor()


@pytest.mark.parametrize(
    "appended", [b"", b"x" * 3000, bytes(5000), JPEG], ids=["none", "text", "zeros", "JPEG"]
)
def test_jpeg_without_its_end_mark_is_whole(appended: bytes) -> None:
    photo = read_photo(JPEG[:-2] + appended)
    assert photo.intact is None
    assert np.array_equal(photo.pixels, read_photo(JPEG).pixels)


@pytest.mark.parametrize("filler", [b"", bytes(20_000), bytes(400_000), JPEG])
def test_cut_jpeg_says_which_part_is_there(filler: bytes) -> None:
    photo = read_photo(JPEG[: len(JPEG) * 6 // 10] + filler, damaged=True)
    assert photo.intact is not None and photo.intact[:3] == (0, 0, 512)
    assert 200 < (end := photo.intact[3]) < 400
    assert np.array_equal(photo.pixels[: end - 16], read_photo(JPEG).pixels[: end - 16])


def test_part_that_is_there_turns_with_the_photo() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    data = encode(portrait(), "JPEG", quality=95, exif=exif)
    photo = read_photo(data[: len(data) * 6 // 10], damaged=True)
    assert photo.intact is not None
    assert photo.intact[:2] == (0, 0) and photo.intact[3] == 512 and 200 < photo.intact[2] < 400
    exif[0x0112] = 6
    data = encode(portrait(), "JPEG", quality=95, exif=exif)
    photo = read_photo(data[: len(data) * 6 // 10], damaged=True)
    assert photo.intact is not None and 100 < photo.intact[0] < 300 and photo.intact[1:] == (0, 512, 512)


def test_cut_progressive_jpeg_is_coarse_but_all_there() -> None:
    photo = read_photo(PROGRESSIVE[: len(PROGRESSIVE) * 6 // 10], damaged=True)
    assert photo.intact == (0, 0, 512, 512)
    assert np.abs(photo.pixels.astype(int) - PHOTO).mean() < 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_as_far_as_readers_allow_so_are_other_formats(kind: str) -> None:
    data = tiff(PHOTO) if kind == "TIFF" else encode(portrait(), kind)
    if kind == "TIFF":  # its directory must come first
        data = encode(portrait(), kind)
    photo = read_photo(data[: len(data) * 6 // 10], damaged=True)
    assert photo.intact is not None and photo.intact[:3] == (0, 0, 512)
    end = photo.intact[3]
    assert 250 < end < 350 and np.array_equal(photo.pixels[: end - 1], PHOTO[: end - 1])


def test_interlaced_png_that_is_cut_is_refused() -> None:
    data = encode(portrait(), "PNG")
    interlaced = data[:28] + b"\1" + data[29:]
    assert "damaged" in sentence(interlaced[: len(data) // 2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF", "JPEG2000"])
def test_photo_is_refused_where_damage_is_not_asked_for(kind: str) -> None:
    data = encode(portrait(), kind)
    assert "damaged or cut short" in sentence(data[: len(data) // 2])


def test_face_in_the_part_that_is_there_is_answered_and_flagged(predictor: Predictor) -> None:
    [whole] = predictor.predict(JPEG)
    [face] = predictor.predict(JPEG[: len(JPEG) * 7 // 10])
    assert face.flags == ("damaged",) and whole.flags == ()
    assert abs(face.age.years - whole.age.years) < 0.5
    assert face.gender.label == whole.gender.label


@pytest.mark.parametrize("share", [26, 5])
def test_photo_whose_face_is_not_there_is_refused(predictor: Predictor, share: int) -> None:
    cut = JPEG[: len(JPEG) * share // 100]
    with pytest.raises(ImageError, match="damaged or cut short, and the readable part shows no whole face"):
        predictor.predict(cut)
    [result] = predictor.predict_many([cut], faces="aligned")
    assert result.error is not None and "no whole face" in result.error
    assert isinstance(result.failure, ImageError)


@pytest.mark.parametrize(
    ("old", "new"), [(b"\n", b"\r\n"), (b"\r", b""), (b"\n", b"")], ids=["put in", "no returns", "no feeds"]
)
@pytest.mark.parametrize("header", [True, False])
def test_jpeg_changed_by_a_transfer_as_text_is_named(old: bytes, new: bytes, header: bool) -> None:
    start = 0 if header else JPEG.index(b"\xff\xda")
    spoiled = JPEG[:start] + JPEG[start:].replace(old, new)
    assert "changed by a transfer as text" in sentence(spoiled)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_picture_decoded_as_text_is_named(kind: str) -> None:
    spoiled = encode(portrait(), kind).decode("utf-8", "replace").encode()
    assert "changed by a transfer as text" in sentence(spoiled)


def test_plain_jpeg_is_not_taken_for_one_changed_by_a_transfer() -> None:
    for colour in ("white", "grey", "red"):
        assert read_photo(encode(Image.new("RGB", (3000, 3000), colour), "JPEG")).width == 3000


PNG = encode(portrait(), "PNG")
BIG_TEXT = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"a" * 5_000_000))


@pytest.mark.parametrize(
    "extra",
    [
        BIG_TEXT,
        chunk(b"iTXt", b"workflow\0\0\0\0\0" + b"{}" * 3_000_000),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(5_000_000))),
        chunk(b"tEXt", b"Comment\0hello")[:-1] + b"?",
        chunk(b"pHYs", b"wrong"),
        b"\0\1\0\0tEXtComment\0hello\0\0\0\0",
        b"\0\0\0\3tEXtComment\0hello\0\0\0\0",
        chunk(b"eXIf", b"nonsense"),
        chunk(b"acTL", b"\0\0\0\0\0\0\0\0"),
    ],
    ids=["zTXt", "iTXt", "iCCP", "checksum", "pHYs", "too long", "too short", "eXIf", "acTL"],
)
def test_what_else_a_png_carries_does_not_spoil_it(extra: bytes) -> None:
    assert difference(with_chunks(PNG, extra), PHOTO) == 0
    assert difference(PNG[:-12] + extra + PNG[-12:], PHOTO) == 0


def test_png_without_its_end_chunk_is_whole() -> None:
    photo = read_photo(PNG[:-12])
    assert photo.intact is None and np.array_equal(photo.pixels, PHOTO)


def test_orientation_of_a_png_is_kept_wherever_it_stands() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    for data in (with_chunks(PNG, chunk(b"eXIf", body)), PNG[:-12] + chunk(b"eXIf", body) + PNG[-12:]):
        assert np.array_equal(read_photo(data).pixels, np.rot90(PHOTO, -1))
