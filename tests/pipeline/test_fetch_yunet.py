"""YuNet's file comes into the user's cache once, whole, and only if it is the one expected."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import platformdirs
import pytest

from mien.errors import DetectorError
from mien.pipeline.detect import make_detector
from mien.pipeline.detect.fetch import FILE, yunet_path

CONTENT = b"a small net"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Zoo(BaseHTTPRequestHandler):
    """Serves the content at /net and nothing else; counts the requests."""

    asked = 0

    def do_GET(self) -> None:
        Zoo.asked += 1
        if self.path == "/garbage":
            self.wfile.write(b"no HTTP at all\r\n")
            return
        self.send_response(200 if self.path == "/net" else 404)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


@pytest.fixture
def zoo() -> Iterator[str]:
    Zoo.asked = 0
    with HTTPServer(("127.0.0.1", 0), Zoo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache directory, wherever the system keeps it."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: folder / name)
    return folder / "mien"


def without_home(name: str) -> Path:
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("found", [without_home, lambda name: Path("~/.cache") / name])
def test_a_user_without_a_home_is_told_what_to_set(
    found: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(platformdirs, "user_cache_path", found)
    with pytest.raises(DetectorError, match="set HOME to a folder"):
        make_detector("yunet")
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_fetched_once_and_said_so(
    zoo: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert yunet_path(f"{zoo}/net", SHA256) == cache / FILE
    assert (cache / FILE).read_bytes() == CONTENT
    assert capsys.readouterr().err == f"mien: fetching YuNet (0.2 MB) from OpenCV's model zoo into {cache}\n"
    yunet_path(f"{zoo}/net", SHA256)
    assert Zoo.asked == 1
    assert capsys.readouterr().err == ""


def test_another_file_is_refused_and_not_kept(zoo: str, cache: Path) -> None:
    with pytest.raises(DetectorError, match="SHA-256 differs"):
        yunet_path(f"{zoo}/net", "0" * 64)
    assert not cache.exists()


def test_a_damaged_file_in_the_cache_is_fetched_again(zoo: str, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(CONTENT[:3])
    assert yunet_path(f"{zoo}/net", SHA256).read_bytes() == CONTENT


def test_nothing_but_the_file_is_left_in_the_cache(zoo: str, cache: Path) -> None:
    yunet_path(f"{zoo}/net", SHA256)
    assert [path.name for path in cache.iterdir()] == [FILE]


def test_a_page_that_is_not_there_is_one_sentence(zoo: str) -> None:
    with pytest.raises(DetectorError, match=r"could not be fetched \(.*\); fetch .* yourself"):
        yunet_path(f"{zoo}/gone", SHA256)


def test_no_network_is_one_sentence() -> None:
    with pytest.raises(DetectorError, match=r"could not be fetched \(.*refused.*\)"):
        yunet_path("http://127.0.0.1:9/net", SHA256)


def test_a_cache_that_cannot_be_written_is_one_sentence(zoo: str, cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DetectorError, match="cannot be written"):
        yunet_path(f"{zoo}/net", SHA256)


def test_an_answer_that_is_no_http_is_a_sentence(zoo: str, cache: Path) -> None:
    with pytest.raises(DetectorError, match="could not be fetched"):
        yunet_path(f"{zoo}/garbage", SHA256)
    assert not cache.exists()
