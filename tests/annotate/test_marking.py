"""Films with their people marked."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from film_fakes import panned, write_film
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import dataset
from typer.testing import CliRunner, Result

from mien.annotate import marking
from mien.annotate.frames import Pace
from mien.annotate.marking import Sightings
from mien.cli import app
from mien.draw import AMBER
from mien.results import whole_years

Run = Callable[..., Result]
EVERY = 0.2


@pytest.fixture
def mien(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    options = ["annotate", "--model", str(tiny_model), "--no-rotate"]
    return lambda *arguments: CliRunner().invoke(app, [*options, *map(str, arguments)])


def amber(frame: av.VideoFrame) -> int:
    """Pixels of the colour of labels."""
    return int((np.abs(frame.to_ndarray(format="rgb24").astype(int) - AMBER).max(axis=2) < 30).sum())


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_every_frame_is_kept_and_marked(mien: Run, ending: str) -> None:
    write_film(Path("clip.mp4"), panned(frames=24))
    assert mien("clip.mp4", "--output", "out", "--save", f"marked.{ending}").exit_code == 0
    with av.open("clip.mp4") as film, av.open(f"marked.{ending}") as marked:
        assert [f.time for f in marked.decode(video=0)] == pytest.approx(
            [f.time for f in film.decode(video=0)], abs=0.002
        )
        marked.seek(0)
        assert min(amber(frame) for frame in marked.decode(video=0)) > 2000


def test_a_person_has_one_label_throughout(mien: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[list[str]] = []
    monkeypatch.setattr(marking, "draw_labels", lambda image, boxes, labels: texts.append(labels))
    write_film(Path("clip.mp4"), panned(frames=24))
    mien("clip.mp4", "--output", "out", "--save", "marked.mp4", "--every", "0")
    ages = dataset.dataset("out/faces").to_table()["age"].to_pylist()
    [track] = dataset.dataset("out/tracks").to_table().to_pylist()
    assert len(set(ages)) > 1
    assert texts == [texts[0]] * 24
    assert texts[0][0].startswith(f"#1  apparent age {whole_years(track['age'])} (")


def test_a_film_that_is_done_can_be_marked_later(mien: Run) -> None:
    write_film(Path("clip.mp4"), panned(frames=6))
    mien("clip.mp4", "--output", "out")
    assert mien(Path("clip.mp4").absolute(), "--output", "out", "--save", "marked.mp4").exit_code == 0
    assert Path("marked.mp4").stat().st_size > 1000


def test_a_damaged_film_can_be_marked(mien: Run) -> None:
    data = bytearray(write_film(Path("clip.mp4"), panned(frames=150)).read_bytes())
    middle = len(data) // 2
    for i in range(middle, middle + len(data) // 8):
        data[i] = (7 * data[i] + 13) % 256
    Path("broken.mp4").write_bytes(data)
    done = mien("broken.mp4", "--output", "out", "--save", "marked.mp4")
    assert done.exit_code == 0
    assert done.stderr.startswith("mien: broken.mp4 is damaged: ")
    with av.open("marked.mp4") as marked:
        times = [frame.time or 0.0 for frame in marked.decode(video=0)]
    assert times == sorted(times)
    assert [times[0], times[-1]] == pytest.approx([0, 5.96], abs=0.1)


def test_the_sound_goes_along(mien: Run) -> None:
    write_film(Path("clip.mp4"), panned(frames=24), sound=True)
    mien("clip.mp4", "--output", "out", "--save", "marked.mkv")
    with av.open("marked.mkv") as marked:
        assert [stream.codec_context.name for stream in marked.streams] == ["h264", "aac"]
        heard = sum(frame.samples for frame in marked.decode(audio=0))
    assert heard > 14000


times = st.lists(st.floats(0, 100), min_size=1, max_size=30).map(sorted)


@given(times, st.floats(0.05, 5))
def test_the_first_time_at_or_after_each_multiple_is_picked(given_times: list[float], every: float) -> None:
    pace = Pace(every)
    picked = [time for time in given_times if pace.is_due(time)]
    assert picked[0] == given_times[0]
    assert all(later - every * (earlier // every) >= every - 1e-3 for earlier, later in pairwise(picked))
    for multiple in np.arange(0, given_times[-1], every):
        first = next((time for time in given_times if time >= multiple + 1e-3), None)
        assert first is None or any(multiple - 1e-3 <= time <= first for time in picked)


@given(times)
def test_all_times_are_picked_at_zero(given_times: list[float]) -> None:
    pace = Pace(0)
    assert all(pace.is_due(time) for time in given_times)


corners = st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(101, 200), st.floats(101, 200))


@given(st.lists(st.tuples(st.integers(0, 40), corners), min_size=1, max_size=10, unique_by=lambda s: s[0]))
def test_a_box_lies_between_the_looks_and_only_while_the_person_is_seen(
    looks: list[tuple[int, tuple[float, float, float, float]]],
) -> None:
    looks.sort()
    seen = [(EVERY * tick, 1, box) for tick, box in looks]
    sightings = Sightings(iter(seen), hold=EVERY)
    for time in np.arange(0, 10, 0.07):
        box = sightings.at(float(time)).get(1)
        before = [look for look in seen if look[0] <= time]
        after = [look for look in seen if look[0] > time]
        near = bool(before) and time < before[-1][0] + EVERY - 1e-9
        between = bool(before and after) and after[0][0] - before[-1][0] <= 2.4 * EVERY
        if near or between:
            assert box is not None
        if box is not None:
            assert before
            ends = np.array([before[-1][2], after[0][2] if after else before[-1][2]])
            assert np.all(ends.min(axis=0) - 1e-6 <= np.array(tuple(box)))
            assert np.all(np.array(tuple(box)) <= ends.max(axis=0) + 1e-6)


def test_boxes_move_evenly_however_far_apart_the_looks_are() -> None:
    seen = [(0.0, 1, (0, 0, 10, 10)), (10.0, 1, (100, 0, 110, 10)), (20.0, 1, (200, 0, 210, 10))]
    sightings = Sightings(iter(seen), hold=10)
    assert [sightings.at(time)[1].x1 for time in range(20)] == pytest.approx([10 * i for i in range(20)])
