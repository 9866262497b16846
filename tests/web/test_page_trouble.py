"""What goes wrong around the page: logins that ran out, proxies, lost answers, odd files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from live import live
from page_driving import CHROMIUM, choose, send, wait
from playwright.sync_api import Browser, BrowserContext, Dialog, FilePayload, Page, expect
from proxy import NGINX, nginx

from mien.web.app import create_app
from mien.web.settings import Settings

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[str]:
    with live(create_app(Settings(model=tiny_model))) as address:
        yield address


@pytest.fixture(scope="module")
def second(astronaut: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("second") / "second.jpg"
    path.write_bytes(astronaut.read_bytes())
    return path


ANSWERS = {
    "a login's page": {"status": 200, "body": "<html>Log in</html>", "content_type": "text/html"},
    "a redirect": {"status": 302, "headers": {"location": "https://login.example/"}},
    "not signed in": {"status": 401, "body": "", "content_type": "text/plain"},
    "forbidden": {"status": 403, "body": "<html>", "content_type": "text/html"},
}


def fail_once(page: Page, **answer: object) -> None:
    """Give another answer to the first photo that is sent."""
    page.route("**/article", lambda route: route.fulfill(**answer), times=1)


@pytest.mark.parametrize("kind", ANSWERS)
def test_who_was_signed_out_is_told_so_and_can_try_again(
    page: Page, astronaut: Path, second: Path, kind: str
) -> None:
    fail_once(page, **ANSWERS[kind])
    choose(page, astronaut, second)
    send(page)
    expect(page.locator(".failure-sentence")).to_contain_text("You may have been signed out")
    expect(page.locator(".photo-picture")).to_have_count(1)  # the second photo was sent all the same
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".photo-picture")).to_have_count(2)


@pytest.mark.parametrize("body", ['{"photo": "a.jpg", "wid', "{}", "[]", ""])
def test_half_an_answer_is_a_failure_that_can_be_tried_again(page: Page, astronaut: Path, body: str) -> None:
    fail_once(page, status=200, body=body, content_type="application/json")
    choose(page, astronaut)
    send(page)
    expect(page.locator(".failure-sentence")).to_contain_text("cut short")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".photo-picture")).to_be_visible()


@pytest.mark.skipif(NGINX is None, reason="no nginx is installed")
def test_a_photo_too_large_for_a_proxy_is_said_to_be(browser: Browser, server: str, tmp_path: Path) -> None:
    large = FilePayload(name="large.tiff", mimeType="image/tiff", buffer=bytes(2_500_000))
    with nginx(f"location / {{ proxy_pass {server}; }}", tmp_path) as proxy:
        page = browser.new_page()
        page.goto(proxy)
        page.get_by_label("Choose photos").set_input_files(large)
        send(page)
        expect(page.locator(".failure-sentence")).to_contain_text("larger than a server on the way allows")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        page.close()


def test_answers_are_there_again_after_back_and_forward(page: Page, astronaut: Path) -> None:
    choose(page, astronaut)
    send(page)
    page.go_back()
    expect(page.get_by_text("Drop photos here")).to_be_visible()
    page.go_forward()
    expect(page.locator(".photo-picture")).to_be_visible()


def test_a_look_at_another_page_leaves_the_answers_where_they_are(page: Page, astronaut: Path) -> None:
    choose(page, astronaut)
    send(page)
    with page.context.expect_page() as other:
        page.get_by_role("link", name="How it works").click()
    expect(other.value.get_by_role("heading", name="How it works")).to_be_visible()
    expect(page.locator(".photo-picture")).to_be_visible()


def test_leaving_with_answers_is_asked_about(page: Page, astronaut: Path) -> None:
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    choose(page, astronaut)
    send(page)
    page.reload()
    expect(page.get_by_text("Drop photos here")).to_be_visible()
    assert asked == ["beforeunload"]


def test_what_is_awaited_can_be_cancelled(page: Page, astronaut: Path, second: Path) -> None:
    page.route("**/article", lambda route: None)  # no answer comes
    choose(page, astronaut, second)
    page.get_by_role("button", name="Estimate").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".failure-sentence")).to_have_text(["Cancelled before there was an answer."] * 2)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    page.unroute("**/article")
    page.get_by_role("button", name="Try again").first.click()
    expect(page.locator(".photo-picture")).to_be_visible()


def test_the_same_file_twice_is_taken_once(page: Page, astronaut: Path) -> None:
    choose(page, astronaut)
    page.get_by_label("Choose photos").set_input_files(astronaut)
    expect(page.get_by_role("alert")).to_contain_text("astronaut.jpg has already been added")
    expect(page.locator(".queued")).to_have_count(1)


def test_a_picture_without_an_ending_and_a_type_is_one(page: Page, astronaut: Path) -> None:
    nameless = FilePayload(
        name="IMG_0001", mimeType="application/octet-stream", buffer=astronaut.read_bytes()
    )
    page.get_by_label("Choose photos").set_input_files(nameless)
    send(page)
    expect(page.locator(".photo-picture")).to_be_visible()


def test_a_dropped_folder_gives_the_photos_in_it(page: Page, astronaut: Path, tmp_path: Path) -> None:
    (tmp_path / "album" / "deep").mkdir(parents=True)
    for name in ("a.jpg", "deep/b.jpg", ".hidden.jpg"):
        (tmp_path / "album" / name).write_bytes(astronaut.read_bytes())
    protocol = page.context.new_cdp_session(page)
    place = page.locator("#drop").bounding_box()
    assert place is not None
    files = {"items": [], "files": [str(tmp_path / "album")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        position = {"x": place["x"] + 50, "y": place["y"] + 50}
        protocol.send("Input.dispatchDragEvent", {"type": kind, **position, "data": files})
    expect(page.locator(".queued-name")).to_have_text(["a.jpg", "b.jpg"])


def test_a_dropped_address_is_told_apart(page: Page) -> None:
    transfer = page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.setData("text/uri-list", "https://example.org/a.jpg");
            return transfer;
        }"""
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    expect(page.get_by_role("alert")).to_contain_text("There was no file in what you dropped")


def test_another_round_after_back_is_shown(page: Page, astronaut: Path, second: Path) -> None:
    choose(page, astronaut)
    send(page)
    page.get_by_role("button", name="Try another photo").click()
    choose(page, second)
    send(page)
    expect(page.locator(".photo-name")).to_have_text(["second.jpg"])
    wait(page)


def test_the_page_can_be_used_in_a_frame_where_that_is_allowed(
    context: BrowserContext, tiny_model: Path, server: str
) -> None:
    page, outside = context.new_page(), FastAPI()

    @outside.get("/")
    def frame(of: str) -> HTMLResponse:
        return HTMLResponse(f"<iframe src='{of}' width=900 height=900></iframe>")

    words = page.frame_locator("iframe").get_by_text("Drop photos here")
    with live(outside, Settings()) as home:
        with live(create_app(Settings(model=tiny_model, frame_origins=(home,)))) as address:
            page.goto(f"{home}/?of={address}")
            expect(words).to_be_visible()
        page.goto(f"{home}/?of={server}", wait_until="networkidle")
        expect(words).to_have_count(0)
