"""The pages as documents: what they say, whence, and what their security policy would not let through."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from live import live
from PIL import ExifTags, Image

from mien.pipeline.model import SHIPPED
from mien.pipeline.quality import Quality, flags_of
from mien.predictor import Predictor
from mien.results import Box, Face
from mien.web.app import create_app
from mien.web.model_card import card_html, shipped_card
from mien.web.pages import HERE, STATIC, _templates
from mien.web.settings import Settings
from mien.web.texts import ENGLISH

SVG = "http://www.w3.org/2000/svg"
OWN_FILES = [
    path
    for path in [*STATIC.rglob("*"), *HERE.glob("templates/*")]
    if path.suffix in (".css", ".js", ".svg", ".j2")
]


@pytest.fixture(scope="module")
def client(tiny_model: Path) -> Iterator[httpx.Client]:
    settings = Settings(workers=1, max_files=2)
    with (
        live(create_app(settings, Predictor(tiny_model))) as address,
        httpx.Client(base_url=address) as client,
    ):
        yield client


@pytest.fixture
def photo(astronaut: Path) -> tuple[str, bytes]:
    return ("face.jpg", astronaut.read_bytes())


@pytest.mark.parametrize("page", ["/", "/info", "/help", "/sample"])
def test_a_page_has_no_inline_script_and_no_inline_style(client: httpx.Client, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 200
    assert not re.search(r"<style|<script(?![^>]* src=)|\s(style|on\w+)=", answer.text)


def test_nothing_is_loaded_from_elsewhere() -> None:
    foreign = [
        path.name for path in OWN_FILES if re.search(r"[\"'(](https?:)?//", path.read_text().replace(SVG, ""))
    ]
    assert len(OWN_FILES) > 10
    assert foreign == []


def test_every_text_is_used() -> None:
    sources = [*HERE.glob("templates/*"), *STATIC.glob("js/*"), HERE / "pages.py"]
    source = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    unused = [
        f"{part}.{key}"
        for part, texts in ENGLISH.items()
        if part not in ("gender", "flags")
        for key in texts
        if not re.search(rf"\b{part}\.{key}\b|\"{key}\"|'{key}'", source)
    ]
    assert unused == []


def test_every_flag_has_words() -> None:
    face = Face(Box(0, 0, 1, 1), 0.0, unsure=True)
    flags = flags_of(face, Quality(side=0, outside=1, sharpness=0, brightness=0, asymmetry=1), damaged=True)
    assert set(flags) == set(ENGLISH["flags"])


def test_the_info_page_has_every_figure_of_the_shipped_models_card() -> None:
    card = shipped_card() or ""
    page = card_html(card)
    rows = [line for line in card.split("## Figures")[1].splitlines() if line.startswith("| ")]
    cells = {cell.strip() for row in rows for cell in row.split("|")} - {""}
    assert len(cells) > 100
    assert [cell for cell in cells if f">{cell}<" not in page] == []


def test_each_model_that_ships_has_its_own_card() -> None:
    cards = {name: shipped_card(Path(name)) or "" for name in SHIPPED}
    assert all(card.startswith(f"# Model card: {name}\n") for name, card in cards.items())
    assert shipped_card() == cards["small"] and shipped_card(Path("own.onnx")) is None
    assert "Creative Commons Attribution 4.0" in card_html(cards["open"])


def test_the_info_page_shows_pictures_first_and_folds_the_tables_under_them() -> None:
    page = card_html(shipped_card() or "").split("<h3>Figures</h3>")[1].split("<h3>Limits</h3>")[0]
    assert page.count("<svg") == len(list((HERE.parent / "weights").glob("*.svg"))) > 0
    assert page.rindex("<svg") < page.index("<table")
    folded = re.findall(r"<details><summary>([^<]{5,100})</summary>\n?<div[^>]*><table>", page)
    assert len(folded) == len({*folded}) == page.count("<table>") == page.count("</details>")


def test_a_table_without_a_title_is_not_folded() -> None:
    page = card_html("## Figures\n\n|a|\n|---|\n|1|\n\nTitle:\n\n|b|\n|---|\n|2|\n\nafter ![far](far.png)\n")
    assert page.count("<details>") == page.count("</details>") == 1
    assert "<summary>Title</summary>" in page
    assert "<p>after far</p>" in page


def test_the_info_page_shows_the_card_of_the_shipped_model_only(tiny_model: Path) -> None:
    pages = []
    for settings in (Settings(), Settings(model=tiny_model)):
        with live(create_app(settings)) as address:
            pages.append(httpx.get(f"{address}/info").text)
    assert "All-Age-Faces" in pages[0]
    assert "All-Age-Faces" not in pages[1]
    assert "“tiny”" in pages[1]


def test_a_card_becomes_html_without_styles_raw_html_and_dead_links() -> None:
    card = "## Other\n\nnot this\n\n## Use\n\n<b>raw</b> [beside](x.md) [far](https://a.org)\n\n|a|b|\n|---|---:|\n|1|2|\n"
    page = card_html(card)
    assert "not this" not in page
    assert '&lt;b&gt;raw&lt;/b&gt; beside <a href="https://a.org">far</a>' in page
    assert "style=" not in page
    assert '<td class="figure">2</td>' in page


def test_the_sample_is_the_example(astronaut: Path) -> None:
    assert (STATIC / "astronaut.jpg").read_bytes() == astronaut.read_bytes()


def test_the_form_answers_with_a_page_that_holds_the_photo_and_its_faces(
    client: httpx.Client, photo: tuple[str, bytes]
) -> None:
    answer = client.post("/result", files={"photo": photo}, data={"faces": "aligned", "coverage": "0.5"})
    assert answer.status_code == 200
    assert "50 % interval" in answer.text
    assert len(re.findall(r'src="data:image/jpeg;base64,[\w+/=]{1000,}"', answer.text)) == 2


def test_an_article_shows_a_photos_answer_as_the_page_without_scripts_does(
    client: httpx.Client, photo: tuple[str, bytes]
) -> None:
    sent = client.post("/article", files={"photo": photo}, data={"faces": "aligned"}).json()
    page = client.post("/result", files={"photo": photo}, data={"faces": "aligned"}).text
    assert sent["answer"] == client.post("/api/v1/predict?faces=aligned", files={"photo": photo}).json()
    cards = [re.findall(r'<p class="face-age">.*?</li>', html, re.DOTALL) for html in (sent["article"], page)]
    assert cards[0] == cards[1] and len(cards[0]) == 1
    assert "data:" not in sent["article"]  # the scripts have the pictures


def test_what_is_wrong_with_the_photo_of_an_article_is_a_problem(client: httpx.Client) -> None:
    answer = client.post("/article", files={"photo": ("a.jpg", b"no picture")})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_name_is_escaped(client: httpx.Client, photo: tuple[str, bytes]) -> None:
    answer = client.post("/result", files={"photo": ("<script>alert(1)</script>.jpg", photo[1])})
    article = client.post("/article", files={"photo": ("<script>alert(1)</script>.jpg", photo[1])}).json()
    for text in (answer.text, article["article"]):
        assert "&lt;script&gt;alert(1)" in text
        assert "<script>" not in text


@pytest.mark.parametrize(
    ("files", "options", "status", "sentence"),
    [
        ([], {"faces": "aligned"}, 415, "multipart/form-data"),
        ([("photo", ("a.jpg", b"no picture"))], {}, 400, "a.jpg is not a picture"),
        ([("photo", ("a.jpg", b""))] * 3, {}, 413, "2 photos at most"),
        ([("photo", ("a.jpg", b"x"))], {"coverage": "2"}, 422, "coverage"),
        ([("photo", ("a.jpg", b"x"))], {"thresholds": "999"}, 422, "thresholds must be whole ages"),
    ],
)
def test_what_is_wrong_with_a_form_is_said_on_a_page_with_the_right_status(
    client: httpx.Client,
    files: list[tuple[str, tuple[str, bytes]]],
    options: dict[str, str],
    status: int,
    sentence: str,
) -> None:
    answer = client.post("/result", files=files, data=options)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert sentence in answer.text


def test_an_unknown_address_is_a_page_to_a_browser_and_a_problem_to_a_program(client: httpx.Client) -> None:
    page = client.get("/nowhere", headers={"accept": "text/html,*/*"})
    problem = client.get("/nowhere")
    inside_the_api = client.get("/api/v1/nowhere", headers={"accept": "text/html"})
    assert [a.status_code for a in (page, problem, inside_the_api)] == [404] * 3
    assert page.headers["content-type"].startswith("text/html") and "mien" in page.text
    assert (
        problem.headers["content-type"]
        == "application/problem+json"
        == inside_the_api.headers["content-type"]
    )


def test_a_copy_is_upright_and_without_metadata(client: httpx.Client) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = 6, "camera"
    lying = io.BytesIO()
    Image.new("RGB", (40, 20)).save(lying, "JPEG", exif=exif)
    answer = client.post("/copy", files={"photo": ("lying.jpg", lying.getvalue())})
    with Image.open(io.BytesIO(answer.content)) as copy:
        assert copy.size == (20, 40)
        assert not copy.getexif()


def test_half_years_are_rounded_up_as_everywhere() -> None:
    faces = _templates().get_template("faces.html.j2").module
    said = faces.face_name(1, {"age": {"years": 28.5}, "gender": {"label": "female"}})  # type: ignore[attr-defined]  # a macro
    assert said == "Face 1: apparent age 29, perceived female"
