"""Photos decoded no larger than needed: where faces lie, what their chips show, and what is refused."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import bomb, encode
from PIL import Image

from mien import Predictor
from mien.errors import ImageError, PhotoTooLargeError
from mien.pipeline.align import transform_of_crop, transform_of_face
from mien.pipeline.detect import AdjustableDetector, MienDetector
from mien.pipeline.images import OpenPhoto, Photo, Pixels, open_photo, read_photo
from mien.pipeline.reduction import face_in_whole, reduction_to_cut, reduction_to_see, transform_of_reduced
from mien.results import Box, Face


class Fixed(AdjustableDetector):
    """Sees a face of one size in whatever it is given."""

    longest_side = 640

    def __init__(self, side: int, width: int) -> None:
        self.side, self.width = side, width
        self.seen: list[tuple[int, ...]] = []

    def detect(self, photo: Pixels) -> list[Face]:
        self.seen.append(photo.shape)
        scale = photo.shape[1] / self.width
        corner, side = 500 * scale, self.side * scale
        return [Face(Box(corner, corner, corner + side, corner + side), 1.0)]


@pytest.fixture
def reductions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Those that photos are read at."""
    read: list[int] = []
    reading = OpenPhoto.reading

    @contextmanager
    def noted(self: OpenPhoto, reduction: int = 1, *, damaged: bool = False) -> Iterator[Photo]:
        read.append(reduction)
        with reading(self, reduction, damaged=damaged) as photo:
            yield photo

    monkeypatch.setattr(OpenPhoto, "reading", noted)
    return read


@pytest.fixture(scope="module")
def large(astronaut: Path) -> Image.Image:
    """A portrait of six megapixels."""
    return Image.open(astronaut).convert("RGB").resize((2600, 2600), Image.Resampling.BICUBIC)


def noise(width: int, height: int, **options: Any) -> bytes:
    blocks = np.random.default_rng(0).integers(0, 256, (height // 50, width // 50, 3), np.uint8)
    return encode(
        Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC), "JPEG", **options
    )


def oriented(image: Image.Image, orientation: int) -> bytes:
    undone = {6: Image.Transpose.ROTATE_90, 3: Image.Transpose.ROTATE_180, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image.transpose(undone[orientation]) if orientation > 1 else image
    return encode(stored, "JPEG", exif=exif, quality=90)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_large_photo_gets_the_answer_of_the_whole_one(
    large: Image.Image, orientation: int, reductions: list[int]
) -> None:
    data = oriented(large.crop((0, 0, 2600, 2100)), orientation)
    predictor = Predictor()
    reduced = predictor.predict(data)
    assert reductions == [2]
    whole = predictor.predict(read_photo(data))
    assert reduced.size == whole.size == (2600, 2100)
    for face, other in zip(reduced, whole, strict=True):
        assert [*face.box] == pytest.approx([*other.box], abs=6)
        assert np.array(face.landmarks) == pytest.approx(np.array(other.landmarks), abs=6)
        assert face.age.years == pytest.approx(other.age.years, abs=2)
        assert face.flags == other.flags


@pytest.mark.parametrize(("side", "read"), [(1000, [2]), (100, [2]), (60, [2, 1])])
def test_faces_whose_chips_would_be_enlarged_are_read_once_more(
    tiny_model: Path, side: int, read: list[int], reductions: list[int]
) -> None:
    predictor = Predictor(tiny_model, Fixed(side, 2600), rotate=False)
    assert [*predictor.predict(noise(2600, 2000))[0].box] == [500, 500, 500 + side, 500 + side]
    assert reductions == read  # the tiny model's chips have 48 pixels


def test_chips_of_what_is_read_once_more_are_those_of_the_whole_photo(tiny_model: Path) -> None:
    data = noise(2600, 2000)
    predictor = Predictor(tiny_model, Fixed(40, 2600), rotate=False)
    asked = predictor.complete()
    (chip,) = predictor._read_and_prepare(data, asked).chips
    (expected,) = predictor._read_and_prepare(read_photo(data), asked).chips
    assert np.array_equal(chip, expected)


def test_chips_of_a_reduced_photo_differ_little(large: Image.Image, tiny_model: Path) -> None:
    data = encode(large, "JPEG", quality=90)
    predictor = Predictor(tiny_model, Fixed(1500, 2600), rotate=False)
    asked = predictor.complete()
    chips = [predictor._read_and_prepare(source, asked).chips[0] for source in (data, read_photo(data))]
    assert np.abs(chips[0].astype(int) - chips[1]).mean() < 1


def test_another_detector_gets_the_whole_photo(tiny_model: Path) -> None:
    class Own:
        def detect(self, photo: Pixels) -> list[Face]:
            assert photo.shape == (2000, 2600, 3)
            return []

    assert len(Predictor(tiny_model, Own(), rotate=False).predict(noise(2600, 2000))) == 0


def test_a_longer_side_asked_for_is_seen(tiny_model: Path) -> None:
    detector = Fixed(1000, 2600)
    Predictor(tiny_model, detector, rotate=False).predict(noise(2600, 2000))
    assert detector.seen == [(1000, 1300, 3)]
    assert reduction_to_see((2600, 2000), detector.with_longest_side(1000)) < 2


def test_tiles_of_a_panorama_are_seen_as_large_as_a_photo() -> None:
    detector = MienDetector()
    assert reduction_to_see((12800, 2560), detector) == 4
    assert reduction_to_see((1000, 800), detector) == 1


def test_aligned_faces_of_data_sets_are_read_whole(tiny_model: Path, reductions: list[int]) -> None:
    Predictor().predict(noise(200, 200), faces="aligned")
    assert reductions == [1]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
def test_other_formats_are_read_whole(kind: str) -> None:
    opened = open_photo(encode(Image.new("RGB", (400, 300)), kind))
    assert opened.reduction(8) == 1


def test_photos_of_108_megapixels_are_looked_at(tiny_model: Path) -> None:
    data = encode(Image.new("L", (12000, 9000), 128), "JPEG")
    assert Predictor(tiny_model).predict(data).size == (12000, 9000)
    with pytest.raises(PhotoTooLargeError, match="more than 100 megapixels"):
        read_photo(data)


@pytest.mark.parametrize("progressive", [False, True])
def test_limits_are_judged_by_what_is_decoded(tiny_model: Path, progressive: bool) -> None:
    data = noise(2000, 1500, progressive=progressive)
    for limit, fits in ((3_000_000, True), (800_000, not progressive), (700_000, False)):
        predictor = Predictor(tiny_model, max_pixels=limit)
        if fits:
            assert predictor.predict(data).size == (2000, 1500)
        else:
            with pytest.raises(PhotoTooLargeError, match="megapixels; scale it down first"):
                predictor.predict(data)


def test_a_second_reading_keeps_the_limit(tiny_model: Path, reductions: list[int]) -> None:
    predictor = Predictor(tiny_model, Fixed(40, 2600), rotate=False, max_pixels=2_000_000)
    assert len(predictor.predict(noise(2600, 2000))) == 1
    assert reductions == [2]


@pytest.mark.parametrize("size", [(30_000, 30_000)])
def test_bombs_are_refused_from_the_header(size: tuple[int, int], tiny_model: Path) -> None:
    data = bytearray(encode(Image.new("RGB", (16, 16)), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = size[1].to_bytes(2, "big") + size[0].to_bytes(2, "big")
    with pytest.raises(PhotoTooLargeError, match="more than 400 megapixels"):
        Predictor(tiny_model).predict(bytes(data))
    with pytest.raises(PhotoTooLargeError, match="more than 100 megapixels"):
        Predictor(tiny_model).predict(bomb(*size))


def test_what_is_left_of_a_cut_photo_is_told_in_its_own_pixels() -> None:
    data = noise(2600, 2000, quality=95)
    opened = open_photo(data[: len(data) * 2 // 3])
    with opened.reading(1, damaged=True) as whole, pytest.raises(ImageError), opened.reading(2):
        pass
    with opened.reading(4, damaged=True) as reduced:
        assert reduced.pixels.shape == (500, 650, 3)
        assert (reduced.width, reduced.height) == (whole.width, whole.height) == (2600, 2000)
        assert whole.intact is not None and reduced.intact is not None
        assert np.array(reduced.intact) == pytest.approx(np.array(whole.intact), abs=32)


def test_sides_that_are_no_multiples_are_those_of_the_file() -> None:
    with open_photo(noise(2603, 2001)).reading(8) as photo:
        assert photo.pixels.shape == (251, 326, 3)
        assert (photo.width, photo.height) == (2603, 2001)


def test_a_thin_photo_is_not_reduced_to_nothing() -> None:
    assert open_photo(encode(Image.new("RGB", (4000, 3)), "JPEG")).reduction(8) == 2


def test_a_phones_photo_with_a_second_picture_is_reduced_too() -> None:
    buffer = io.BytesIO()
    first, second = (Image.new("RGB", (1600, 1200), colour) for colour in ("red", "blue"))
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    with open_photo(buffer.getvalue()).reading(4) as photo:
        assert photo.pixels.shape == (300, 400, 3)
        assert photo.pixels[150, 200] == pytest.approx((254, 0, 0), abs=3)


def test_a_face_and_its_transform_lead_to_the_same_chip() -> None:
    points = ((30.0, 40.0), (70.0, 40.0), (50.0, 60.0), (35.0, 80.0), (65.0, 80.0))
    face = Face(Box(10, 20, 90, 100), 0.9, points)
    whole = face_in_whole(face, 4)
    assert [*whole.box] == [40, 80, 360, 400]
    geometry = Predictor().model.metadata.geometry
    expected = transform_of_face(face, geometry)
    found = transform_of_reduced(transform_of_face(whole, geometry), 4)
    assert found == pytest.approx(expected)


def test_no_face_asks_for_no_second_reading() -> None:
    assert reduction_to_cut([], 96) == np.inf
    assert reduction_to_cut([transform_of_crop(960, 960)], 96) == pytest.approx(10)
