"""The application on a local Ray."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from live import live

from mien.web.app import create_app
from mien.web.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, in its processes and ours


@pytest.fixture(scope="module")
def cluster(tiny_model: Path, monkeypatch_module: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch_module.setenv("RAY_AUTH_MODE", "disabled")  # else a token is written to the user's home
    import ray
    from ray import serve

    from mien.web.cluster import deployment

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000)
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(deployment(Settings(model=tiny_model)))
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()
    ray.shutdown()


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def free_port() -> int:
    """One that is free now: Ray does not tell which it took when it is asked for any."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def post(address: str, data: bytes) -> httpx.Response:
    return httpx.post(f"{address}/api/v1/predict", files={"photo": ("a.jpg", data)}, timeout=60)


def test_the_cluster_answers_as_one_server_does(cluster: str, tiny_model: Path, astronaut: Path) -> None:
    photo = astronaut.read_bytes()
    with live(create_app(Settings(model=tiny_model))) as address:
        expected = [post(address, photo), post(address, b"no photo")]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda data: post(cluster, data), [photo, b"no photo"] * 4))
    assert [(a.status_code, a.content) for a in answers] == [(e.status_code, e.content) for e in expected] * 4
