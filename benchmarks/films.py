"""Measure the speed of ``mien annotate`` on a film, compared with decoding: ``python benchmarks/films.py``.

The film is made from the tests' portraits: 1280×720 at 25 frames per second, with two people who walk past
each other. Times are CPU times of all processes of a run together, so that they are also valid on a busy
machine. The start of a run, measured on a film of one frame, is subtracted.
"""

import argparse
import itertools
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
SIZE, RATE = (1280, 720), 25
MIEN = [sys.executable, "-c", "from mien.cli import main; main()", "annotate"]
DECODE = """
import sys, av
with av.open(sys.argv[1]) as film:
    film.streams.video[0].thread_type = "AUTO"
    for frame in film.decode(video=0):
        pass
"""


def pictures() -> Iterator[np.ndarray]:
    """Yield an endless series of frames in which two people walk back and forth."""
    people = []
    for name in ("B001270", "J000294"):
        with Image.open(ROOT / "tests" / "photos" / f"{name}.jpg") as image:
            people.append(image.convert("RGB").resize((320, 400)))
    grain = np.random.default_rng(0).normal(110, 6, (SIZE[1], SIZE[0], 1)).clip(0, 255).astype(np.uint8)
    room = Image.fromarray(grain.repeat(3, 2))
    for i in itertools.count():
        way = 960 - abs(6 * i % 1920 - 960)
        canvas = room.copy()
        canvas.paste(people[1], (960 - way, 80))
        canvas.paste(people[0], (way, 240))
        yield np.asarray(canvas)


def write_film(path: Path, frames: int) -> None:
    """Encode a number of frames as H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for picture in itertools.islice(pictures(), frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def seconds(command: Sequence[str]) -> float:
    """Run a command; return its CPU time in seconds, with the processes that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=500, help="of the film (default: 500)")
    frames = parser.parse_args().frames
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film, single = folder / "film.mp4", folder / "single.mp4"
        write_film(film, frames)
        write_film(single, 1)
        runs = {
            "decoding alone": ([sys.executable, "-c", DECODE], frames),
            "`mien annotate`": (MIEN, -(-frames // 5)),
            "`… --every 0`": ([*MIEN, "--every", "0"], frames),
            "`… --every 0 --no-rotate`": ([*MIEN, "--every", "0", "--no-rotate"], frames),
            "`… --save marked.mp4`": ([*MIEN, "--save", f"{folder}/marked.mp4"], -(-frames // 5)),
        }
        print("| what | frames looked at | of the film's frames, a second of the processor | × real time |")
        print("| --- | ---: | ---: | ---: |")
        for i, (what, (command, looked)) in enumerate(runs.items()):
            spent = []
            for path in (single, film):
                output = [] if command[-1] == DECODE else ["--quiet", "--output", f"{folder}/{i}-{path.stem}"]
                spent.append(seconds([*command, str(path), *output]))
            rate = (frames - 1) / (spent[1] - spent[0])
            print(f"| {what} | {looked} | {rate:.0f} | {rate / RATE:.1f} |", flush=True)


if __name__ == "__main__":
    main()
