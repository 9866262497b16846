"""Frames of films, whatever is in the file."""

from pathlib import Path

import numpy as np
import pytest
from film_fakes import panned, write_film
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mien.annotate.frames import Film
from mien.errors import ImageError

ENDINGS = ["mp4", "mkv", "ts", "avi"]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Half a second of film, in several formats."""
    folder = tmp_path_factory.mktemp("films")
    pictures = [picture.resize((160, 90)) for picture in panned(frames=12)]
    codec = {"ts": "mpeg2video", "avi": "mpeg4"}
    return {
        ending: write_film(folder / f"a.{ending}", pictures, codec=codec.get(ending, "libx264")).read_bytes()
        for ending in ENDINGS
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    ending=st.sampled_from(ENDINGS),
    start=st.floats(0, 1),
    noise=st.binary(max_size=200),
    kept=st.floats(0, 1),
)
def test_a_damaged_film_gives_frames_or_a_sentence(
    films: dict[str, bytes], tmp_path: Path, ending: str, start: float, noise: bytes, kept: float
) -> None:
    data = bytearray(films[ending])
    place = int(start * len(data))
    data[place : place + len(noise)] = noise
    path = tmp_path / f"damaged.{ending}"
    path.write_bytes(data[: int((1 - kept**4) * len(data))])  # most are not cut by much
    try:
        for frame in Film(str(path)).frames(0):
            assert frame.pixels.ndim == 3
            assert frame.index < 100
    except ImageError as error:
        assert str(error).startswith(str(path))


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_frame_of_a_whole_film_is_there(films: dict[str, bytes], tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"whole.{ending}"
    path.write_bytes(films[ending])
    film = Film(str(path))
    times = [frame.time for frame in film.frames(0)]
    assert times == pytest.approx([i / 25 for i in range(12)], abs=0.002)
    assert film.note() is None


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_frame_can_be_sought(films: dict[str, bytes], tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"whole.{ending}"
    path.write_bytes(films[ending])
    film = Film(str(path))
    frames = list(film.frames(0))
    sought = list(film.frames_at([frames[7].time, 99.0, frames[2].time]))
    assert [frame.index for frame in sought] == [0, 2]
    assert np.array_equal(sought[0].pixels, frames[7].pixels)
    assert np.array_equal(sought[1].pixels, frames[2].pixels)
