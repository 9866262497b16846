"""Behind a real nginx."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from live import live
from page_driving import CHROMIUM, chromium
from pictures import encode
from PIL import Image
from playwright.sync_api import expect
from proxy import NGINX, nginx
from typer.testing import CliRunner

from mien.cli import app
from mien.remote import AUTHORIZATION
from mien.web.app import create_app
from mien.web.settings import Settings

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx is installed")


@pytest.fixture(scope="module")
def address(tiny_model: Path) -> Iterator[str]:
    with live(create_app(Settings(model=tiny_model))) as address:
        yield address


@pytest.fixture(scope="module")
def below(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of everything below a path of the proxy's."""
    server = f"location /faces/ {{ proxy_pass {address}/; }}"
    with nginx(server, tmp_path_factory.mktemp("nginx")) as proxy:
        yield f"{proxy}/faces/"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
@pytest.mark.parametrize("page", ["", "info", "help", "docs"])
def test_every_page_works_below_a_path(below: str, page: str) -> None:
    with chromium() as browser:
        tab = browser.new_page()
        failed = []
        tab.on("response", lambda response: failed.append(response.url) if response.status >= 400 else None)
        tab.goto(below + page, wait_until="networkidle")
        assert failed == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_the_documents_try_the_api_below_a_path(below: str) -> None:
    with chromium() as browser:
        tab = browser.new_page()
        tab.goto(f"{below}docs")
        tab.get_by_role("button", name="GET /healthz").first.click()
        tab.get_by_role("button", name="Try it out").click()
        with tab.expect_response(lambda response: response.url == f"{below}healthz") as answer:
            tab.get_by_role("button", name="Execute").click()
        assert answer.value.status == 200
        expect(tab.locator(".responses-table.live-responses-table")).to_be_visible()


def test_a_photo_is_answered_below_a_path(below: str, astronaut: Path) -> None:
    answer = httpx.post(
        f"{below}api/v1/predict", files={"photo": ("a.jpg", astronaut.read_bytes())}, timeout=60
    )
    assert answer.json()["width"] == 512


DOCUMENT = Path(__file__).parents[2] / "docs" / "proxy.md"
LOGIN = ("anna", "secret")


def documented(address: str, folder: Path) -> str:
    """What the document's first example holds, for this machine: without TLS, with other logins."""
    (folder / "htpasswd").write_text(f"{LOGIN[0]}:{{PLAIN}}{LOGIN[1]}\n")
    example = DOCUMENT.read_text("utf-8").split("```nginx\nserver {\n")[1].split("\n}\n```")[0]
    kept = [
        line
        for line in example.splitlines()
        if not line.strip().startswith(("listen", "ssl_", "server_name"))
    ]
    text = "\n".join(kept).replace("http://127.0.0.1:5000", address).replace("$scheme", "https")
    return text.replace("/etc/nginx/mien.htpasswd", str(folder / "htpasswd"))


def logs_a_file(folder: Path) -> bool:
    return "is buffered to a temporary file" in (folder / "error.log").read_text("utf-8")


def test_the_documented_nginx_keeps_photos_off_its_disk_and_asks_for_a_login(
    tiny_model: Path, tmp_path: Path
) -> None:
    large = encode(Image.effect_noise((1100, 1000), 90).convert("RGB"), "PNG")
    assert len(large) > 2_000_000
    files = {"photo": ("large.png", large)}
    settings = Settings(model=tiny_model, allowed_hosts=("mien.example.org",))
    with live(create_app(settings)) as address, nginx(documented(address, tmp_path), tmp_path) as proxy:
        url, headers = f"{proxy}/api/v1/predict", {"Host": "mien.example.org"}
        assert httpx.get(proxy, headers=headers).status_code == 401
        answer = httpx.post(url, files=files, headers=headers, auth=LOGIN, timeout=60)
        assert answer.json()["width"] == 1100
        assert not logs_a_file(tmp_path)
        page = httpx.get(f"{proxy}/help", headers=headers, auth=LOGIN)
        assert "https://mien.example.org/api/v1/predict" in page.text
        assert httpx.get(f"{proxy}/metrics", headers=headers, auth=LOGIN).status_code == 403


def test_nginx_as_it_comes_writes_photos_to_its_disk(address: str, astronaut: Path, tmp_path: Path) -> None:
    """So the test before looks at the right place."""
    with nginx(f"location / {{ proxy_pass {address}; }}", tmp_path) as proxy:
        httpx.post(f"{proxy}/api/v1/predict", files={"photo": ("a.jpg", astronaut.read_bytes())}, timeout=60)
        assert logs_a_file(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
@pytest.mark.parametrize(("trusted", "scheme"), [(("127.0.0.2",), "https"), (("127.0.0.1",), "http")])
def test_forwarded_headers_are_heeded_from_trusted_proxies_alone(
    tiny_model: Path, tmp_path: Path, trusted: tuple[str, ...], scheme: str
) -> None:
    forward = "proxy_bind 127.0.0.2; proxy_set_header X-Forwarded-Proto https; proxy_set_header Host mien;"
    with (
        live(create_app(Settings(model=tiny_model, trusted_proxies=trusted))) as address,
        nginx(f"location / {{ {forward} proxy_pass {address}; }}", tmp_path) as proxy,
    ):
        assert f"{scheme}://mien/api/v1/predict" in httpx.get(f"{proxy}/help").text


def test_the_command_line_names_a_photo_too_large_for_nginx(
    address: str, astronaut: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(2_500_000))
    with nginx(f"location / {{ proxy_pass {address}; }}", tmp_path) as proxy:
        result = CliRunner().invoke(app, ["predict", str(large), str(astronaut), "--server", proxy])
    assert result.exit_code == 1
    assert f"{large} (2.5 MB) is larger than a server on the way allows" in result.stderr
    assert str(astronaut) in result.stdout


@pytest.mark.parametrize("as_url", [True, False])
def test_the_command_line_logs_in(address: str, astronaut: Path, tmp_path: Path, as_url: bool) -> None:
    (tmp_path / "htpasswd").write_text(f"{LOGIN[0]}:{{PLAIN}}{LOGIN[1]}\n")
    login = f"auth_basic mien; auth_basic_user_file {tmp_path}/htpasswd;"
    with nginx(f"location / {{ {login} proxy_pass {address}; }}", tmp_path) as proxy:
        refused = CliRunner().invoke(app, ["predict", str(astronaut), "--server", proxy])
        inside = proxy.replace("//", "//anna:secret@") if as_url else proxy
        variables = {} if as_url else {AUTHORIZATION: "Basic YW5uYTpzZWNyZXQ="}
        result = CliRunner().invoke(app, ["predict", str(astronaut), "--server", inside], env=variables)
    assert "wants a login (401)" in str(refused.exception)
    assert result.exit_code == 0
