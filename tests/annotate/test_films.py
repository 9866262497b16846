"""Films through ``mien annotate``: who is followed, and what becomes of films that are odd or broken."""

import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from annotate_fakes import copies
from film_fakes import MAN, WOMAN, crossing, panned, portrait, scene, write_film, write_sound
from PIL import Image
from pyarrow import dataset
from typer.testing import CliRunner, Result

from mien import Predictor, fuse
from mien.annotate.frames import Film, Frame
from mien.cli import app

Run = Callable[..., Result]


@pytest.fixture
def mien(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    options = ["annotate", "--model", str(tiny_model), "--no-rotate"]
    return lambda *arguments: CliRunner().invoke(app, [*options, *map(str, arguments)])


def rows(table: str) -> list[dict[str, Any]]:
    """A table in the order in which it was written."""
    return list(dataset.dataset(f"out/{table}", format="parquet").to_table().to_pylist())


def test_people_who_cross_keep_their_tracks(mien: Run) -> None:
    write_film(Path("clip.mp4"), crossing())
    assert mien("clip.mp4", "--output", "out").exit_code == 0
    tops = defaultdict(list)
    for face in rows("faces"):
        tops[face["track"]].append(face["box"][1])
    assert sorted(tops) == [1, 2]
    assert all(max(heights) - min(heights) < 15 for heights in tops.values())  # each walks at its own height


def test_a_film_gives_rows_with_time_frame_and_track(mien: Run) -> None:
    write_film(Path("clip.mp4"), panned())
    done = mien("clip.mp4", "--output", "out", "--every", "500ms")
    assert (done.exit_code, done.stderr) == (0, "")
    faces, [track], [film] = rows("faces"), rows("tracks"), rows("photos")
    assert [(face["time"], face["frame"]) for face in faces] == [
        (0, 0),
        (pytest.approx(0.52), 13),
        (pytest.approx(1.0), 25),
        (pytest.approx(1.52), 38),
    ]
    assert [face["track"] for face in faces] == [1] * 4
    assert (track["first"], track["last"], track["frames"]) == (0, faces[-1]["time"], 4)
    assert min(face["age"] for face in faces) <= track["age"] <= max(face["age"] for face in faces)
    best = faces[[face["time"] for face in faces].index(track["best_time"])]
    assert (track["box"], track["best_frame"]) == (best["box"], best["frame"])
    assert (film["photo"], film["width"], film["height"], film["frames"]) == ("clip.mp4", 640, 360, 4)
    assert "1 film looked at" in done.stdout
    assert "4 frames, 1 track" in done.stdout


def test_a_track_is_what_fuse_says_of_its_faces(mien: Run, tiny_model: Path) -> None:
    write_film(Path("clip.mp4"), panned(frames=10))
    mien("clip.mp4", "--output", "out", "--every", "0", "--distribution")
    with av.open("clip.mp4") as film:
        frames = [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in film.decode(video=0)]
    results = Predictor(tiny_model, rotate=False).predict_many(frames, distribution=True)
    expected = fuse(result[0] for result in results).to_json()["age"]
    [track] = rows("tracks")
    assert (track["age"], track["low"], track["high"]) == (
        expected["years"],
        expected["low"],
        expected["high"],
    )
    assert len(track["distribution"]) == len(expected["distribution"])


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_that_the_film_asks_for_is_heeded(mien: Run, rotation: int) -> None:
    upright = list(panned(frames=6))
    write_film(Path("upright.mp4"), upright)
    turned = (picture.rotate(-rotation, expand=True) for picture in upright)
    write_film(Path("turned.mp4"), turned, rotation=rotation)
    mien("upright.mp4", "turned.mp4", "--output", "out")
    faces: dict[str, list[float]] = defaultdict(list)
    for face in rows("faces"):
        faces[face["photo"]] += face["box"]
    assert faces["turned.mp4"] == pytest.approx(faces["upright.mp4"], abs=4)
    assert {(film["width"], film["height"]) for film in rows("photos")} == {(640, 360)}


def test_pixels_that_are_not_square_are_made_so(mien: Run) -> None:
    upright = list(panned(frames=6))
    write_film(Path("square.mp4"), upright)
    write_film(Path("wide.mp4"), (picture.resize((320, 360)) for picture in upright), stretch=2)
    mien("square.mp4", "wide.mp4", "--output", "out")
    faces: dict[str, list[float]] = defaultdict(list)
    for face in rows("faces"):
        faces[face["photo"]] += face["box"]
    assert faces["wide.mp4"] == pytest.approx(faces["square.mp4"], abs=6)


def test_a_playlist_with_the_name_of_a_film_opens_no_connection(mien: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        Path("list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n")
        done = mien("list.mp4", "--output", "out")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert done.exit_code == 1
    assert done.stderr.startswith("mien: list.mp4 ")


def test_a_variable_frame_rate_is_looked_at_by_time(mien: Run) -> None:
    times = [0, 0.01, 0.02, 0.9, 0.95, 1.7, 3.0, 3.01]
    write_film(Path("clip.mkv"), panned(frames=len(times)), times=times)
    mien("clip.mkv", "--output", "out", "--every", "0.5s")
    assert [face["time"] for face in rows("faces")] == pytest.approx([0, 0.9, 1.7, 3.0], abs=0.002)


def test_nobody_is_followed_over_a_cut(mien: Run) -> None:
    woman = [scene((portrait(WOMAN), 200, 60))] * 25
    bright = Image.new("RGB", (640, 360), (230, 230, 230))
    bright.paste(portrait(MAN), (200, 60))
    write_film(Path("clip.mp4"), [*woman, *[bright] * 25])
    mien("clip.mp4", "--output", "out")
    assert [(track["first"], track["frames"]) for track in rows("tracks")] == [(0, 5), (1, 5)]


def test_a_broken_middle_is_passed_over(mien: Run) -> None:
    data = bytearray(write_film(Path("clip.ts"), panned(frames=150), codec="mpeg2video").read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 10] = bytes(len(data) // 10)
    Path("broken.ts").write_bytes(data)
    done = mien("broken.ts", "--output", "out")
    assert done.exit_code == 0
    assert done.stderr.startswith("mien: broken.ts is damaged: ")
    times = [face["time"] for face in rows("faces")]
    assert min(times) < 1
    assert max(times) > 5


def test_a_film_that_breaks_off_is_named(mien: Run) -> None:
    whole = write_film(Path("whole.mkv"), panned(frames=150)).read_bytes()
    Path("half.mkv").write_bytes(whole[: len(whole) // 2])
    done = mien("half.mkv", "--output", "out")
    assert done.exit_code == 0
    assert re.match(
        r"mien: half.mkv breaks off after [1-4]\.\d of 6\.0 seconds; copy it again\.", done.stderr
    )


BAD = {
    "text.mp4": "text.mp4 is damaged, cut short or no film; copy it again.",
    "cut.mp4": "cut.mp4 is damaged, cut short or no film; copy it again.",
    "empty.mp4": "empty.mp4 is damaged, cut short or no film; copy it again.",
    "sound.mp4": "sound.mp4 has no video in it, at most sound; name a film.",
    "blank.avi": "blank.avi has no frame that can be read; copy it again.",
}


def bad_films() -> None:
    Path("text.mp4").write_text("no film")
    Path("empty.mp4").touch()
    Path("cut.mp4").write_bytes(write_film(Path("whole.mp4"), panned(frames=25)).read_bytes()[:4000])
    write_sound(Path("sound.mp4"))
    with av.open("blank.avi", "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()


def test_films_that_cannot_be_read_are_rows_and_the_rest_goes_on(mien: Run) -> None:
    bad_films()
    done = mien(*BAD, "whole.mp4", "--output", "out")
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [f"mien: {sentence}" for sentence in BAD.values()]
    assert {film["photo"]: film["error"] for film in rows("photos")} == {**BAD, "whole.mp4": None}
    assert {face["photo"] for face in rows("faces")} == {"whole.mp4"}


def test_a_film_that_is_done_is_passed_over(mien: Run) -> None:
    write_film(Path("clip.mp4"), panned(frames=6))
    mien("clip.mp4", "--output", "out")
    before = rows("faces")
    write_film(Path("other.mp4"), panned(MAN, frames=6))
    done = mien("./clip.mp4", "other.mp4", "--output", "out")
    assert "1 film had been done before." in done.stdout
    assert [film["photo"] for film in rows("photos")] == ["clip.mp4", "other.mp4"]
    assert rows("faces")[: len(before)] == before


def test_what_a_killed_run_left_of_a_film_is_removed(mien: Run) -> None:
    write_film(Path("clip.mp4"), panned(frames=6))
    write_film(Path("other.mp4"), panned(frames=6))
    mien("clip.mp4", "--output", "out")
    for table in ("faces", "tracks"):
        part = Path("out") / table / "part-000000.parquet"
        part.with_name("part-000001.parquet").write_bytes(part.read_bytes())
        Path("out", f".{table}.partial.parquet").write_bytes(b"half")
    mien("other.mp4", "--output", "out")
    assert [track["photo"] for track in rows("tracks")] == ["clip.mp4", "other.mp4"]
    assert not list(Path("out").glob(".*.partial*"))


def test_a_stopped_film_starts_anew(mien: Run, tiny_model: Path) -> None:
    write_film(Path("clip.mp4"), panned(frames=400))
    code = "from mien.cli import main; main()"
    arguments = ["annotate", "clip.mp4", "--output", "out", "--every", "0", "--model", str(tiny_model)]
    run = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True)
    while not Path("out", ".faces.partial.parquet").exists() and run.poll() is None:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    assert run.communicate()[1].startswith("mien: Stopped. ")
    assert run.returncode == 130
    assert not list(Path("out", "photos").glob("*.parquet"))
    assert not list(Path("out").glob(".*.partial*"))


def test_a_camera_is_done_when_it_is_stopped(mien: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_film(Path("clip.mp4"), panned(frames=50))
    frames = Film.frames

    def until_stopped(film: Film, every: float) -> Iterator[Frame]:
        for i, frame in enumerate(frames(film, every)):
            if i == 4:
                os.kill(os.getpid(), signal.SIGINT)
            yield frame

    for module in ("film_reader", "film_run", "frames"):
        monkeypatch.setattr(f"mien.annotate.{module}.is_camera", lambda place: True)
    monkeypatch.setattr(Film, "open", lambda film: av.open(film.place))
    monkeypatch.setattr(Film, "frames", until_stopped)
    done = mien("clip.mp4", "--output", "out")
    assert done.exit_code == 0
    [film], [track] = rows("photos"), rows("tracks")
    assert film["photo"].startswith("clip.mp4@20")
    assert (film["frames"], track["frames"]) == (4, 4)


def test_a_film_that_hangs_is_a_row_and_the_rest_goes_on(mien: Run) -> None:
    os.mkfifo("endless.mp4")  # nobody writes into it, so reading it does not end
    write_film(Path("whole.mp4"), panned(frames=6))
    done = mien("endless.mp4", "whole.mp4", "--output", "out", "--time-limit", "2s")
    assert (done.exit_code, done.stderr) == (
        1,
        "mien: endless.mp4 gave no frame for 2 s; encode it anew, or leave it out.\n",
    )
    assert [film["frames"] for film in rows("photos")] == [None, 2]


def test_a_film_that_ends_its_process_is_a_row_and_the_rest_goes_on(mien: Run) -> None:
    os.mkfifo("deadly.mp4")
    write_film(Path("whole.mp4"), panned(frames=6))

    def kill_reader() -> None:
        with Path("deadly.mp4").open("wb"):  # waits for the reader
            for child in multiprocessing.active_children():
                child.kill()

    killer = threading.Thread(target=kill_reader)
    killer.start()
    done = mien("deadly.mp4", "whole.mp4", "--output", "out")
    killer.join()
    assert done.exit_code == 1
    assert done.stderr.startswith("mien: deadly.mp4 ended the process that read it; ")
    assert [film["frames"] for film in rows("photos")] == [None, 2]


def test_a_folder_of_films_is_annotated_as_films(mien: Run) -> None:
    Path("films", "deep").mkdir(parents=True)
    for name in ("b.mp4", "deep/a.mkv"):
        write_film(Path("films", name), panned(frames=6))
    Path("films", "notes.txt").touch()
    assert mien("films", "--output", "out").exit_code == 0
    assert [film["photo"] for film in rows("photos")] == ["films/b.mp4", "films/deep/a.mkv"]


def test_a_folder_of_photos_names_the_films_that_it_leaves_out(mien: Run) -> None:
    write_film(copies(Path("trip"), 2) / "clip.mp4", panned(frames=6))
    done = mien("trip", "--output", "out")
    assert done.exit_code == 0
    assert done.stderr.startswith("mien: trip also holds a film, trip/clip.mp4, skipped here; ")
    assert len(rows("photos")) == 2


def test_a_single_file_has_the_faces(mien: Run) -> None:
    write_film(Path("clip.mp4"), panned(frames=6))
    assert mien("clip.mp4", "--output", "faces.jsonl").exit_code == 0
    faces = [json.loads(line) for line in Path("faces.jsonl").read_text().splitlines()]
    assert [(face["photo"], face["track"]) for face in faces] == [("clip.mp4", 1)] * 2


REFUSED = [
    (["nothing.mp4"], "nothing.mp4 does not exist; check the name of the film."),
    (["99"], "/dev/video99 does not exist; check the name of the camera."),
    (["none-*.mp4"], "Nothing matches none-*.mp4; check the pattern."),
    (["clip.mp4", "photos"], "clip.mp4 is of films and photos is not"),
    (["clip.mp4", "--time-limit", "0"], "the time must be above 0; write 120s."),
    (["clip.mp4", "--save", "clip.mp4"], "clip.mp4 is read and would be overwritten"),
    (["clip.mp4", "--save", "clip.gif"], "clip.gif has to end in .mp4, .mkv, .mov, .m4v or .webm."),
    (["clip.mp4", "clip.mkv", "--save", "marked.mp4"], "--save writes one film"),
    (["clip.mp4", "--engine", "ray"], "films are annotated on this machine"),
    (["clip.mp4", "--every", "soon"], "'soon' is not a time; write 0.2s or 200ms"),
    (["photos", "--every", "1s"], "the sources contain none"),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_wrong_use_is_one_sentence(mien: Run, arguments: list[str], sentence: str, capsys: Any) -> None:
    from mien.errors import MienError

    Path("clip.mp4").touch()
    Path("clip.mkv").touch()
    copies(Path("photos"), 1)
    done = mien(*arguments, "--output", "out")
    said = str(done.exception) if isinstance(done.exception, MienError) else done.stderr
    assert sentence in " ".join(said.replace("│", " ").split())
    assert done.exit_code != 0
    assert not Path("out").exists()
