"""Under load, under slow and broken clients, and when stopped."""

import asyncio
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from live import live, started

from mien.pipeline.decode.memory import MEMORY
from mien.pipeline.images import Pixels
from mien.predictor import Predictor
from mien.results import Box, Face
from mien.web.app import create_app
from mien.web.settings import Settings


class Gate:
    """A detector that waits until it is opened, or until its photo is let through."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.waiting = threading.Semaphore(0)
        self.passes = threading.Semaphore(0)

    def let_through(self, photos: int) -> None:
        self.passes.release(photos)

    def detect(self, photo: Pixels) -> list[Face]:
        if photo.shape[0] > 64:  # not the picture the server warms up with
            self.waiting.release()
            while not self.open.is_set() and not self.passes.acquire(timeout=0.01):
                pass
        return [Face(Box(0, 0, 20, 20), 1.0)]


@contextmanager
def gated(model: Path, **settings: float) -> Iterator[tuple[str, Gate]]:
    gate = Gate()
    app = create_app(Settings(model=model, workers=1, **settings), Predictor(model, gate, rotate=False))  # type: ignore[arg-type]  # all are numbers
    with live(app) as address:
        try:
            yield address, gate
        finally:
            gate.open.set()


def post(address: str, photo: bytes) -> httpx.Response:
    return httpx.post(f"{address}/api/v1/predict", files={"photo": ("a.jpg", photo)}, timeout=60)


def get(address: str, path: str) -> httpx.Response:
    return httpx.get(address + path, timeout=30)


def wait_for(address: str, metric: str) -> None:
    """Return once the server says so of itself."""
    until = time.monotonic() + 60
    while metric not in (text := get(address, "/metrics").text):
        assert time.monotonic() < until, text
        time.sleep(0.01)


@pytest.fixture(scope="module")
def photo(astronaut: Path) -> bytes:
    return astronaut.read_bytes()


def test_beyond_the_queue_the_answer_is_503_at_once_and_the_server_recovers(
    tiny_model: Path, photo: bytes
) -> None:
    with gated(tiny_model, queue=1, max_files=1) as (address, gate), ThreadPoolExecutor(2) as clients:
        waiting = [clients.submit(post, address, photo) for _ in range(2)]
        gate.waiting.acquire()
        wait_for(address, "mien_pending_photos 2.0")
        refused = post(address, photo)
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:mien:problem:busy"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert get(address, "/healthz").status_code == 200
        gate.open.set()
        assert [answer.result().status_code for answer in waiting] == [200, 200]
        assert post(address, photo).status_code == 200


def test_sixty_four_clients_all_wait_and_are_answered_in_the_order_they_came(
    tiny_model: Path, photo: bytes
) -> None:
    answered: list[int] = []

    def ask(number: int) -> int:
        status = post(address, photo).status_code
        answered.append(number)
        return status

    with gated(tiny_model, answer_seconds=300) as (address, gate), ThreadPoolExecutor(64) as clients:
        answers = []
        for number in range(64):
            answers.append(clients.submit(ask, number))
            wait_for(address, f"mien_pending_photos {number + 1}.0")
        held = float(get(address, "/metrics").text.partition("\nmien_held_bytes ")[2].split()[0])
        assert 64 * len(photo) <= held < 65 * len(photo)
        for answer in answers:
            gate.let_through(1)
            assert answer.result() == 200
        assert answered == list(range(64))
        wait_for(address, "mien_held_bytes 0.0")


def test_a_photo_that_waits_is_not_decoded_before_its_turn(
    tiny_model: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gated(tiny_model) as (address, gate), ThreadPoolExecutor(8) as clients:
        wait_for(address, "mien_pending_photos 0.0")
        held: list[int] = []
        hold = MEMORY.hold

        def hold_and_note(cost: int) -> AbstractContextManager[None]:
            held.append(cost)
            return hold(cost)

        monkeypatch.setattr(MEMORY, "hold", hold_and_note)
        answers = [clients.submit(post, address, photo) for _ in range(8)]
        wait_for(address, "mien_pending_photos 8.0")
        gate.waiting.acquire()
        assert len(held) == 1
        gate.open.set()
        assert [answer.result().status_code for answer in answers] == [200] * 8
        assert len(held) == 8


def test_an_answer_that_takes_too_long_is_503(tiny_model: Path, photo: bytes) -> None:
    with gated(tiny_model, answer_seconds=0.05) as (address, gate):
        response = post(address, photo)
        gate.open.set()
        assert response.status_code == 503
        assert "in time" in response.json()["detail"]
        wait_for(address, "mien_pending_photos 0.0")


def open_request(address: str, length: int, sent: bytes) -> socket.socket:
    """A client that has sent its header and a part of its body."""
    place = urlsplit(address)
    client = socket.create_connection((place.hostname, place.port))
    header = (
        f"POST /api/v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {length}"
    )
    client.sendall(f"{header}\r\n\r\n".encode() + sent)
    return client


def test_slow_uploads_hold_nobody_back_and_run_out_of_time(tiny_model: Path, photo: bytes) -> None:
    app = create_app(Settings(model=tiny_model, workers=1, queue=1, max_files=1, upload_seconds=2))
    with live(app) as address:
        slow = [open_request(address, len(photo), photo[:1000]) for _ in range(20)]
        assert post(address, photo).status_code == 200
        for client in slow:
            with client:
                assert b" 408 " in client.recv(1000).split(b"\r\n")[0]


def test_broken_uploads_leave_nothing_behind(tiny_model: Path, photo: bytes) -> None:
    with live(create_app(Settings(model=tiny_model))) as address:
        for _ in range(20):
            open_request(address, len(photo), photo[:1000]).close()
        wait_for(address, "mien_held_bytes 0.0")
        assert post(address, photo).status_code == 200


def test_more_uploads_than_can_be_held_are_refused(tiny_model: Path, photo: bytes) -> None:
    with live(create_app(Settings(model=tiny_model, max_held_mb=0.15))) as address:
        with open_request(address, 140_001, b"x" * 140_000) as client:
            wait_for(address, "mien_held_bytes 140000.0")
            assert post(address, photo).status_code == 503
            client.sendall(b"x")
            assert client.recv(1000)
        wait_for(address, "mien_held_bytes 0.0")
        assert post(address, photo).status_code == 200


def test_a_client_that_asks_first_is_told_before_it_sends(tiny_model: Path) -> None:
    with live(create_app(Settings(model=tiny_model, max_upload_mb=1))) as address:
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port)) as client:
            client.sendall(
                b"POST /api/v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
                b"Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n"
            )
            assert client.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_many_clients_at_once_get_the_same_answer_or_503(tiny_model: Path, photo: bytes) -> None:
    async def all_at_once(address: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client:
            send = (
                client.post(f"{address}/api/v1/predict", files={"photo": ("a.jpg", photo)}) for _ in range(64)
            )
            return list(await asyncio.gather(*send))

    with live(create_app(Settings(model=tiny_model, queue=16))) as address:
        answers = asyncio.run(all_at_once(address))
        one = post(address, photo)
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert {answer.content for answer in answers if answer.status_code == 200} == {one.content}


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_under_way_be_finished(
    tiny_model: Path, photo: bytes, stop: signal.Signals
) -> None:
    with (
        started(tiny_model) as (process, address),
        open_request(address, len(photo), photo[:-1]) as client,
    ):
        while "mien_held_bytes 0.0" in get(address, "/metrics").text:
            time.sleep(0.01)
        process.send_signal(stop)
        with pytest.raises(httpx.TransportError):
            while True:
                get(address, "/healthz")
        client.sendall(photo[-1:])
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert process.wait(30) in (0, -signal.SIGTERM)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


STUCK = """
import sys, threading
from mien.predictor import Predictor
from mien.web import server
from mien.web.settings import Settings

class Stuck:
    def detect(self, photo):
        if photo.shape[0] > 64:
            threading.Event().wait()
        return []

make, model = server.create_app, sys.argv[1]
server.create_app = lambda settings, _: make(settings, Predictor(model, Stuck()))
sys.argv[1:] = ["serve", "--port", "0", "--shutdown-seconds", "1", "--answer-seconds", "0.3"]
from mien.cli import main
main()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals are POSIX's")
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("answered", [True, False])
def test_a_signal_ends_the_server_even_if_a_thread_is_stuck(
    tiny_model: Path, photo: bytes, stop: signal.Signals, answered: bool
) -> None:
    with started(tiny_model, command=[sys.executable, "-c", STUCK, str(tiny_model)]) as (process, address):
        if answered:
            assert post(address, photo).status_code == 503
            process.send_signal(stop)
        else:
            with open_request(address, len(photo), photo):
                wait_for(address, "mien_pending_photos 1.0")
                process.send_signal(stop)
        process.wait(20)


def test_a_failed_warm_up_is_logged_and_tried_again(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Moody:
        tries = 0

        def detect(self, photo: Pixels) -> list[Face]:
            self.tries += 1
            if self.tries < 3:
                raise RuntimeError("not in the mood")
            return []

    with live(
        create_app(Settings(model=tiny_model), Predictor(tiny_model, Moody(), rotate=False))
    ) as address:
        while get(address, "/readyz").status_code != 200:
            time.sleep(0.01)
    assert "the server is not ready" in caplog.text


def test_a_client_that_leaves_gives_up_its_place(tiny_model: Path, photo: bytes) -> None:
    with gated(tiny_model, queue=1, max_files=1) as (address, gate), ThreadPoolExecutor(1) as clients:
        first = clients.submit(post, address, photo)
        gate.waiting.acquire()
        with open_request(address, len(photo), photo):
            wait_for(address, "mien_pending_photos 2.0")
        wait_for(address, "mien_pending_photos 1.0")
        gate.open.set()
        assert first.result().status_code == 200
        assert 'status="499"' in get(address, "/metrics").text
