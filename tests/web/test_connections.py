"""Clients that connect and say nothing."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from live import live, started

from mien.web import connections
from mien.web.app import create_app
from mien.web.settings import Settings


@pytest.fixture
def address(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    with live(create_app(Settings(model=tiny_model))) as address:
        yield address


def connect(address: str) -> socket.socket:
    place = urlsplit(address)
    return socket.create_connection((place.hostname, place.port), timeout=30)


def is_closed(client: socket.socket) -> bool:
    """Whether the server closes the connection before the client's patience ends."""
    try:
        while client.recv(1000):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTT", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_a_head_that_does_not_arrive_is_not_waited_for(address: str, sent: bytes) -> None:
    with connect(address) as client:
        client.sendall(sent)
        assert is_closed(client)


def test_nor_is_one_after_an_answer(address: str) -> None:
    with connect(address) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in client.recv(10_000)
        client.sendall(b"G")
        assert is_closed(client)


def test_a_request_that_takes_longer_is_answered(address: str) -> None:
    with connect(address) as client:
        client.sendall(b"POST /api/v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n")
        client.sendall(b"Content-Length: 1\r\n\r\n")
        client.settimeout(0.6)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(30)
        client.sendall(b"x")
        assert b" 400 " in client.recv(1000)


def test_more_silent_clients_than_connections_shut_nobody_out(tiny_model: Path) -> None:
    with live(create_app(Settings(model=tiny_model, max_connections=20))) as address, ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(connect(address))
        with httpx.Client(base_url=address, timeout=30) as last:
            assert last.get("/healthz").status_code == 200


@pytest.mark.skipif(sys.platform == "win32", reason="files are not limited")
def test_nor_do_more_than_the_open_files_allowed(tiny_model: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))"
    serve = f"{limit}; from mien.cli import main; main()"
    command = [sys.executable, "-c", serve, "serve", "--model", str(tiny_model), "--port", "0"]
    with started(tiny_model, command=command) as (process, address), ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(connect(address))
        assert httpx.get(f"{address}/healthz", timeout=30).status_code == 200
        process.terminate()
        assert process.stderr is not None
        assert "accept" not in process.stderr.read()


@pytest.mark.skipif(sys.platform == "win32", reason="files are not limited")
@pytest.mark.parametrize(("soft", "hard", "room"), [(100, 2000, 1000), (300, 300, 108), (64, 64, 1)])
def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be(soft: int, hard: int, room: int) -> None:
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from mien.web.connections import room_for_connections\nprint(room_for_connections(1000))"
    )
    assert int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) == room
