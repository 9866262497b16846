"""The application in other hands: in a container, mounted, started twice, in a notebook, under Gunicorn."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from live import live, started

from mien.errors import ServerError
from mien.web.app import create_app
from mien.web.server import serve
from mien.web.settings import Settings

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


def health(**variables: str) -> int:
    command = [sys.executable, *health_check()]
    return subprocess.run(command, env={**os.environ, **variables}, check=False).returncode


def health_check() -> list[str]:
    """What the image's health check runs, after ``python``."""
    (line,) = (line for line in DOCKERFILE.read_text("utf-8").splitlines() if "mien.web.health" in line)
    return line.partition('["python", ')[2].rstrip("]").replace('"', "").split(", ")


@pytest.mark.parametrize("variable", ["MIEN_PORT", "PORT"])
def test_the_images_health_check_finds_the_port(tiny_model: Path, variable: str) -> None:
    with started(tiny_model) as (_, address):
        assert health(**{variable: str(urlsplit(address).port)}, MIEN_HOST="0.0.0.0") == 0
    assert health(**{variable: str(urlsplit(address).port)}) == 1


def become_ready(client: httpx.Client, root: str = "") -> None:
    while client.get(f"{root}/readyz").status_code == 503:
        time.sleep(0.01)
    assert client.get(f"{root}/readyz").json() == {"status": "ready"}


def test_mounted_it_becomes_ready_and_answers(tiny_model: Path, astronaut: Path) -> None:
    settings = Settings(model=tiny_model)
    outer = FastAPI()
    outer.mount("/faces", create_app(settings))
    with live(outer, settings) as address, httpx.Client(base_url=address, timeout=30) as client:
        become_ready(client, "/faces")
        photo = {"photo": ("a.jpg", astronaut.read_bytes())}
        assert client.post("/faces/api/v1/predict", files=photo).json()["width"] == 512
        pages = ("", "info", "docs", "healthz/", "static/astronaut.jpg", "docs/assets/start.js")
        assert {client.get(f"/faces/{page}").status_code for page in pages} == {200}


def test_an_application_may_be_started_again(tiny_model: Path, astronaut: Path) -> None:
    app = create_app(Settings(model=tiny_model))
    for _ in range(2):
        with live(app) as address, httpx.Client(base_url=address, timeout=30) as client:
            become_ready(client)
            answer = client.post("/api/v1/predict", files={"photo": ("a.jpg", astronaut.read_bytes())})
            assert answer.status_code == 200


def test_serve_in_a_running_loop_is_one_sentence(tiny_model: Path) -> None:
    async def notebook() -> None:
        serve(Settings(model=tiny_model, port=0))

    with pytest.raises(ServerError, match=r"threading\.Thread\(target=serve"):
        asyncio.run(notebook())


def test_serve_runs_in_a_thread(tiny_model: Path) -> None:
    code = f"""
import threading, time, urllib.request
from mien.web.server import serve
from mien.web.settings import Settings
threading.Thread(target=serve, args=[Settings(model={str(tiny_model)!r}, port=PORT)], daemon=True).start()
while True:
    try:
        print(urllib.request.urlopen("http://127.0.0.1:PORT/healthz").status)
        break
    except OSError:
        time.sleep(0.05)
"""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    run = [sys.executable, "-c", code.replace("PORT", str(port))]
    assert subprocess.run(run, capture_output=True, timeout=60, check=True).stdout == b"200\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Gunicorn is POSIX's")
@pytest.mark.parametrize("preload", [True, False])
def test_gunicorn_serves_it_and_ends(tiny_model: Path, astronaut: Path, preload: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    command = [sys.executable, "-m", "gunicorn", "mien.web.app:create_app()", "-b", address, "-w", "2"]
    command += ["-k", "uvicorn_worker.UvicornWorker", *(["--preload"] if preload else [])]
    variables = {**os.environ, "MIEN_MODEL": str(tiny_model), "MIEN_WORKERS": "1"}
    process = subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                if httpx.get(f"http://{address}/readyz", timeout=30).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        files = {"photo": ("a.jpg", astronaut.read_bytes())}
        answers = [httpx.post(f"http://{address}/api/v1/predict", files=files, timeout=30) for _ in range(4)]
        assert {answer.status_code for answer in answers} == {200}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
