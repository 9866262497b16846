"""No byte of a photo on disk, nothing of it in a log, no answer kept."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from live import live, started
from pictures import encode
from PIL import Image

from mien.web.app import create_app
from mien.web.logs import DiscreetFormatter
from mien.web.settings import Settings


@pytest.fixture(scope="module")
def address(tiny_model: Path) -> Iterator[str]:
    with live(create_app(Settings(model=tiny_model))) as address:
        yield address


@pytest.fixture(scope="module")
def large_photo() -> bytes:
    return encode(Image.effect_noise((1700, 1700), 90).convert("RGB"), "PNG")


def written_files() -> set[str]:
    """The files this process holds open for writing: deleted ones too, as temporary files are."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            flags = Path(f"/proc/self/fdinfo/{descriptor}").read_text().split("flags:")[1].split()[0]
        except FileNotFoundError:  # closed in the meantime
            continue
        if path.startswith("/") and not path.startswith("/dev/") and int(flags, 8) & os.O_ACCMODE:
            found.add(path)
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are not to be seen")
@pytest.mark.parametrize("form", [True, False])
def test_no_byte_of_a_large_upload_reaches_a_file(
    address: str, large_photo: bytes, form: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(large_photo) > 5_000_000
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before, during = written_files(), set[str]()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            during.update(written_files())
            during.update(str(path) for path in tmp_path.iterdir())

    watcher = threading.Thread(target=watch)
    watcher.start()
    if form:
        response = httpx.post(
            f"{address}/api/v1/predict", files={"photo": ("a.png", large_photo)}, timeout=60
        )
    else:
        headers = {"Content-Type": "image/png"}
        response = httpx.post(f"{address}/api/v1/predict", content=large_photo, headers=headers, timeout=60)
    done.set()
    watcher.join()
    assert response.status_code == 200
    assert not during - before


def test_the_watch_for_files_sees_a_temporary_file(tmp_path: Path) -> None:
    with tempfile.TemporaryFile(dir=tmp_path):
        assert any(path.startswith(str(tmp_path)) for path in written_files())


def test_neither_content_nor_name_nor_query_nor_path_is_logged(tiny_model: Path, astronaut: Path) -> None:
    with started(tiny_model) as (process, address):
        for data in (astronaut.read_bytes(), b"broken", b""):
            for path in (
                "/api/v1/predict",
                "/api/v1/annotate",
                "/secret-name/x.jpg",
                "/static/secret-name.jpg",
            ):
                files = {"photo": ("secret-name.jpg", data)}
                httpx.post(f"{address}{path}?secret-name=1", files=files, timeout=60)
                httpx.post(f"{address}{path}", files=files, timeout=60)
        process.terminate()
        assert process.stderr is not None
        lines = process.stderr.read().splitlines()
    assert sum("POST /api/v1/predict 200" in line for line in lines) == 1
    assert len(lines) == 24
    assert not any("secret-name" in line or "127.0.0.1" in line for line in lines)


def test_an_unforeseen_error_is_logged_without_its_message() -> None:
    def fail() -> None:
        raise KeyError("secret-name.jpg")

    try:
        fail()
    except KeyError as error:
        trace = (type(error), error, error.__traceback__)
    text = DiscreetFormatter().formatException(trace)
    assert "KeyError" in text and "in fail" in text
    assert "secret-name.jpg'" not in text


@pytest.mark.parametrize("path", ["/api/v1/model", "/healthz", "/nope", "/docs", "/openapi.json", "/metrics"])
def test_answers_are_not_to_be_stored_and_carry_strict_headers(address: str, path: str) -> None:
    headers = httpx.get(address + path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "server" not in headers or "uvicorn" in headers["server"]


def test_predictions_and_problems_are_not_to_be_stored(address: str, astronaut: Path) -> None:
    for data in (astronaut.read_bytes(), b"no photo"):
        response = httpx.post(f"{address}/api/v1/predict", files={"photo": ("a.jpg", data)}, timeout=60)
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"


def test_other_origins_are_let_in_only_where_configured(address: str, tiny_model: Path) -> None:
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    refused = httpx.options(f"{address}/api/v1/predict", headers=headers)
    assert "access-control-allow-origin" not in refused.headers
    app = create_app(Settings(model=tiny_model, cors_origins=("https://example.org",)))
    with live(app) as open_address:
        allowed = httpx.options(f"{open_address}/api/v1/predict", headers=headers)
        other = httpx.get(f"{open_address}/healthz", headers={"Origin": "https://example.com"})
    assert allowed.headers["access-control-allow-origin"] == "https://example.org"
    assert "access-control-allow-origin" not in other.headers


def test_a_script_of_an_allowed_origin_may_log_in_and_read_when_to_come_back(tiny_model: Path) -> None:
    app = create_app(Settings(model=tiny_model, cors_origins=("https://example.org",)))
    origin = {"Origin": "https://example.org"}
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with live(app) as address:
        preflight = httpx.options(f"{address}/api/v1/predict", headers=origin | asks)
        answer = httpx.get(f"{address}/healthz", headers=origin)
    assert preflight.status_code == 200
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert answer.headers["access-control-expose-headers"] == "Retry-After"


def test_the_page_may_be_framed_only_where_configured(address: str, tiny_model: Path) -> None:
    alone = httpx.get(address).headers
    app = create_app(Settings(model=tiny_model, frame_origins=("https://home.example",)))
    with live(app) as framed_address:
        framed = httpx.get(framed_address).headers
    assert alone["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in alone["content-security-policy"]
    assert "x-frame-options" not in framed
    assert "frame-ancestors 'self' https://home.example" in framed["content-security-policy"]


def test_machines_questions_are_not_logged_and_lines_have_date_and_zone(tiny_model: Path) -> None:
    with started(tiny_model) as (process, address):
        for path in ("/healthz", "/readyz", "/metrics", "/static/astronaut.jpg", "/info"):
            while httpx.get(address + path, timeout=30).status_code == 503:
                pass
        process.terminate()
        assert process.stderr is not None
        lines = process.stderr.read().splitlines()
    (line,) = (line for line in lines if " 503 " not in line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} GET /info 200 \d+ ms", line)


def test_the_log_may_be_json_and_more_talkative(tiny_model: Path) -> None:
    with started(tiny_model, "--log-format", "json", "--log-level", "debug") as (process, address):
        httpx.get(f"{address}/healthz?secret=1", timeout=30)
        process.terminate()
        assert process.stderr is not None
        (line,) = process.stderr.read().splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["route"], entry["status"]) == ("debug", "/healthz", 200)
    assert datetime.fromisoformat(entry["time"]).tzinfo is not None


def test_uvicorn_alone_logs_no_address_and_no_query(tiny_model: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "--factory", "mien.web.app:create_app", "--port", "0"]
    variables = {**os.environ, "MIEN_MODEL": str(tiny_model)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables
    ) as process:
        assert process.stdout is not None
        address = next(found[0] for line in process.stdout if (found := re.search(r"http://[\d.:]+", line)))
        httpx.get(f"{address}/healthz?secret=1", timeout=30)
        process.terminate()
        rest = process.stdout.read()
    assert "secret" not in rest and "127.0.0.1" not in rest


def test_the_interactive_documents_need_no_other_host(address: str) -> None:
    page = httpx.get(f"{address}/docs").text
    assert "http" not in page and "<script>" not in page
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
        assert f'"docs/assets/{asset}"' in page
        assert httpx.get(f"{address}/docs/assets/{asset}").status_code == 200
