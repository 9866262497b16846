"""View a data set: select faces by label and show them on a sheet."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw, ImageFont, ImageOps

from mien.data.audit import age_label
from mien.data.layout import part_name
from mien.data.manifest import GENDERS, MAX_AGE
from mien.errors import DataError, ImageError
from mien.files import written_beside
from mien.pipeline.images import read_photo
from mien.progress import progress

SIDE = 144
"""Side of a face on the sheet, in pixels."""

_GAP = 10
_CAPTION = 40
_TITLE = 44
_PAPER, _EMPTY, _INK, _FAINT = (250, 250, 248), (226, 226, 222), (32, 32, 32), (112, 112, 112)


def parse_ages(text: str) -> tuple[float, float]:
    """Parse a range of ages; return its bounds in years, both inclusive.

    Raises:
        DataError: If the text is not a range of ages.

    >>> parse_ages("20-30"), parse_ages("26"), parse_ages("60+")
    ((20.0, 30.0), (26.0, 26.0), (60.0, 130.0))
    """
    match = re.fullmatch(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})|(\+))?\s*", text)
    if match is None:
        raise DataError(f"{text!r} is not a range of ages; write 26, 20-30 or 60+.")
    low = float(match[1])
    high = float(match[2]) if match[2] else float(MAX_AGE) if match[3] else low
    if high < low:
        raise DataError(f"the ages {text!r} end before they begin; write {high:g}-{low:g}.")
    return low, high


def select(
    table: pd.DataFrame, *, age: str | None = None, gender: str | None = None, split: str | None = None
) -> pd.DataFrame:
    """Select the rows with these labels; a face with an age bin counts if the range contains the whole bin.

    Args:
        table: A checked manifest.
        age: A range of ages, see :func:`parse_ages`.
        gender: ``male`` or ``female``, in any case.
        split: A value of the column ``split``.

    Raises:
        DataError: If a filter is invalid, or no row matches.
    """
    chosen = pd.Series(True, index=table.index)
    if age is not None:
        low, high = parse_ages(age)
        chosen &= (table["age_low"] >= low) & (table["age_high"] <= high)
    if gender is not None:
        if gender.lower() not in GENDERS:
            raise DataError(f"{gender!r} is not a gender of the manifest; choose male or female.")
        chosen &= table["gender"] == gender.lower()
    if split is not None:
        chosen &= table["split"] == part_name(split)
    if not chosen.any():
        raise DataError("no face has the labels asked for; choose a wider age range or fewer filters.")
    return table[chosen].reset_index(drop=True)


def face_sheet(
    table: pd.DataFrame, title: str, *, count: int = 48, seed: int = 0
) -> tuple[Image.Image, dict[str, str]]:
    """Draw a random sample of faces with their labels, the youngest first.

    Args:
        table: A checked manifest with at least one row.
        title: A line above the faces.
        count: Maximum number of faces.
        seed: Seed of the sample.

    Returns:
        The sheet, and why a picture could not be read, by path; such a picture is marked as unreadable.
    """
    sample = table.sample(min(count, len(table)), random_state=seed).sort_values(["age_low", "path"])
    columns = round(math.sqrt(len(sample) * 4 / 3))
    rows = math.ceil(len(sample) / columns)
    size = (_GAP + columns * (SIDE + _GAP), _TITLE + rows * (SIDE + _CAPTION) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (_GAP, _GAP), title, 18, _INK, size[0] - 2 * _GAP)
    unreadable = {}
    for i, face in enumerate(progress(sample.to_dict("records"), "Drawing faces", len(sample))):
        x, y = _GAP + i % columns * (SIDE + _GAP), _TITLE + i // columns * (SIDE + _CAPTION)
        try:
            _paste(sheet, face["path"], x, y)
        except ImageError as error:
            unreadable[str(face["path"])] = str(error)
            _write(draw, (x + _GAP, y + SIDE // 2 - 8), "unreadable", 13, _FAINT, SIDE)
        lines = _caption(face["age_low"], face["age_high"], [face[k] for k in ("gender", "race", "split")])
        _write(draw, (x, y + SIDE + 2), lines[0], 14, _INK, SIDE)
        _write(draw, (x, y + SIDE + 19), lines[1], 12, _FAINT, SIDE)
    return sheet, unreadable


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet in the format of the path's extension.

    Raises:
        DataError: If the format is unknown, or the file cannot be written.
    """
    try:
        with written_beside(path) as partial:
            sheet.save(partial)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror or error}); choose another --output."
        ) from None
    except ValueError:
        raise DataError(f"{path} does not end like a picture; name it .png or .jpg.") from None


def _paste(sheet: Image.Image, path: str, x: int, y: int) -> None:
    ImageDraw.Draw(sheet).rectangle((x, y, x + SIDE - 1, y + SIDE - 1), fill=_EMPTY)
    face = Image.fromarray(read_photo(path).pixels)
    face = ImageOps.contain(face, (SIDE, SIDE), Image.Resampling.LANCZOS)
    sheet.paste(face, (x + (SIDE - face.width) // 2, y + (SIDE - face.height) // 2))


def _caption(low: float, high: float, labels: Sequence[str]) -> tuple[str, str]:
    gender, *rest = labels
    return f"{age_label(low, high) or 'age unknown'}, {gender or 'gender unknown'}", " · ".join(
        label for label in rest if label
    )


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    """Write a line of text, shortened to a width in pixels."""
    font = ImageFont.load_default(size)
    while text and draw.textlength(text, font) > width:
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    draw.text(at, text, colour, font)
