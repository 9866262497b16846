"""Measure the server's responses and response times by number of clients, compared with ``predict_many``.

Run it on an idle machine with Linux: ``python benchmarks/server.py [--seconds 60] [--clients 1 8 64]``.
The server is ``mien serve`` in a separate process. Each client sends the same photo over one connection,
again as soon as it has the response. After a 503 it waits as long as the server demands; this wait is part of
the photo's response time. Clients and server share the machine's processors. ``predict_many`` is measured
before and after each number of clients, and the mean is shown. Its CPU time is that of this process; the
server's CPU time excludes the clients.
"""

import argparse
import http.client
import os
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
from statistics import mean
from urllib.parse import urlsplit

import cv2
import numpy as np

from mien import Predictor
from mien.pipeline.images import read_photo

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
TITLES = (
    *("clients", "photos/s", "predict_many", "ratio", "CPU ms a photo", "predict_many"),
    *("p50, ms", "p99, ms", "p99/p50", "200", "503", "other", "memory"),
)
SERVE = [sys.executable, "-c", "from mien.cli import main; main()", "serve", "--port", "0"]


@dataclass
class Load:
    """Results of some clients: response times in seconds, HTTP statuses, different responses."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    answers: set[bytes] = field(default_factory=set)


def example() -> bytes:
    """Make a 640x480 JPEG with one face."""
    photo = np.full((480, 640, 3), 128, np.uint8)
    photo[:, 80:560] = cv2.resize(read_photo(EXAMPLE).pixels, (480, 480), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", photo[:, :, ::-1])[1].tobytes()


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """Start a server; yield its host and port, and its process id."""
    process = subprocess.Popen(SERVE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    started = next(found for line in process.stderr if (found := re.search(r"http://(\S+)", line)))
    threading.Thread(
        target=process.stderr.read, daemon=True
    ).start()  # otherwise the server would block on a full pipe
    try:
        yield started[1], process.pid
    finally:
        process.terminate()
        process.wait()


def client(address: str, photo: bytes, until: float, load: Load) -> None:
    """Send a photo repeatedly."""
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
    """Run clients in parallel; return their results, and the photos answered per second."""
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
    """Return the median seconds of a health request over a persistent connection."""
    place = urlsplit(f"//{address}")
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


@dataclass(frozen=True, slots=True)
class Pace:
    """Throughput.

    Attributes:
        rate: Photos per second.
        cpu: Milliseconds of CPU time per photo.
    """

    rate: float
    cpu: float


def reference(predictor: Predictor, photo: bytes, seconds: float) -> Pace:
    """Measure ``predict_many`` on the same photo in this process."""
    start, cpu = time.perf_counter(), time.process_time()
    count = 0
    while time.perf_counter() - start < seconds:
        count += sum(1 for _ in predictor.predict_many([photo] * 32))
    return Pace(count / (time.perf_counter() - start), 1000 * (time.process_time() - cpu) / count)


def processor_seconds(process: int) -> float:
    """Return the CPU time of a process in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process: int) -> float:
    """Return the resident memory of a process in MiB."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024


def row(load: Load, served: Pace, around: list[Pace]) -> str:
    """Return a row's figures, without the first and last column; ``around`` are the references."""
    rate, cpu = (mean(getattr(pace, name) for pace in around) for name in ("rate", "cpu"))
    p50, p99 = 1000 * np.percentile(load.seconds, [50, 99])
    done, busy = load.statuses[200], load.statuses[503]
    figures = [
        *(f"{served.rate:.1f}", f"{rate:.1f}", f"{served.rate / rate:.2f}"),
        *(f"{served.cpu:.1f}", f"{cpu:.1f}"),
        *(f"{p50:.0f}", f"{p99:.0f}", f"{p99 / p50:.1f}"),
        *(str(done), str(busy), str(load.statuses.total() - done - busy)),
    ]
    return " | ".join(figures)


def main() -> None:
    """Measure everything and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="time for each number of clients")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    arguments = parser.parse_args()
    photo, predictor = example(), Predictor()
    before = [reference(predictor, photo, arguments.seconds / 4) for _ in range(2)][-1]  # the first warms up
    print(f"| {' | '.join(TITLES)} |\n|{' ---: |' * len(TITLES)}")
    answers: set[bytes] = set()
    with server() as (address, process):
        unloaded = latency(address)
        for count in arguments.clients:
            cpu = processor_seconds(process)
            load, rate = run_clients(address, photo, count, arguments.seconds)
            cpu = 1000 * (processor_seconds(process) - cpu) / load.statuses[200]
            after = reference(predictor, photo, arguments.seconds / 4)
            print(
                f"| {count} | {row(load, Pace(rate, cpu), [before, after])} | {resident(process):.0f} MiB |"
            )
            answers |= load.answers
            before = after
    print(f"\n/healthz over a kept-open connection, without load: {1000 * unloaded:.1f} ms at the median")
    print(f"different answers to the one photo: {len(answers)}")


if __name__ == "__main__":
    main()
