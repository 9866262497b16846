"""Draw estimates on their photo."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.errors import ImageError
from mien.files import written_beside
from mien.pipeline.images import Pixels
from mien.results import Box, Estimate, whole_percent, whole_years

AMBER, INK = (255, 202, 77), (24, 20, 12)

LEAST_SIDE, MOST_SIDE = 320, 1024
"""Photos with a shorter side below the first are enlarged by a whole factor, so that their labels fit; the
longer side stays within the second."""

Area = tuple[float, float, float, float]


def draw_estimates(photo: Pixels, estimates: Sequence[Estimate]) -> Image.Image:
    """Mark faces and label them with their estimates.

    Args:
        photo: (height, width, 3) upright RGB; it is not changed.
        estimates: Its faces; several faces are numbered from 1 in this order.

    Returns:
        A new RGB image of the photo's size, or a multiple of it for a small photo.
    """
    image = Image.fromarray(photo)
    factor = _enlargement(image) if estimates else 1
    if factor > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)
    texts = [label_of(face, i if len(estimates) > 1 else None) for i, face in enumerate(estimates, 1)]
    draw_labels(image, [_scaled(estimate.box, factor) for estimate in estimates], texts)
    return image


def draw_labels(image: Image.Image, boxes: Sequence[Box], texts: Sequence[str]) -> None:
    """Draw boxes and their labels on an image.

    Args:
        image: RGB; it is changed.
        boxes: In pixels of the image.
        texts: One label per box.
    """
    draw = ImageDraw.Draw(image)
    for box in boxes:
        _draw_box(draw, box, max(2, round(_text_size(image, box) / 7)))
    taken: list[Area] = []
    for text, box in zip(texts, boxes, strict=True):
        font = ImageFont.load_default(_text_size(image, box))
        others = [_area(other) for other in boxes if other is not box]
        taken.append(_draw_label(draw, text, font, box, image.size, [*taken, *others]))


def label_of(estimate: Estimate, number: int | None = None) -> str:
    """The two lines of a face's label: age with interval, and gender with probability."""
    age, gender = estimate.age, estimate.gender
    prefix = f"#{number}  " if number is not None else ""
    # A hyphen, because Pillow's own font has no dash.
    first = f"{prefix}apparent age {whole_years(age.years)} ({whole_years(age.low)}-{whole_years(age.high)})"
    likelier = "" if gender.label == gender.likelier else f"{gender.likelier} "
    return f"{first}\nperceived {gender.label} {likelier}{whole_percent(gender.probability)} %"


def save_drawing(image: Image.Image, path: Path) -> None:
    """Write a drawing as JPEG or PNG, by the path's suffix, without any metadata.

    Raises:
        ImageError: If it cannot be written.
    """
    try:
        with written_beside(path) as partial:
            Image.fromarray(np.asarray(image)).save(partial, quality=92)  # pixels only
    except OSError as error:
        raise ImageError(f"{path} cannot be written ({error.strerror or error}).") from None


def _enlargement(image: Image.Image) -> int:
    return max(1, min(ceil(LEAST_SIDE / min(image.size)), MOST_SIDE // max(image.size)))


def _scaled(box: Box, factor: int) -> Box:
    return Box(*(factor * v for v in box))


def _text_size(image: Image.Image, box: Box) -> float:
    """Text size in pixels: proportional to the face, but readable when the whole photo is in view."""
    width, height = image.size
    view = (width * height) ** 0.5
    return float(max(12, 0.018 * view, min(box.width / 7, 0.04 * view)))


def _draw_box(draw: ImageDraw.ImageDraw, box: Box, line: int) -> None:
    x1, y1, x2, y2 = (round(v) for v in box)
    halo = max(1, line // 3)
    draw.rectangle((x1 - halo, y1 - halo, x2 + halo, y2 + halo), outline=INK, width=line + 2 * halo)
    draw.rectangle((x1, y1, x2, y2), outline=AMBER, width=line)


def _draw_label(
    draw: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    box: Box,
    size: tuple[int, int],
    taken: Sequence[Area],
) -> Area:
    """Draw a label where it hides the least of faces and other labels; return its area."""
    left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font, spacing=3)
    pad = 0.3 * (bottom - top) / 2
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    places = [_inside(x, y, width, height, size) for x, y in _corners(box, width, height)]
    area = min(places, key=lambda place: sum(_overlap(place, other) for other in [*taken, _area(box)]))
    draw.rectangle(area, fill=AMBER, outline=INK)
    draw.multiline_text((area[0] + pad - left, area[1] + pad - top), text, fill=INK, font=font, spacing=3)
    return area


def _corners(box: Box, width: float, height: float) -> list[tuple[float, float]]:
    """Places for a label, best first: above the box, below, right of it, left of it, inside at the bottom."""
    return [
        (box.x1, box.y1 - height),
        (box.x1, box.y2),
        (box.x2, box.y1),
        (box.x1 - width, box.y1),
        (box.x1, box.y2 - height),
    ]


def _area(box: Box) -> Area:
    return (box.x1, box.y1, box.x2, box.y2)


def _inside(x: float, y: float, width: float, height: float, size: tuple[int, int]) -> Area:
    x, y = max(0.0, min(x, size[0] - 1 - width)), max(0.0, min(y, size[1] - 1 - height))
    return (x, y, x + width, y + height)


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)
