"""Texts and arrays given for photos: taken, or named with the line that turns them into what is taken."""

import base64
import io
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import encode, portrait, sentence

from mien.pipeline.images import PhotoSource, name_of, read_photo

JPEG = encode(portrait(), "JPEG")
PHOTO = read_photo(JPEG).pixels
TEXT = base64.b64encode(JPEG).decode()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "The path of a photo is empty"),
        (TEXT, "<base64 text> is not a path; give base64.b64decode(text)"),
        (TEXT[:300], "<base64 text> is not a path"),
        (f"data:image/jpeg;base64,{TEXT}", "<data: URL> is not a path; give base64.b64decode"),
        ("https://example.org/a.jpg", "https://example.org/a.jpg is an address, and mien fetches nothing"),
        ("http://example.org/" + "a" * 3000, "is an address, and mien fetches nothing"),
    ],
)
def test_texts_that_are_no_path_are_named_and_not_quoted_at_length(text: str, named: str) -> None:
    assert named in sentence(text)
    assert len(sentence(text)) < 300


def test_base64_is_called_so_in_results_too() -> None:
    assert name_of(TEXT) == "<base64 text>"
    assert name_of(f"data:image/jpeg;base64,{TEXT}") == "<data: URL>"
    assert name_of("family.jpg") == "family.jpg"


@pytest.mark.parametrize("spoilt", ["{}\n", " {}", "'{}'", '"{}"\n'])
def test_quotes_and_line_breaks_around_a_path_are_named(tmp_path: Path, spoilt: str) -> None:
    path = tmp_path / "a.jpg"
    assert "leave out the quotes, spaces or line breaks" in sentence(spoilt.format(path))
    path.write_bytes(JPEG)
    assert f"but {path} does; leave out" in sentence(spoilt.format(path))


def test_bytes_that_are_a_path_or_base64_are_named() -> None:
    assert sentence(b"family.jpg").startswith("<bytes> is a path, not a picture")
    assert sentence(TEXT.encode()).startswith("<bytes> is a picture as base64 text")


def test_path_in_the_other_unicode_form_is_found(tmp_path: Path) -> None:
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        path = tmp_path / unicodedata.normalize(form, f"Zoë{form}.jpg")  # type: ignore[arg-type]  # one of two
        path.write_bytes(JPEG)
        given = str(tmp_path / unicodedata.normalize(other, f"Zoë{form}.jpg"))  # type: ignore[arg-type]
        assert read_photo(given).name == given


def test_file_addresses_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "a photo.jpg"
    path.write_bytes(JPEG)
    assert read_photo(path.as_uri()).width == 512


def test_grey_and_transparent_arrays_are_taken() -> None:
    assert np.array_equal(read_photo(PHOTO[..., :1]).pixels, np.dstack([PHOTO[..., 0]] * 3))
    opaque = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, np.uint8)])
    assert np.array_equal(read_photo(opaque).pixels, PHOTO)
    assert (read_photo(np.zeros((4, 5, 4), np.uint8)).pixels == 255).all()


@pytest.mark.parametrize(
    "given",
    [
        PHOTO / 255,
        (PHOTO / 255).astype(np.float32),
        PHOTO.astype(np.float64),
        PHOTO.astype(np.int64),
        PHOTO.astype(np.uint16) * 257,
        PHOTO / 127.5 - 1,
        PHOTO.transpose(2, 0, 1),
    ],
)
def test_line_that_the_sentence_names_makes_what_is_taken(given: np.ndarray[Any, Any]) -> None:
    line = sentence(given).rpartition("give ")[2].rstrip(".")
    assert np.array_equal(read_photo(eval(line, {"x": given})).pixels, PHOTO)


def test_line_for_truth_values_makes_what_is_taken() -> None:
    line = sentence(PHOTO[..., 0] > 100).rpartition("give ")[2].rstrip(".")
    assert set(np.unique(read_photo(eval(line, {"x": PHOTO[..., 0] > 100})).pixels)) == {0, 255}


def test_tensors_get_their_line() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not at hand")
    given = torch.from_numpy(PHOTO.copy()).permute(2, 0, 1).float() / 255
    line = sentence(given).partition("give ")[2].partition(" if ")[0]
    assert np.array_equal(read_photo(eval(line, {"x": given})).pixels, PHOTO)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ([PHOTO], "use predict_many"),
        (open, "not <builtin_function_or_method>"),
        (np.array(["a.jpg"]), "<U5"),
    ],
)
def test_other_things_are_named(source: PhotoSource, named: str) -> None:
    assert named in sentence(source)


def test_open_file_is_read_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    with (tmp_path / "a.jpg").open("rb") as file:
        photo = read_photo(file)
    assert (photo.name, photo.width) == (str(tmp_path / "a.jpg"), 512)


def test_bytes_in_memory_are_read_like_a_file() -> None:
    photo = read_photo(io.BytesIO(JPEG))
    assert (photo.name, photo.width) == ("<file>", 512)


def test_open_file_of_text_gets_the_cure(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a photo")
    with (tmp_path / "a.txt").open() as file:
        assert "open it in binary mode: open(path, 'rb')" in sentence(file)


def test_closed_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    file = (tmp_path / "a.jpg").open("rb")
    file.close()
    assert f"{tmp_path}/a.jpg cannot be read" in sentence(file)
