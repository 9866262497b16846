"""A real browser, Debian's chromium by playwright, and what people do with the page in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking "
    "--disable-component-update --no-first-run "
    "--use-fake-ui-for-media-stream --use-fake-device-for-media-stream"
)


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS.split(), *flags])
        yield browser
        browser.close()


def make_photos(astronaut: Path, folder: Path) -> dict[str, Path]:
    """One face, two faces and none; and one of a kind that chromium cannot show."""
    names = {"pair": "pair.jpg", "nobody": "nobody.png", "hidden": "hidden.tiff"}
    photos = {key: folder / name for key, name in names.items()}
    with Image.open(astronaut) as portrait:
        pair = Image.new("RGB", (1024, 512))
        for x in (0, 512):
            pair.paste(portrait, (x, 0))
        pair.save(photos["pair"])
        portrait.save(photos["hidden"], compression="tiff_lzw")
    Image.linear_gradient("L").save(photos["nobody"])
    return photos | {"one": astronaut}


def choose(page: Page, *files: Path) -> None:
    page.get_by_label("Choose photos").set_input_files(list(files))
    expect(page.locator(".queued")).to_have_count(len(files))


def send(page: Page) -> None:
    page.get_by_role("button", name="Estimate").click()
    wait(page)


def wait(page: Page) -> None:
    expect(page.locator("#photos-done article").first).to_be_visible()
    expect(page.locator(".looking")).to_have_count(0, timeout=30_000)


def drop_sample(page: Page) -> None:
    transfer = page.evaluate_handle(
        """async () => {
            const blob = await (await fetch("static/astronaut.jpg")).blob();
            const transfer = new DataTransfer();
            transfer.items.add(new File([blob], "dropped.jpg", { type: "image/jpeg" }));
            return transfer;
        }"""
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def paste_sample(page: Page) -> None:
    page.evaluate(
        """async () => {
            const image = await createImageBitmap(await (await fetch("static/astronaut.jpg")).blob());
            const canvas = new OffscreenCanvas(image.width, image.height);
            canvas.getContext("2d").drawImage(image, 0, 0);
            const blob = await canvas.convertToBlob();
            await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }"""
    )
    page.keyboard.press("Control+V")


def serious_faults(page: Page) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate('axe.run({ resultTypes: ["violations"] })')["violations"]
    nodes = [
        (v["id"], node["html"])
        for v in found
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]
    return [f"{name}: {html[:200]}" for name, html in nodes]
