"""Measure the photos per second of ``mien annotate`` by number of workers, compared with ``predict_many``.

Run it on an idle machine with Linux: ``python benchmarks/annotate.py [--photos 5000] [--ray]``. The photos
are JPEGs of 0.3 to 12 megapixels with portraits on larger canvases. Times include the start of the processes.
Memory is the peak of all processes together, without Ray's own, in each half of the run; it must not grow.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mien.pipeline.images import read_photo
from mien.processors import processors

ROOT = Path(__file__).parents[1]
PORTRAITS = sorted((ROOT / "tests" / "photos").glob("*.jpg"))
SIZES = ((640, 480), (1024, 768), (1280, 1280), (1080, 1920), (2048, 1536), (4000, 3000))
WEIGHTS = (0.3, 0.2, 0.2, 0.15, 0.1, 0.05)
PICTURES = 100
"""Number of different pictures; further photos are copies of them under other names."""

MIEN = [sys.executable, "-c", "from mien.cli import main; main()"]
MANY = """
import sys, time
from pathlib import Path
from mien import Predictor
predictor, start = Predictor(), time.perf_counter()
count = sum(1 for result in predictor.predict_many(sorted(Path(sys.argv[1]).iterdir())))
print(count / (time.perf_counter() - start))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Result of a run: photos per second, and peak memory in MiB in its first and second half."""

    rate: float
    early: float
    late: float


def picture(random: np.random.Generator) -> bytes:
    """Make a JPEG with up to three portraits on a canvas with a gradient."""
    width, height = SIZES[random.choice(len(SIZES), p=WEIGHTS)]
    light = np.linspace(60, 200, width, dtype=np.float32)[None, :, None]
    noise = random.normal(0, 4, (height, width, 1)).astype(np.float32)
    canvas = np.clip(light + noise, 0, 255).astype(np.uint8).repeat(3, 2)
    for _ in range(int(random.integers(0, 4))):
        portrait = read_photo(PORTRAITS[random.integers(len(PORTRAITS))]).pixels
        side = int(random.uniform(0.15, 0.5) * min(width, height))
        scaled = cv2.resize(portrait, (side * 4 // 5, side), interpolation=cv2.INTER_AREA)
        x, y = int(random.integers(0, width - scaled.shape[1])), int(random.integers(0, height - side))
        canvas[y : y + side, x : x + scaled.shape[1]] = scaled
    return cv2.imencode(".jpg", canvas[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


def fill(folder: Path, number: int) -> None:
    """Write a number of photos to a folder."""
    random = np.random.default_rng(0)
    for i in range(number):
        path = folder / f"{i:06}.jpg"
        if i < PICTURES:
            path.write_bytes(picture(random))
        else:
            os.link(folder / f"{i % PICTURES:06}.jpg", path)


def annotate(photos: Path, number: int, options: Sequence[str]) -> Run:
    """Run ``mien annotate`` on all photos and measure it."""
    with tempfile.TemporaryDirectory() as output:
        command = [*MIEN, "annotate", str(photos), "--output", f"{output}/out", "--quiet", *options]
        start = time.perf_counter()
        process = subprocess.Popen(command)
        samples: list[float] = []
        threading.Thread(target=watch, args=(process, samples), daemon=True).start()
        if process.wait() != 0:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        seconds = time.perf_counter() - start
    half = len(samples) // 2
    return Run(number / seconds, max(samples[:half], default=0.0), max(samples[half:], default=0.0))


def watch(process: "subprocess.Popen[bytes]", samples: list[float]) -> None:
    """Sample the memory in MiB of a process and its children every half second."""
    while process.poll() is None:
        samples.append(sum(map(memory, [process.pid, *children(process.pid)])) / 1024)
        time.sleep(0.5)


def children(pid: int) -> Iterator[int]:
    """Yield the worker processes that a process has started, without Ray's."""
    for name in os.listdir("/proc"):
        try:
            parent = int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
            ours = b"multiprocessing" in Path(f"/proc/{name}/cmdline").read_bytes()
        except (OSError, ValueError):  # not a process, or one that has ended
            continue
        if parent == pid and ours:
            yield int(name)


def memory(pid: int) -> float:
    """Return the memory of a process in KiB; shared memory counts proportionally (PSS)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith("Pss:")), 0.0)


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=5000, help="how many (default: 5000)")
    parser.add_argument("--ray", action="store_true", help="measure the engine ray as well")
    given = parser.parse_args()
    cores = processors()
    counts = sorted({1, cores, *(2**i for i in range(1, 10) if 2**i < cores)})
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder)
        fill(photos, given.photos)
        many = subprocess.run(
            [sys.executable, "-c", MANY, folder], check=True, capture_output=True, text=True
        ).stdout
        print("| what | workers | photos/s | per worker, of one alone | memory, first half | second half |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        print(f"| `predict_many` | {cores} cores | {float(many):.1f} | – | – | – |", flush=True)
        alone = 0.0
        for workers in counts:
            run = annotate(photos, given.photos, ["--workers", str(workers)])
            alone = alone or run.rate
            share = run.rate / workers / alone
            print(
                f"| `mien annotate` | {workers} | {run.rate:.1f} | {share:.2f} | {run.early:.0f} MiB | "
                f"{run.late:.0f} MiB |",
                flush=True,
            )
        if given.ray:
            run = annotate(photos, given.photos, ["--engine", "ray"])
            print(f"| `--engine ray` | {cores} | {run.rate:.1f} | {run.rate / cores / alone:.2f} | – | – |")


if __name__ == "__main__":
    main()
