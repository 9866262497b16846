"""The live camera of the page, in a real browser whose camera shows the example photo."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import cv2
import pytest
from live import live
from page_driving import CHROMIUM, FLAGS, chromium, serious_faults
from playwright.sync_api import Browser, Page, expect

from mien.pipeline.images import read_photo
from mien.predictor import Predictor
from mien.results import Estimate
from mien.web.app import create_app
from mien.web.settings import Settings

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

WIDTH, HEIGHT = 640, 480
CAMERA = "document.querySelector('#live video').srcObject?.getVideoTracks()[0].getSettings()"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor()


@pytest.fixture(scope="module")
def portrait(predictor: Predictor, astronaut: Path) -> Estimate:
    (estimate,) = predictor.predict(astronaut)
    return estimate


@pytest.fixture(scope="module")
def film(astronaut: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example photo at the left of a grey frame, as a raw film; chromium shows it again and again."""
    frame = cv2.copyMakeBorder(
        cv2.resize(read_photo(astronaut).pixels, (HEIGHT, HEIGHT), interpolation=cv2.INTER_AREA),
        *(0, 0, 0, WIDTH - HEIGHT),
        cv2.BORDER_CONSTANT,
        value=(128, 128, 128),
    )
    planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes()
    path = tmp_path_factory.mktemp("film") / "camera.y4m"
    path.write_bytes(
        f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F30:1 Ip A1:1 C420\n".encode() + 3 * (b"FRAME\n" + planes)
    )
    return path


@pytest.fixture(scope="module")
def browser(film: Path) -> Iterator[Browser]:
    with chromium(f"--use-file-for-fake-video-capture={film}") as browser:
        yield browser


@pytest.fixture(scope="module")
def server(predictor: Predictor) -> Iterator[str]:
    with live(create_app(Settings(workers=1), predictor)) as address:
        yield address


def start(page: Page) -> None:
    page.get_by_role("button", name="Live").click()
    expect(page.locator(".live-face")).to_have_count(1, timeout=30_000)


def until(page: Page, expression: str) -> None:
    """Wait; playwright's own way evaluates strings in the page, which its security policy forbids."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"never: {expression}")


def camera(page: Page) -> Any:
    return page.evaluate(CAMERA)


def test_a_face_before_the_camera_has_a_box_and_an_estimate(page: Page, portrait: Estimate) -> None:
    start(page)
    expect(page.locator(".live-gender")).to_have_text(portrait.gender.label)
    assert int(page.locator(".live-years").inner_text()) == pytest.approx(portrait.age.years, abs=3)
    expect(page.locator(".live-interval")).to_have_text(re.compile(r"^\d+ to \d+$"))
    expect(page.locator("#live-status")).to_have_text("One face")
    expect(page.locator("#live-rate")).to_have_text(re.compile(r"^\d+\.\d frames per second$"))


def test_the_box_lies_on_the_face_as_in_a_mirror(page: Page, portrait: Estimate) -> None:
    start(page)
    page.wait_for_timeout(300)  # boxes glide into their place
    video, box = (page.locator(name).bounding_box() for name in ("#live video", ".live-face"))
    assert video is not None and box is not None
    scale = video["width"] / WIDTH * HEIGHT / 512
    assert video["x"] + video["width"] - box["x"] - box["width"] == pytest.approx(
        portrait.box.x1 * scale, abs=9
    )
    assert box["y"] - video["y"] == pytest.approx(portrait.box.y1 * scale, abs=9)


def test_frames_go_one_at_a_time_and_only_to_the_api(page: Page) -> None:
    page.evaluate(
        """() => {
            const { fetch } = window;
            Object.assign(window, { waiting: 0, most: 0, sent: [] });
            window.fetch = async (address, options) => {
                window.most = Math.max(window.most, ++window.waiting);
                window.sent.push(address);
                try { return await fetch(address, options); } finally { window.waiting--; }
            };
        }"""
    )
    start(page)
    until(page, "window.sent.length > 4")
    assert page.evaluate("[window.most, [...new Set(window.sent)]]") == [1, ["api/v1/predict"]]


@pytest.mark.parametrize("how", ["button", "Escape", "leaving"])
def test_stopping_ends_camera_and_requests(page: Page, how: str) -> None:
    start(page)
    if how == "button":
        page.get_by_role("button", name="Stop").click()
    elif how == "leaving":
        page.evaluate(
            "document.dispatchEvent(new Event('visibilitychange'))"
        )  # as another tab's opening does
    else:
        page.keyboard.press(how)
    expect(page.locator("#live")).to_be_hidden()
    until(page, f"!({CAMERA})")  # a browser tells of a dialog that Escape closed a moment later
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.wait_for_timeout(500)
    assert sent == []
    start(page)  # and it can be started again


def test_nothing_is_kept_in_the_browser(page: Page) -> None:
    start(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".live-face")).to_have_count(0)
    kept = "[localStorage.length, sessionStorage.length, document.cookie]"
    assert page.evaluate(kept) == [0, 0, ""]


def test_a_busy_server_is_waited_for(page: Page) -> None:
    page.route(
        "**/api/v1/predict", lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}), times=1
    )
    page.get_by_role("button", name="Live").click()
    expect(page.locator("#live-status")).to_contain_text("Trying again in 1 s")
    expect(page.locator(".live-face")).to_have_count(1)


def test_what_goes_wrong_is_said_where_photos_are_refused(page: Page) -> None:
    start(page)
    page.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    expect(page.locator("#live")).to_be_hidden()
    assert camera(page) is None
    page.context.set_offline(False)


def test_a_camera_that_may_not_be_used_is_said(page: Page) -> None:
    page.evaluate(
        """() => {
            const refused = new DOMException("", "NotAllowedError");
            navigator.mediaDevices.getUserMedia = async () => { throw refused; };
        }"""
    )
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("alert")).to_contain_text("The camera cannot be used (NotAllowedError)")


def test_a_camera_that_ends_is_said(page: Page) -> None:
    start(page)
    track = "document.querySelector('#live video').srcObject.getVideoTracks()[0]"
    page.evaluate(f"{track}.dispatchEvent(new Event('ended'))")
    expect(page.get_by_role("alert")).to_contain_text("The camera was disconnected or stopped.")
    expect(page.locator("#live")).to_be_hidden()


def test_the_next_camera_can_be_chosen(browser: Browser, server: str) -> None:
    two = [*FLAGS.split(), "--use-fake-device-for-media-stream=device-count=2"]
    other = browser.browser_type.launch(executable_path=CHROMIUM, args=two)
    page = other.new_context(permissions=["camera"]).new_page()
    page.goto(server)
    page.get_by_role("button", name="Live").click()
    expect(page.locator("#live-rate")).not_to_be_empty()
    first = camera(page)["deviceId"]
    page.get_by_role("button", name="Switch camera").click()
    until(page, f"({CAMERA} ?? {{ deviceId: {first!r} }}).deviceId !== {first!r}")
    page.wait_for_event("requestfinished")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#live")).to_be_hidden()
    other.close()


@pytest.mark.parametrize(("now", "wanted"), [("user", "environment"), ("environment", "user")])
def test_a_phone_turns_to_the_camera_on_its_other_side(page: Page, now: str, wanted: str) -> None:
    page.evaluate(
        """now => {
            const { mediaDevices } = navigator;
            const open = mediaDevices.getUserMedia.bind(mediaDevices);
            window.wanted = [];
            mediaDevices.enumerateDevices = async () => [{ kind: "videoinput" }, { kind: "videoinput" }];
            mediaDevices.getUserMedia = async ({ video }) => {
                window.wanted.push(video.facingMode.exact ?? video.facingMode);
                const stream = await open({ video: true });
                stream.getVideoTracks()[0].getSettings = () => ({ facingMode: now });
                return stream;
            };
        }""",
        now,
    )
    start(page)
    expect(page.locator("#live-picture")).to_have_class(
        "live-picture mirrored" if now == "user" else "live-picture"
    )
    page.get_by_role("button", name="Switch camera").click()
    until(page, "window.wanted.length === 2")
    assert page.evaluate("window.wanted") == ["user", wanted]
    expect(page.locator(".live-face")).to_have_count(1)


def test_a_single_camera_has_nothing_to_switch_to(page: Page) -> None:
    start(page)
    expect(page.locator("#live-switch")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    start(page)
    assert serious_faults(page) == []


def test_on_a_phone_the_buttons_are_in_view(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    start(page)
    expect(page.get_by_role("button", name="Stop")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


FOLLOW = """async (frames) => {
    const { follow } = await import(new URL("static/js/following.js", document.baseURI));
    let known = [];
    return frames.map((faces) => (known = follow(known, faces.map(([x, years, label]) => (
        { box: [x, 0, x + 100, 100], age: { years, low: years - 5, high: years + 5 }, gender: { label } }
    )))));
}"""


def test_estimates_that_flicker_are_steadied(page: Page) -> None:
    frames = [[[i % 3, 30 + 10 * (i % 2), "female" if i % 3 else "male"]] for i in range(40)]
    last = [faces[0] for faces in page.evaluate(FOLLOW, frames)[-10:]]
    years = [face["years"] for face in last]
    assert max(years) - min(years) < 2 and sum(years) / len(years) == pytest.approx(35, abs=1)
    assert {face["label"] for face in last} == {"female"}
    assert all(face["low"] < face["years"] < face["high"] for face in last)


def test_two_faces_are_told_apart_whatever_their_order(page: Page) -> None:
    pair = [[0, 20, "female"], [300, 60, "male"]]
    *_, last = page.evaluate(FOLLOW, [pair, pair[::-1], pair, pair[::-1]])
    assert sorted((face["years"], face["label"]) for face in last) == [(20, "female"), (60, "male")]


def test_a_face_that_is_missed_for_a_moment_stays(page: Page) -> None:
    face = [[0, 20, "female"]]
    counts = [len(faces) for faces in page.evaluate(FOLLOW, [face, [], [], face, [], [], []])]
    assert counts == [1, 1, 1, 1, 1, 1, 0]
