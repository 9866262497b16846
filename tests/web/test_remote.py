"""``mien predict --server`` as its user meets it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from live import live
from PIL import Image
from typer.testing import CliRunner, Result

from mien.cli import app
from mien.errors import ServerError
from mien.pipeline.images import Pixels
from mien.predictor import Predictor
from mien.remote import _gender
from mien.results import Face, GenderEstimate
from mien.web.app import create_app
from mien.web.settings import Settings


@pytest.fixture(scope="module")
def address(tiny_model: Path) -> Iterator[str]:
    with live(create_app(Settings(model=tiny_model, max_megapixels=1))) as address:
        yield address


def predict(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


@pytest.mark.parametrize("form", ["--json", "--faces=detect"])
def test_a_server_gives_what_this_machine_would(
    address: str, tiny_model: Path, astronaut: Path, tmp_path: Path, form: str
) -> None:
    empty, broken, gone = tmp_path / "empty.png", tmp_path / "broken.jpg", tmp_path / "gone.jpg"
    Image.new("RGB", (64, 48), "grey").save(empty)
    broken.write_bytes(b"no photo")
    photos = (astronaut, empty, broken, gone)
    here = predict(*photos, form, "--model", tiny_model)
    there = predict(*photos, form, "--server", address)
    assert here.exit_code == there.exit_code == 1
    assert (there.stdout, there.stderr) == (here.stdout, here.stderr)


def test_a_photo_too_large_for_the_server_is_named(address: str, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (1001, 1000)).save(path)
    result = predict(path, "--server", address)
    assert result.exit_code == 1
    assert result.stderr == f"mien: {path} has more than 1 megapixels; scale it down first.\n"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.0.0.1:1/mien"])
def test_a_server_that_is_not_there_is_one_sentence(url: str, astronaut: Path) -> None:
    result = predict(astronaut, "--server", url)
    assert isinstance(result.exception, ServerError)
    assert "cannot be reached" in str(result.exception)


@pytest.mark.parametrize("url", ["127.0.0.1:5000", "ftp://x", "http://"])
def test_what_is_no_address_is_refused(url: str, astronaut: Path) -> None:
    assert "http://HOST:PORT" in str(predict(astronaut, "--server", url).exception)


def test_another_kind_of_server_is_told_apart(address: str, astronaut: Path) -> None:
    result = predict(astronaut, "--server", f"{address}/api")
    assert isinstance(result.exception, ServerError)
    assert "refuses" in str(result.exception)


def test_a_model_does_not_go_with_a_server(address: str, astronaut: Path, tiny_model: Path) -> None:
    result = predict(astronaut, "--server", address, "--model", tiny_model)
    assert result.exit_code == 2
    assert "its own model" in result.stderr


@contextmanager
def busy(answers: list[str | None]) -> Iterator[str]:
    """A server that answers 503 with each of these ``Retry-After``, and then as one of mien's does."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(503 if answers else 200)
            wait = answers.pop(0) if answers else None
            if wait is not None:
                self.send_header("Retry-After", wait)
            body = json.dumps({"photo": "<bytes>", "width": 9, "height": 9, "faces": []}).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "slept"), [(["7", "2"], [7, 2]), ([None], [1]), (["soon"], [1]), ([], [])]
)
def test_a_busy_server_is_asked_again_after_the_time_that_it_names(
    astronaut: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str | None], slept: list[float]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("mien.remote.time.sleep", waits.append)
    with busy(answers) as address:
        assert predict(astronaut, "--server", address).exit_code == 0
    assert waits == slept


def test_a_server_that_stays_busy_is_given_up(astronaut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.remote.time.sleep", lambda _: None)
    with busy(["1"] * 99) as address:
        done = predict(astronaut, "--server", address)
    assert isinstance(done.exception, ServerError) and "is busy; try again later" in str(done.exception)


@pytest.mark.parametrize("p_female", [0.49951, 0.4999, 0.5, 0.50049, 0.0001, 0.99996])
@pytest.mark.parametrize("unsure_below", [0.5, 0.6, 0.9999])
def test_labels_survive_the_rounding_of_probabilities(p_female: float, unsure_below: float) -> None:
    here = GenderEstimate(p_female, unsure_below)
    there = _gender(round(p_female, 3), here.label)
    assert there.label == here.label
    assert (round(there.p_female, 3), round(there.probability, 3)) == (
        round(here.p_female, 3),
        round(here.probability, 3),
    )


def test_no_rotate_reaches_the_server(tiny_model: Path, astronaut: Path) -> None:
    looks: list[tuple[int, ...]] = []

    class Blind:
        def detect(self, photo: Pixels) -> list[Face]:
            looks.append(photo.shape)
            return []

    with live(create_app(Settings(model=tiny_model), Predictor(tiny_model, Blind()))) as address:
        while httpx.get(f"{address}/readyz", timeout=30).status_code != 200:
            pass
        looks.clear()
        predict(astronaut, "--server", address, "--no-rotate")
        as_it_is = len(looks)
        predict(astronaut, "--server", address)
    assert as_it_is == 1
    assert len(looks) - as_it_is > 1


def test_a_photo_far_beyond_the_limit_is_named_and_the_others_go_on(
    tiny_model: Path, astronaut: Path, tmp_path: Path
) -> None:
    huge = tmp_path / "huge.jpg"
    huge.write_bytes(b"\xff\xd8" + b"x" * 30_000_000)
    with live(create_app(Settings(model=tiny_model, max_upload_mb=1))) as address:
        result = predict(huge, astronaut, "--server", address)
    assert result.exit_code == 1
    assert result.stderr == "mien: A request may have 1 MB at most; send a smaller photo.\n"
    assert str(astronaut) in result.stdout
