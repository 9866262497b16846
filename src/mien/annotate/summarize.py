"""Summary of an annotated collection, as a self-contained HTML page and as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import jinja2

from mien.annotate.chips import Chip, cut_chips
from mien.annotate.collection import Collection, open_collection
from mien.annotate.summary import count
from mien.annotate.summary_pictures import STEP, age_histogram, age_pyramid, banded
from mien.annotate.tally import LABELS, Part, Tally, count_collection
from mien.errors import DataError
from mien.files import refuse_overwriting, written_beside
from mien.results import whole_percent, whole_years
from mien.web.texts import FLAGS

CHIPS = 60
"""Maximum number of faces on the contact sheet; twice as many are sampled, since some photos may be gone."""

FOLDERS = 200
"""Maximum number of rows in the table of folders."""

HEADER = ("section", "group", "measure", "value")
"""Header of the CSV."""


def summarize(output: str, page: Path, *, table: Path | None = None, chips: bool = True) -> str:
    """Write a summary of an annotated collection.

    Args:
        output: The output of ``mien annotate``: a folder, or a file of faces.
        page: The HTML file to write.
        table: A CSV file to write the counts to; None for no CSV.
        chips: Whether to show some of the faces, from photos that still exist.

    Returns:
        A sentence with the page and its counts.

    Raises:
        DataError: If there is no annotation, or the page or the CSV cannot be written.
        MienError: If a file to write is the output itself.
    """
    refuse_overwriting([page, table], [Path(output)])
    collection = open_collection(output)
    tally = count_collection(collection, 2 * CHIPS if chips else 0)
    sheet = cut_chips(tally.sample, CHIPS)
    _write(page, render_page(collection, tally, sheet, chips=chips))
    if table is not None:
        rows = io.StringIO()
        csv.writer(rows, lineterminator="\n").writerows([HEADER, *counts_of(tally)])
        _write(table, rows.getvalue())
    return f"{page} shows {said_counts(collection, tally)}."


def counts_of(tally: Tally) -> Iterator[Sequence[str | float]]:
    """Yield the rows of the CSV: section, group, measure and value."""
    yield from (("all", "", measure, value) for measure, value in _figures(tally))
    yield from (("perceived gender", label, "faces", tally.labels[label]) for label in LABELS)
    yield from (("flag", flag, "faces", number) for flag, number in sorted(tally.flags.items()))
    bands = banded(tally.masses)
    for i, points in enumerate(banded(tally.points())):
        name = f"{STEP * i}-{STEP * i + STEP - 1}"
        female, male, likely_female, likely_male = (round(float(mass), 3) for mass in bands[:, i])
        yield "apparent age", name, "faces by estimate", int(points)
        yield "apparent age", name, "female", female
        yield "apparent age", name, "male", male
        yield "apparent age", name, "uncertain", round(likely_female + likely_male, 3)
    for folder, part in sorted(tally.folders.items()):
        yield from (("folder", folder, measure, value) for measure, value in _figures(part))


def _figures(part: Part) -> Iterator[tuple[str, float]]:
    counts = part.counts
    yield "photos", counts.photos
    yield "photos that could not be read", counts.failed
    yield "photos without a face", counts.without_faces
    yield "faces", part.faces
    yield "flagged faces", part.flagged
    if (median := part.median()) is not None:
        yield "median apparent age", median


def said_counts(collection: Collection, tally: Tally) -> str:
    """The numbers of faces and photos, or of people and films, in words."""
    one, many, place = ("person", "people", "film") if collection.films else ("face", "faces", "photo")
    return f"{tally.faces:,} {one if tally.faces == 1 else many} in {count(tally.counts.photos, place)}"


def render_page(collection: Collection, tally: Tally, sheet: Sequence[Chip], *, chips: bool) -> str:
    """Render the page as HTML with embedded pictures."""
    template = _environment().get_template("album.html.j2")
    folders = sorted(tally.folders.items(), key=lambda named: (-named[1].counts.photos, named[0]))
    page: str = template.render(
        collection=collection,
        tally=tally,
        said=said_counts(collection, tally),
        gender_threshold=(collection.record or {}).get("options", {}).get("gender_threshold"),
        pyramid=age_pyramid(tally) if tally.faces else "",
        histogram=age_histogram(tally) if tally.faces else "",
        flag_texts=FLAGS,
        sheet=sheet,
        chips=chips,
        folders=sorted(folders[:FOLDERS]),
        more_folders=len(folders) - FOLDERS,
        many="people" if collection.films else "faces",
    )
    return page


def _write(path: Path, text: str) -> None:
    try:
        with written_beside(path) as partial:
            partial.write_bytes(text.encode())
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror or error}).") from None


@cache
def _environment() -> jinja2.Environment:
    here = Path(__file__).parent
    # The style sheet is that of mien.evaluation. Importing that package would need the extra `train`.
    folders = [here / "templates", here.parent / "evaluation" / "templates"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"years": whole_years, "number": _number, "percent": _percent}
    return environment


def _number(value: int) -> str:
    return f"{value:,}"


def _percent(part: int, whole: int) -> str:
    r"""A share in whole percent; a share above 0 is never shown as 0 %, and one below 1 never as 100 %.

    >>> _percent(1, 1000), _percent(999, 1000), _percent(0, 0)
    ('< 1\xa0%', '> 99\xa0%', '0\xa0%')
    """
    share = whole_percent(part / whole) if whole else 0
    if part and not share:
        return "< 1\N{NO-BREAK SPACE}%"
    return "> 99\N{NO-BREAK SPACE}%" if share == 100 and part < whole else f"{share}\N{NO-BREAK SPACE}%"
