"""The page as people meet it: Debian's or Google's chromium, driven by playwright, against a real server."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from live import live
from page_driving import (
    CHROMIUM,
    choose,
    drop_sample,
    make_photos,
    paste_sample,
    send,
    serious_faults,
    wait,
)
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, expect

from mien.predictor import Predictor
from mien.results import Estimate, whole_years
from mien.web.app import create_app
from mien.web.settings import Settings

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

LARGEST = 900_000


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor()


@pytest.fixture(scope="module")
def portrait(predictor: Predictor, astronaut: Path) -> Estimate:
    """What the page has to say of the example photo."""
    (estimate,) = predictor.predict(astronaut)
    return estimate


@pytest.fixture(scope="module")
def server(predictor: Predictor) -> Iterator[str]:
    settings = Settings(workers=1, max_files=4, max_upload_mb=LARGEST / 10**6)
    with live(create_app(settings, predictor)) as address:
        yield address


@pytest.fixture(scope="module")
def photos(astronaut: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_photos(astronaut, tmp_path_factory.mktemp("photos"))


def test_a_chosen_photo_is_previewed_and_then_answered_without_reload(
    page: Page, photos: dict[str, Path], portrait: Estimate
) -> None:
    page.evaluate("window.stayed = true")
    choose(page, photos["one"])
    expect(page.locator(".queued canvas")).to_be_visible()
    send(page)
    expect(page.locator(".face .years")).to_have_text(str(whole_years(portrait.age.years)))
    low, high = whole_years(portrait.age.low), whole_years(portrait.age.high)
    expect(page.locator(".face-interval")).to_have_text(f"{low} to {high}")
    expect(page.locator(".gender-label")).to_have_text(portrait.gender.label)
    expect(page.locator("#status")).to_have_text("Done. One photo: One face.")
    assert page.evaluate("window.stayed")


def test_the_box_lies_on_the_face(page: Page, photos: dict[str, Path], portrait: Estimate) -> None:
    choose(page, photos["one"])
    send(page)
    picture = page.locator(".photo-picture").bounding_box()
    drawn = page.locator(".box-line").bounding_box()
    assert picture is not None and drawn is not None
    scale = picture["width"] / 512
    assert drawn["x"] - picture["x"] == pytest.approx(portrait.box.x1 * scale, abs=4)
    assert drawn["y"] - picture["y"] == pytest.approx(portrait.box.y1 * scale, abs=4)
    assert drawn["width"] == pytest.approx(portrait.box.width * scale, abs=8)


@pytest.mark.parametrize(("put", "name"), [(drop_sample, "dropped.jpg"), (paste_sample, "pasted photo")])
def test_a_photo_can_be_dropped_and_pasted(page: Page, put: Callable[[Page], None], name: str) -> None:
    put(page)
    expect(page.locator(".queued-name")).to_have_text(name)
    send(page)
    expect(page.locator(".face")).to_have_count(1)


def test_a_photo_can_be_taken_by_camera(page: Page) -> None:
    page.get_by_role("button", name="Take a photo").click()
    expect(page.get_by_role("dialog", name="Take a photo")).to_be_visible()
    page.get_by_role("button", name="Take it").click()
    expect(page.locator(".queued-name")).to_have_text("camera photo")


def test_several_photos_are_answered_one_by_one(page: Page, photos: dict[str, Path]) -> None:
    choose(page, photos["one"], photos["pair"], photos["nobody"])
    send(page)
    expect(page.locator("article .photo-name")).to_have_text(["astronaut.jpg", "pair.jpg", "nobody.png"])
    expect(page.locator(".face")).to_have_count(3)
    expect(page.locator("#status")).to_have_text("Done. 3 photos: 3 faces.")


def test_a_card_lights_its_box_and_a_box_its_card(page: Page, photos: dict[str, Path]) -> None:
    choose(page, photos["pair"])
    send(page)
    page.locator(".face").nth(1).hover()
    expect(page.locator(".box").nth(1)).to_have_class("box lit")
    expect(page.locator(".box").nth(0)).to_have_class("box")
    page.locator(".box").nth(0).hover()
    expect(page.locator(".face").nth(0)).to_have_class("face lit")
    expect(page.locator(".face").nth(1)).to_have_class("face")


def test_no_face_is_an_answer_with_advice_and_can_be_read_as_a_crop(
    page: Page, photos: dict[str, Path]
) -> None:
    choose(page, photos["nobody"])
    send(page)
    expect(page.get_by_role("heading", name="no face")).to_be_visible()
    page.get_by_role("button", name="Read it as a face crop").click()
    expect(page.locator(".face")).to_have_count(1)


def test_a_photo_that_the_browser_cannot_show_is_shown_all_the_same(
    page: Page, photos: dict[str, Path], portrait: Estimate
) -> None:
    choose(page, photos["hidden"])
    expect(page.locator(".queued-picture")).to_have_text("No preview here, but mien reads it")
    send(page)
    expect(page.locator(".face .years")).to_have_text(str(whole_years(portrait.age.years)))
    assert (
        page.locator(".photo-picture").evaluate("image => image.decode().then(() => image.naturalWidth)")
        == 512
    )


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (
            FilePayload(name="letter.txt", mimeType="text/plain", buffer=b"Dear"),
            "cannot read letter.txt as a picture",
        ),
        (
            FilePayload(name="letter.jpg", mimeType="image/jpeg", buffer=b"Dear"),
            "cannot read letter.jpg as a picture",
        ),
        (
            FilePayload(name="huge.jpg", mimeType="image/jpeg", buffer=bytes(LARGEST)),
            "huge.jpg is larger than 0.9 MB",
        ),
        (FilePayload(name="none.jpg", mimeType="image/jpeg", buffer=b""), "none.jpg is empty"),
    ],
)
def test_what_cannot_be_read_is_refused_before_it_is_sent(
    page: Page, file: FilePayload, sentence: str
) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.get_by_label("Choose photos").set_input_files(file)
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    expect(page.get_by_role("button", name="Estimate")).not_to_be_visible()
    assert "POST" not in sent


def test_what_the_server_refuses_is_told_in_its_words(page: Page, astronaut: Path) -> None:
    cut_short = FilePayload(name="cut.heic", mimeType="image/heic", buffer=astronaut.read_bytes()[:2000])
    page.get_by_label("Choose photos").set_input_files(cut_short)
    send(page)
    expect(page.locator(".failure-sentence")).to_have_text(
        re.compile("^cut.heic is damaged or cut short.*; copy or download it again.$")
    )
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


def test_a_server_that_is_gone_is_said_and_the_photo_is_kept(
    context: BrowserContext, predictor: Predictor, photos: dict[str, Path]
) -> None:
    page = context.new_page()
    with live(create_app(Settings(workers=1), predictor)) as address:
        page.goto(address)
        choose(page, photos["one"])
    send(page)
    expect(page.locator(".failure-sentence")).to_contain_text("The server cannot be reached.")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_trying_again_after_a_broken_connection_answers(
    page: Page, photos: dict[str, Path], portrait: Estimate
) -> None:
    choose(page, photos["one"])
    page.context.set_offline(True)
    send(page)
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".face .years")).to_have_text(str(whole_years(portrait.age.years)))


def test_the_sample_is_one_click_away_and_another_photo_is_too(page: Page, portrait: Estimate) -> None:
    page.get_by_role("link", name="Try the sample").click()
    wait(page)
    expect(page.locator(".face .years")).to_have_text(str(whole_years(portrait.age.years)))
    page.get_by_role("button", name="Try another photo").click()
    expect(page.get_by_text("Drop photos here")).to_be_visible()
    expect(page.locator(".queued")).to_have_count(0)


def test_the_answer_can_be_copied_and_downloaded_as_the_api_gives_it(
    page: Page, photos: dict[str, Path], portrait: Estimate
) -> None:
    expected = {"photo": "astronaut.jpg", "width": 512, "height": 512, "faces": [portrait.to_json()]}
    choose(page, photos["one"])
    send(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    assert json.loads(download.value.path().read_text()) == expected
    page.get_by_role("button", name="Copy JSON").click()
    expect(page.locator("#status")).to_have_text("The JSON is on the clipboard.")
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == expected


def test_the_photo_with_marks_can_be_downloaded(page: Page, photos: dict[str, Path]) -> None:
    choose(page, photos["one"])
    send(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download with marks").click()
    assert download.value.suggested_filename == "astronaut-faces.jpg"
    with Image.open(download.value.path()) as marked:
        assert marked.size == (512, 512)


def test_a_name_is_text_and_never_markup(page: Page, astronaut: Path) -> None:
    name = '<img src=x onerror="window.hit=1">.jpg'
    page.get_by_label("Choose photos").set_input_files(
        FilePayload(name=name, mimeType="image/jpeg", buffer=astronaut.read_bytes())
    )
    expect(page.locator(".queued-name")).to_have_text(name)
    send(page)
    expect(page.locator(".photo-name")).to_have_text(name)
    assert page.evaluate("window.hit === undefined")


def test_everything_can_be_done_by_keyboard(page: Page) -> None:
    def press_until(name: str) -> None:
        for _ in range(25):
            page.keyboard.press("Tab")
            label = page.evaluate(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
            )
            if name in label:
                return
        pytest.fail(f"Tab never reaches {name}")

    press_until("Try the sample")
    page.keyboard.press("Enter")
    wait(page)
    expect(page.get_by_role("heading", name="What mien sees")).to_be_focused()
    press_until("Face 1")
    expect(page.locator(".face")).to_have_class("face lit")
    page.keyboard.press("Enter")
    expect(page.locator(".face-chip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".box")).to_be_focused()


@pytest.mark.parametrize("address", ["", "info", "help", "sample"])
def test_a_phone_never_scrolls_sideways(context: BrowserContext, server: str, address: str) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{server}/{address}")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(
    page: Page, server: str, photos: dict[str, Path], scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    choose(page, photos["pair"], photos["nobody"])
    faults = serious_faults(page)
    send(page)
    faults += serious_faults(page)
    other = page.context.new_page()
    other.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for address in ("info", "help", "sample", "nowhere"):
        other.goto(f"{server}/{address}")
        faults += serious_faults(other)
    assert faults == []


def test_without_scripts_a_form_and_a_page_of_its_own_do(
    browser: Browser, server: str, photos: dict[str, Path], portrait: Estimate
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server)
    page.get_by_label("Choose photos").set_input_files([photos["one"], photos["nobody"]])
    page.get_by_role("button", name="Estimate").click()
    expect(page.locator(".face .years")).to_have_text(str(whole_years(portrait.age.years)))
    expect(page.locator(".photo-picture").first).to_be_visible()
    expect(page.get_by_role("heading", name="no face")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download with marks").click()
    assert download.value.suggested_filename == "astronaut-faces.jpg"
    page.get_by_label("Is the photo itself a crop").set_input_files(photos["nobody"])
    page.get_by_role("button", name="Read it as a face crop").click()
    expect(page.locator(".face")).to_have_count(1)
    context.close()
