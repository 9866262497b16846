"""Behind a real nginx."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from live import live
from page_driving import CHROMIUM, chromium
from playwright.sync_api import expect
from proxy import NGINX, nginx

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
