"""By which names a server may be asked for."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from live import live
from page_driving import CHROMIUM, chromium
from playwright.sync_api import expect

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
    with chromium(rules) as browser:
        page = browser.new_page()
        page.goto(f"http://evil.example:{port}/static/astronaut.jpg")
        read = page.evaluate(
            "async () => { const r = await fetch('/metrics'); return [r.status, await r.text()]; }"
        )
    assert read[0] == 421 and "mien_" not in read[1]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_under_another_machines_name_the_page_says_why_the_camera_is_missing(address: str) -> None:
    with chromium("--host-resolver-rules=MAP mien 127.0.0.1") as browser:
        page = browser.new_page()
        page.goto(address.replace("127.0.0.1", "mien"))  # to the browser no secure context
        expect(page.get_by_text("The camera only works if")).to_be_visible()
        expect(page.get_by_role("button", name="Take a photo")).to_be_hidden()
