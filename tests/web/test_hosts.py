"""By which names a server may be asked for."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from live import live
from page_driving import CHROMIUM, FLAGS
from playwright.sync_api import sync_playwright

from mien.web.app import create_app
from mien.web.settings import Settings

OWN = [
    "127.0.0.1:5000",
    "localhost",
    "LOCALHOST:80",
    "mien.localhost",
    "[::1]:5000",
    "[::1]",
    "192.168.1.7",
    "mien",
]
FOREIGN = [
    "evil.example",
    "evil.example:5000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example.",
]


@pytest.fixture(scope="module")
def address(tiny_model: Path) -> Iterator[str]:
    with live(create_app(Settings(model=tiny_model))) as address:
        yield address


def ask(address: str, host: str, path: str = "/metrics") -> httpx.Response:
    return httpx.get(address + path, headers={"Host": host}, timeout=30)


@pytest.mark.parametrize("host", OWN)
def test_own_names_and_addresses_are_answered(address: str, host: str) -> None:
    assert ask(address, host).status_code == 200


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/model", "/static/astronaut.jpg"])
def test_another_name_is_refused_with_the_cure(address: str, host: str, path: str) -> None:
    response = ask(address, host, path)
    assert response.status_code == 421
    assert response.json()["type"] == "urn:mien:problem:wrong-host"
    assert "MIEN_ALLOWED_HOSTS" in response.json()["detail"]
    assert host not in response.text


def test_names_are_allowed_by_the_setting(tiny_model: Path) -> None:
    with live(
        create_app(Settings(model=tiny_model, allowed_hosts=("Mien.example.org", "*.example.net")))
    ) as address:
        statuses = [
            ask(address, host).status_code
            for host in ("mien.example.org:5000", "a.example.net", "example.net", "evil.example")
        ]
    assert statuses == [200, 200, 421, 421]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_page_whose_name_came_to_stand_for_this_machine_reads_nothing(address: str) -> None:
    port = urlsplit(address).port
    rules = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS.split(), rules])
        page = browser.new_page()
        page.goto(f"http://evil.example:{port}/static/astronaut.jpg")
        read = page.evaluate(
            "async () => { const r = await fetch('/metrics'); return [r.status, await r.text()]; }"
        )
        browser.close()
    assert read[0] == 421 and "mien_" not in read[1]
