"""``mien summarize``: one page about an annotated collection."""

import base64
import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from annotate_fakes import PHOTOS
from film_fakes import MAN, WOMAN, portrait, scene, write_film
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner, Result

from mien import Request
from mien.annotate import Setup, annotate
from mien.annotate.age_mass import AGES, fitted_masses
from mien.annotate.film_run import annotate_films
from mien.annotate.schema import faces_schema
from mien.annotate.summarize import CHIPS
from mien.cli import app
from mien.pipeline.intervals import age_at, mass_below

ROOT = Path(__file__).parents[2]
PORTRAITS = sorted(PHOTOS.glob("*.jpg"))
BROKEN = "<b>broken & torn.jpg"


@pytest.fixture(scope="module")
def annotated(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, one broken, and their annotations: ``out`` and the single files."""
    folder = tmp_path_factory.mktemp("annotated")
    for name, photos in (("one", [ROOT / "examples" / "astronaut.jpg"]), ("two & three", PORTRAITS)):
        (folder / "photos" / name).mkdir(parents=True)
        for photo in photos:
            shutil.copy(photo, folder / "photos" / name)
    (folder / "photos" / "one" / BROKEN).write_bytes(b"no photo")
    request = Request(distribution=True)
    for output in ("out", "faces.csv"):
        setup = Setup(request if output == "out" else Request(), str(tiny_model))
        annotate([str(folder / "photos")], str(folder / output), setup, workers=1, quiet=True)
    return folder


@pytest.fixture
def collection(annotated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may spoil; the working directory is beside it."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(annotated / "out", tmp_path / "out"))


def mien(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["summarize", *map(str, arguments)])


def page_of(output: object, *arguments: object) -> str:
    done = mien(output, "--output", "album.html", *arguments)
    assert done.exit_code == 0, done.output
    return Path("album.html").read_text()


def figure(page: str, name: str) -> str:
    """The number of a tile."""
    found = re.search(rf"<dt>{name}</dt><dd><b>([^<]+)</b>", page)
    assert found is not None
    return found[1]


def rows_of(path: str) -> list[list[str]]:
    with open(path, newline="") as file:
        return list(csv.reader(file))[1:]


def faces_of(output: Path) -> pa.Table:
    return pa.concat_tables(parquet.read_table(part) for part in sorted((output / "faces").iterdir()))


def test_the_page_counts_photos_faces_and_failures(collection: Path) -> None:
    page = page_of(collection)
    assert figure(page, "Photos") == str(len(PORTRAITS) + 2)
    assert figure(page, "Faces") == str(len(faces_of(collection)))
    assert "1 could not be read" in page


def test_the_page_needs_nothing_else_and_runs_nothing(collection: Path) -> None:
    page = page_of(collection)
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import""", page)


def test_names_are_escaped(collection: Path) -> None:
    page = page_of(collection)
    assert "<b>broken" not in page
    assert "&lt;b&gt;broken &amp; torn.jpg" in page and "two &amp; three" in page


def test_every_face_counts_once_over_all_ages(collection: Path) -> None:
    page_of(collection, "--csv", "counts.csv")
    ages = [row for row in rows_of("counts.csv") if row[0] == "apparent age"]
    number = len(faces_of(collection))
    assert sum(float(row[3]) for row in ages if row[2] == "faces by estimate") == number
    spread = sum(float(row[3]) for row in ages if row[2] != "faces by estimate")
    assert spread == pytest.approx(number, abs=0.1)


def test_the_distributions_of_the_table_are_used(collection: Path) -> None:
    page_of(collection, "--csv", "counts.csv")
    faces = faces_of(collection)
    expected = sum(np.array(masses, float)[20:25].sum() for masses in faces["distribution"].to_pylist())
    band = [float(row[3]) for row in rows_of("counts.csv") if row[:2] == ["apparent age", "20-24"]]
    assert sum(band[1:]) == pytest.approx(expected, abs=0.01)


def test_the_counts_of_folders_are_those_of_the_whole(collection: Path) -> None:
    page_of(collection, "--csv", "counts.csv")
    for measure in ("photos", "faces", "photos that could not be read", "flagged faces"):
        rows = [row for row in rows_of("counts.csv") if row[2] == measure and row[0] in ("all", "folder")]
        assert len(rows) == 3
        assert int(rows[0][3]) == sum(int(row[3]) for row in rows[1:]), measure


def test_flags_have_their_reason(collection: Path) -> None:
    part = next((collection / "faces").iterdir())
    faces = parquet.read_table(part)
    flags = pa.array([["blurred"]] + [[]] * (len(faces) - 1), faces.schema.field("flags").type)
    place = faces.schema.get_field_index("flags")
    parquet.write_table(faces.set_column(place, faces.schema.field("flags"), flags), part)
    page = page_of(collection)
    assert "<code>blurred</code></th><td>Blurred, so less sure</td><td>1</td>" in page


def test_faces_are_shown_as_small_pictures(collection: Path) -> None:
    page = page_of(collection)
    assert page.count("data:image/jpeg;base64,") == min(len(faces_of(collection)), CHIPS)
    assert len(page) < 20_000 * CHIPS


def test_faces_can_be_left_out(collection: Path) -> None:
    page = page_of(collection, "--no-chips")
    assert "data:image" not in page and "<h2>Faces</h2>" not in page


def test_photos_that_are_gone_are_no_error(collection: Path) -> None:
    for part in (collection / "faces").iterdir():
        faces = parquet.read_table(part)
        gone = pa.array([f"gone/{name}" for name in faces["photo"].to_pylist()])
        place = faces.schema.get_field_index("photo")
        parquet.write_table(faces.set_column(place, faces.schema.field("photo"), gone), part)
    page = page_of(collection)
    assert "No photo is in its place any more" in page and "data:image" not in page


def test_an_unfinished_run_is_named_and_shown(collection: Path) -> None:
    assert "not finished" not in page_of(collection)
    record = json.loads((collection / "run.json").read_text())
    assert record["finished"]
    (collection / "run.json").write_text(json.dumps(record | {"finished": False}))
    page = page_of(collection)
    assert "This annotation is not finished" in page
    assert figure(page, "Photos") == str(len(PORTRAITS) + 2)


def test_faces_that_a_killed_run_left_do_not_count(collection: Path) -> None:
    before = len(faces_of(collection))
    shutil.copy(next((collection / "faces").iterdir()), collection / "faces" / "part-000999.parquet")
    assert figure(page_of(collection), "Faces") == str(before)


def test_a_collection_without_faces_has_a_page(tmp_path: Path, collection: Path) -> None:
    for table in ("faces", "photos"):
        parts = sorted((collection / table).iterdir())
        for part in parts:
            parquet.write_table(parquet.read_table(part).slice(0, 0), part)
    page = page_of(collection, "--csv", "counts.csv")
    assert "No face was found" in page and "<svg" not in page


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_single_file_gives_the_same_faces(
    ending: str, tiny_model: Path, annotated: Path, collection: Path
) -> None:
    setup = Setup(Request(distribution=True), str(tiny_model))
    annotate([str(annotated / "photos")], f"faces.{ending}", setup, workers=1, quiet=True)
    page_of(collection, "--csv", "expected.csv")
    assert "1 could not be read" in page_of(f"faces.{ending}")
    Path(f"faces.{ending}").rename(f"alone.{ending}")
    page = page_of(f"alone.{ending}", "--csv", "counts.csv")
    assert "file of faces alone" in page and "Slowest" not in page
    sections = ("apparent age", "perceived gender", "flag")
    found, expected = (
        [(*row[:3], round(float(row[3]), 1)) for row in rows_of(name) if row[0] in sections]
        for name in ("counts.csv", "expected.csv")
    )
    assert found == expected


def test_a_file_without_distributions_is_summarized_too(annotated: Path, collection: Path) -> None:
    shutil.copy(annotated / "faces.csv", "faces.csv")
    assert figure(page_of("faces.csv"), "Faces") == str(len(faces_of(collection)))


@pytest.mark.parametrize(
    "name", ["nothing", "nothing.csv", "folder", "text.csv", "text.parquet", "text.jsonl"]
)
def test_what_is_no_annotation_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for ending in ("csv", "parquet", "jsonl"):
        (tmp_path / f"text.{ending}").write_text("a,b\n1,2\n")
    done = mien(name, "--output", "album.html")
    assert done.exit_code != 0 and f"{name} is " in str(done.exception)
    assert not (tmp_path / "album.html").exists()


@pytest.mark.parametrize("wrong", [{"age": -1.0}, {"coverage": 1.0}, {"high": float("nan")}, {"box": [1.0]}])
def test_estimates_that_are_none_are_refused(
    wrong: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    face = {"photo": "a.jpg", "index": 0, "box": [0.0, 0, 9, 9], "age": 30.0, "low": 25.0, "high": 40.0}
    face |= {"coverage": 0.9, "p_female": 0.8, "label": "female", "flags": []}
    parquet.write_table(pa.Table.from_pylist([face], faces_schema()), "faces.parquet")
    assert "1" in page_of("faces.parquet")
    parquet.write_table(pa.Table.from_pylist([face | wrong], faces_schema()), "faces.parquet")
    assert "is damaged" in str(mien("faces.parquet", "--output", "album.html").exception)


def test_a_damaged_part_is_named(collection: Path) -> None:
    part = next((collection / "faces").iterdir())
    part.write_bytes(part.read_bytes()[:50])
    done = mien(collection, "--output", "album.html")
    assert done.exit_code != 0 and part.name in str(done.exception)


def test_the_page_does_not_replace_the_table(annotated: Path, collection: Path) -> None:
    shutil.copy(annotated / "faces.csv", "faces.csv")
    before = Path("faces.csv").read_bytes()
    assert mien("faces.csv", "--output", "faces.csv").exit_code != 0
    assert Path("faces.csv").read_bytes() == before


@given(st.floats(25, 80), st.floats(5, 20), st.floats(5, 20), st.sampled_from([0.5, 0.8, 0.9, 0.99]))
def test_a_fit_has_the_median_and_the_interval_of_the_estimate(
    age: float, below: float, above: float, coverage: float
) -> None:
    masses = fitted_masses(*(np.array([value]) for value in (age, age - below, age + above, coverage)))
    assert masses.shape == (1, AGES) and masses.min() >= 0
    assert masses.sum() == pytest.approx(1)
    assert age_at(masses, 0.5)[0] == pytest.approx(age, abs=0.5)  # the mass of a year lies evenly in it
    first, last = mass_below(np.repeat(masses, 2, 0), [age - below, age + above])
    assert last - first == pytest.approx(coverage, abs=0.05)


@pytest.fixture
def films(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The annotation of a film with a woman, and after a cut with a man, and of a broken one."""
    monkeypatch.chdir(tmp_path)
    bright = Image.new("RGB", (640, 360), (230, 230, 230))
    bright.paste(portrait(MAN), (200, 60))
    write_film(Path("clip.mp4"), [*[scene((portrait(WOMAN), 200, 60))] * 25, *[bright] * 25])
    Path("broken.mp4").write_bytes(b"no film")
    annotate_films(["broken.mp4", "clip.mp4"], "out", Setup(Request(), str(tiny_model)), quiet=True)
    return Path("out")


def test_films_count_each_person_once(films: Path) -> None:
    page = page_of(films)
    assert figure(page, "People") == "2"
    assert figure(page, "Films") == "2"
    assert "broken.mp4 is damaged, cut short or no film" in page


def test_people_in_films_are_shown_at_their_best(films: Path) -> None:
    page = page_of(films)
    shown = re.findall(r'base64,([^"]+)".*?clip.mp4, ([\d.]+) s', page, re.DOTALL)
    assert sorted(float(time) < 1 for _, time in shown) == [False, True]
    for jpeg, time in shown:
        face = Image.open(io.BytesIO(base64.b64decode(jpeg))).convert("L").resize((32, 32))
        right, wrong = (WOMAN, MAN) if float(time) < 1 else (MAN, WOMAN)
        assert likeness(face, right) > 0.8 > likeness(face, wrong)


def likeness(face: Image.Image, name: str) -> float:
    """Correlation with a portrait, at the best of some crops."""
    whole = portrait(name).convert("L")
    crops = (
        whole.resize((32, 32), box=(x, y, x + side, y + side))
        for side in range(100, whole.width, 12)
        for x in range(0, whole.width - side, 8)
        for y in range(0, whole.height - side, 8)
    )
    given = np.asarray(face, float).ravel()
    return max(float(np.corrcoef(given, np.asarray(crop, float).ravel())[0, 1]) for crop in crops)


def test_films_that_are_gone_are_no_error(films: Path) -> None:
    Path("clip.mp4").unlink()
    page = page_of(films)
    assert "data:image" not in page
    assert "No film is in its place any more" in page
