"""``mien predict --server`` where something lies between: logins, proxies, restarts."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import Reply, scripted
from typer.testing import CliRunner, Result

from mien import remote
from mien.cli import app
from mien.errors import ServerError
from mien.remote import AUTHORIZATION, RemotePredictor

NOBODY = b'{"photo": "<bytes>", "width": 64, "height": 48, "faces": []}'
FINE = Reply(200, NOBODY, {"Content-Type": "application/json"})


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """How long the client would have slept."""
    slept: list[float] = []
    monkeypatch.setattr("mien.remote.time.sleep", slept.append)
    monkeypatch.delenv(AUTHORIZATION, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield slept


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for path in paths:
        path.write_bytes(b"a photo")
    return [str(path) for path in paths]


def predict(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["predict", *arguments])


def message(result: Result) -> str:
    assert isinstance(result.exception, ServerError), result.output
    return str(result.exception) + result.output


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_may_soon_do_better_is_tried_again(
    photos: list[str], waits: list[float], status: int
) -> None:
    busy = Reply(status, b"<html>", {"Retry-After": "3"})
    with scripted(FINE, busy, Reply(status), FINE) as seen:
        result = predict(*photos, "--server", seen.address)
    assert result.exit_code == 0
    assert len(seen.requests) == 4
    assert waits == [3.0, 2.0]


def test_a_server_that_starts_anew_is_waited_for(photos: list[str]) -> None:
    with scripted(FINE, Reply(hang_up=True), FINE) as seen:
        assert predict(*photos, "--server", seen.address).exit_code == 0


def test_patience_ends(photos: list[str], waits: list[float]) -> None:
    with scripted(Reply(503)) as seen:
        assert "is busy" in message(predict(photos[0], "--server", seen.address))
    assert len(seen.requests) == remote.ATTEMPTS
    assert max(waits) == 10


def test_a_photo_too_large_for_a_proxy_is_named_and_the_others_go_on(photos: list[str]) -> None:
    refusal = Reply(413, b"<html><h1>413 Request Entity Too Large</h1></html>", {"Content-Type": "text/html"})
    with scripted(refusal, FINE) as seen:
        result = predict(*photos, "--server", seen.address)
    assert result.exit_code == 1
    assert f"{photos[0]} (0.0 MB) is larger than a server on the way allows" in result.stderr
    assert photos[1] in result.stdout


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--header", "Authorization: Bearer abc"], "Bearer abc"),
        (["user:p%40ss@"], f"Basic {b64encode(b'user:p@ss').decode()}"),
        (["variable"], "Bearer xyz"),
    ],
)
def test_a_login_is_sent_and_never_printed(
    photos: list[str], monkeypatch: pytest.MonkeyPatch, given: list[str], expected: str
) -> None:
    monkeypatch.setenv(AUTHORIZATION, "Bearer xyz" if given == ["variable"] else "")
    with scripted(FINE, Reply(401)) as seen:
        user = given[0] if given[0].endswith("@") else ""
        flags = given if given[0] == "--header" else []
        address = seen.address.replace("//", f"//{user}")
        text = message(predict(*photos, "--server", address, *flags))
    assert [headers["authorization"] for _, headers in seen.requests] == [expected] * 2
    assert "wants a login (401)" in text and AUTHORIZATION in text
    assert not any(secret in text for secret in ("p%40ss", "p@ss", "abc", "xyz", expected))


@pytest.mark.parametrize("address", ["ftp://user:secret@x", "http://user:secret@h:port", "user:secret@host"])
def test_a_wrong_address_does_not_print_its_password(photos: list[str], address: str) -> None:
    text = message(predict(photos[0], "--server", address))
    assert "http://HOST:PORT" in text
    assert "secret" not in text


@pytest.mark.parametrize("header", ["no colon", "bad name: x", "X-A: ü→", "X-A: a\nb"])
def test_a_header_that_cannot_be_sent_is_refused(photos: list[str], header: str) -> None:
    result = predict(photos[0], "--server", "http://127.0.0.1:1", "--header", header)
    assert result.exit_code == 2 or "cannot be sent" in message(result)


@pytest.mark.parametrize("path", ["/api/v1/predict", "/api/v1/", "/", ""])
def test_the_apis_path_may_be_part_of_the_address(photos: list[str], path: str) -> None:
    with scripted(FINE) as seen:
        assert predict(photos[0], "--server", f"{seen.address}/faces{path}").exit_code == 0
    assert seen.requests[0][0].startswith("/faces/api/v1/predict?")


def test_a_login_page_is_told_apart(photos: list[str]) -> None:
    page = Reply(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
    with scripted(page) as seen:
        assert "if it wants a login" in message(predict(photos[0], "--server", seen.address))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_without_the_photo(photos: list[str], status: int) -> None:
    elsewhere = Reply(status, headers={"Location": "https://login.example/start?token=secret"})
    with scripted(elsewhere) as seen:
        text = message(predict(photos[0], "--server", seen.address))
    assert "redirects to https://login.example/start;" in text
    assert "secret" not in text
    assert len(seen.requests) == 1


def test_the_machines_proxy_is_not_asked_for_this_machine(
    photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with scripted(FINE) as seen:
        assert predict(photos[0], "--server", seen.address).exit_code == 0


def test_a_proxy_that_fails_is_named_without_its_password(
    photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:1")
    text = message(predict(photos[0], "--server", "http://mien.example"))
    assert "through the proxy http://127.0.0.1:1" in text and "no_proxy" in text
    assert "secret" not in text


def test_headers_are_an_argument_of_the_library_too(photos: list[str]) -> None:
    with scripted(FINE) as seen:
        (result,) = RemotePredictor(seen.address, headers={"X-Key": "1"}).predict_many(photos[:1])
    assert result.width == 64
    assert seen.requests[0][1]["x-key"] == "1"
