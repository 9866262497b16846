"""What the server answers in how long, by number of clients, beside ``predict_many`` in the same run.

Run it on a quiet machine, with Linux: ``python benchmarks/server.py [--seconds 60] [--clients 1 4 16 64]``.
The server is ``mien serve`` in a process of its own. Each client sends the same photo over one connection,
again as soon as it has its answer; on a 503 it waits as long as the server asks, and the photo's time goes
on. Clients and server share the machine's processors.
"""

import argparse
import http.client
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

from mien import Predictor
from mien.pipeline.images import read_photo

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
SERVE = [sys.executable, "-c", "from mien.cli import main; main()", "serve", "--port", "0"]


@dataclass
class Load:
    """What some clients met."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    answers: set[bytes] = field(default_factory=set)


def example() -> bytes:
    """A 640x480 JPEG with one face."""
    photo = np.full((480, 640, 3), 128, np.uint8)
    photo[:, 80:560] = cv2.resize(read_photo(EXAMPLE).pixels, (480, 480), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", photo[:, :, ::-1])[1].tobytes()


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """A fresh server's host and port, and its process id."""
    process = subprocess.Popen(SERVE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    started = next(found for line in process.stderr if (found := re.search(r"http://(\S+)", line)))
    threading.Thread(
        target=process.stderr.read, daemon=True
    ).start()  # or it would wait for its log to be read
    try:
        yield started[1], process.pid
    finally:
        process.terminate()
        process.wait()


def client(address: str, photo: bytes, until: float, load: Load) -> None:
    """Send a photo again and again."""
    place = urlsplit(f"//{address}")
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
    headers = {"Content-Type": "image/jpeg"}
    while (start := time.perf_counter()) < until:
        status = 503
        while status == 503:
            connection.request("POST", "/api/v1/predict", photo, headers)
            response = connection.getresponse()
            body, status = response.read(), response.status
            load.statuses[status] += 1
            if status == 503:
                time.sleep(float(response.headers["Retry-After"]))
        load.seconds.append(time.perf_counter() - start)
        if status == 200:
            load.answers.add(body)


def run_clients(address: str, photo: bytes, count: int, seconds: float) -> tuple[Load, float]:
    """Let clients work side by side; give what they met and the photos answered in a second."""
    load, start = Load(), time.perf_counter()
    threads = [
        threading.Thread(target=client, args=(address, photo, start + seconds, load)) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return load, load.statuses[200] / (time.perf_counter() - start)


def latency(address: str, count: int = 500) -> float:
    """Median seconds of a request that needs no work, over a kept-open connection."""
    place = urlsplit(f"//{address}")
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def reference(photo: bytes, seconds: float) -> float:
    """Photos a second of ``predict_many``."""
    predictor = Predictor()
    predictor.predict(photo)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        count += sum(1 for _ in predictor.predict_many([photo] * 32))
    return count / (time.perf_counter() - start)


def resident(process: int) -> float:
    """Memory of a process in MiB."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024


def main() -> None:
    """Measure everything and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="time for each number of clients")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    arguments = parser.parse_args()
    photo = example()
    bare = reference(photo, arguments.seconds / 2)
    print(f"predict_many: {bare:.1f} photos/s\n")
    titles = (
        "clients",
        "photos/s",
        "ratio",
        "p50, ms",
        "p95, ms",
        "p99, ms",
        "200",
        "503",
        "other",
        "memory",
    )
    print(f"| {' | '.join(titles)} |\n|{' ---: |' * len(titles)}")
    answers: set[bytes] = set()
    with server() as (address, process):
        unloaded = latency(address)
        for count in arguments.clients:
            load, rate = run_clients(address, photo, count, arguments.seconds)
            p50, p95, p99 = 1000 * np.percentile(load.seconds, [50, 95, 99])
            done, busy = load.statuses[200], load.statuses[503]
            other = load.statuses.total() - done - busy
            answers |= load.answers
            times = f"{p50:.0f} | {p95:.0f} | {p99:.0f}"
            counts = f"{done} | {busy} | {other} | {resident(process):.0f} MiB"
            print(f"| {count} | {rate:.1f} | {rate / bare:.2f} | {times} | {counts} |", flush=True)
    print(f"\n/healthz over a kept-open connection, without load: {1000 * unloaded:.1f} ms at the median")
    print(f"different answers to the one photo: {len(answers)}")


if __name__ == "__main__":
    main()
