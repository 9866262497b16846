"""Measure the recall of detectors on difficult faces: small, rotated, dark, blurred or partly covered ones.

The portraits in ``tests/photos``, which are in the public domain, are pasted on a grey canvas of 640×640
pixels and made more difficult step by step. A face counts as found if a detector's box overlaps the box that
mien's detector gives for the unchanged portrait. The table shows the share of faces found. As in prediction,
photos are also searched at quarter turns.

``python benchmarks/hard_faces.py [--detector NAME]... [--sheet JPG]``. The sheet shows the first portrait,
with a green frame if the first detector finds the face, and a red one otherwise.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from mien.pipeline.detect import Detector, make_detector
from mien.pipeline.detect.nms import intersection_over_union
from mien.pipeline.detect.rotation import TurningDetector
from mien.request import DEFAULT_DETECTOR
from mien.results import Box

PHOTOS = sorted((Path(__file__).parents[1] / "tests" / "photos").glob("*.jpg"))
SIDE, GREY, FACE = 640, (128, 128, 128), 160
"""Side of the canvas, its colour, and the height of a face on it, in pixels."""

SAME = 0.3
"""Least intersection over union at which a box counts as the face."""

Harder = Callable[[Image.Image, Box, float], tuple[Image.Image, Box]]


def shrink(canvas: Image.Image, face: Box, height: float) -> tuple[Image.Image, Box]:
    """Scale the canvas so that the face has the given height in pixels."""
    scale = height / (face.y2 - face.y1)
    side = max(1, round(SIDE * scale))
    small = canvas.resize((side, side), Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    start = (SIDE - side) // 2
    result = Image.new("RGB", (SIDE, SIDE), GREY)
    result.paste(small, (start, start))
    return result, Box(*(value * scale + start for value in face))


def turn(canvas: Image.Image, face: Box, angle: float) -> tuple[Image.Image, Box]:
    """Rotate the canvas about its middle by an angle in degrees; the box keeps its size and moves along."""
    middle = np.array([face.x1 + face.x2, face.y1 + face.y2]) / 2 - SIDE / 2
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    x, y = np.array([[cos, sin], [-sin, cos]]) @ middle + SIDE / 2
    half_width, half_height = (face.x2 - face.x1) / 2, (face.y2 - face.y1) / 2
    if angle % 180 == 90:
        half_width, half_height = half_height, half_width
    box = Box(x - half_width, y - half_height, x + half_width, y + half_height)
    return canvas.rotate(angle, Image.Resampling.BICUBIC, fillcolor=GREY), box


def darken(canvas: Image.Image, face: Box, light: float) -> tuple[Image.Image, Box]:
    """Reduce the light to a share, with sensor noise of a standard deviation of two grey values."""
    noise = np.random.default_rng(0).normal(0, 2, (SIDE, SIDE, 3))
    dark = np.asarray(canvas, np.float32) * light + noise
    return Image.fromarray(dark.clip(0, 255).astype(np.uint8)), face


def blur(canvas: Image.Image, face: Box, deviation: float) -> tuple[Image.Image, Box]:
    """Apply Gaussian blur; its standard deviation is a share of the face's height."""
    return canvas.filter(ImageFilter.GaussianBlur(deviation * FACE)), face


def _cover(part: Callable[[Box, float], tuple[float, float, float, float]]) -> Harder:
    def cover(canvas: Image.Image, face: Box, share: float) -> tuple[Image.Image, Box]:
        covered = canvas.copy()
        ImageDraw.Draw(covered).rectangle(part(face, share), fill=(40, 60, 90))
        return covered, face

    return cover


KINDS: dict[str, tuple[Harder, tuple[float, ...]]] = {
    "height, px": (shrink, (64, 32, 24, 16, 12)),
    "turned, °": (turn, (15, 30, 45, 60, 90, 135, 180)),
    "light": (darken, (0.3, 0.15, 0.08, 0.04)),
    "blur": (blur, (0.03, 0.06, 0.12)),
    "covered from below": (
        _cover(lambda f, s: (f.x1, f.y2 - s * (f.y2 - f.y1), f.x2, f.y2 + 20)),
        (0.3, 0.4, 0.5, 0.6),
    ),
    "covered from above": (
        _cover(lambda f, s: (f.x1, f.y1 - 40, f.x2, f.y1 + s * (f.y2 - f.y1))),
        (0.3, 0.4, 0.5),
    ),
    "covered from the side": (
        _cover(lambda f, s: (f.x1 - 40, f.y1 - 40, f.x1 + s * (f.x2 - f.x1), f.y2 + 40)),
        (0.3, 0.4, 0.5, 0.6),
    ),
}


def place(path: Path, detector: Detector) -> tuple[Image.Image, Box]:
    """Paste a portrait on a canvas, with its face in the middle and :data:`FACE` pixels high."""
    portrait = Image.open(path).convert("RGB")
    face = max(detector.detect(np.asarray(portrait)), key=lambda one: one.box.area).box
    scale = FACE / (face.y2 - face.y1)
    large = portrait.resize(
        (round(portrait.width * scale), round(portrait.height * scale)), Image.Resampling.BICUBIC
    )
    x = round(SIDE / 2 - scale * (face.x1 + face.x2) / 2)
    y = round(SIDE / 2 - scale * (face.y1 + face.y2) / 2)
    canvas = Image.new("RGB", (SIDE, SIDE), GREY)
    canvas.paste(large, (x, y))
    return canvas, Box(*(scale * side + at for side, at in zip(face, (x, y, x, y), strict=True)))


def finds(detector: TurningDetector, canvas: Image.Image, face: Box) -> bool:
    """Whether a detector finds the face."""
    found = detector.detect(np.asarray(canvas))
    boxes: npt.NDArray[np.float64] = np.array([[*one.box] for one in found], np.float64).reshape(-1, 4)
    return bool((intersection_over_union(np.array([[*face]]), boxes) >= SAME).any())


def draw_sheet(path: Path, portraits: list[tuple[Image.Image, Box]], detector: TurningDetector) -> None:
    """Draw one row of pictures per kind and portrait."""
    cell, rows = 128, [(kind, portrait) for kind in KINDS for portrait in portraits]
    columns = max(len(steps) for _, steps in KINDS.values())
    sheet = Image.new("RGB", (columns * cell, len(rows) * (cell + 16)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (kind, (canvas, face)) in enumerate(rows):
        harder, steps = KINDS[kind]
        for column, step in enumerate(steps):
            picture, box = harder(canvas, face, step)
            colour = "green" if finds(detector, picture, box) else "red"
            x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
            half = max(FACE * 0.8 if harder is not shrink else 0.8 * (box.y2 - box.y1), 8)
            part = picture.crop((int(x - half), int(y - half), int(x + half), int(y + half)))
            place_at = (column * cell, row * (cell + 16) + 16)
            sheet.paste(part.resize((cell, cell), Image.Resampling.BICUBIC), place_at)
            pen.rectangle(
                (*place_at, place_at[0] + cell - 1, place_at[1] + cell - 1), outline=colour, width=3
            )
            pen.text((place_at[0] + 3, place_at[1] - 14), f"{kind} {step:g}", fill="black")
    sheet.save(path, quality=85)


def main() -> None:
    """Print a Markdown table, and draw the sheet if it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", action="append", metavar="NAME")
    parser.add_argument("--sheet", type=Path, metavar="JPG")
    given = parser.parse_args()
    names = given.detector or [DEFAULT_DETECTOR]
    portraits = [place(path, make_detector(DEFAULT_DETECTOR)) for path in PHOTOS]
    detectors = [TurningDetector(make_detector(name)) for name in names]
    print(f"| faces ({len(portraits)} each) | {' | '.join(name.split(':')[0] for name in names)} |")
    print(f"| --- | {' | '.join('---:' for _ in names)} |")
    for kind, (harder, steps) in KINDS.items():
        for step in steps:
            pictures = [harder(canvas, face, step) for canvas, face in portraits]
            shares = [np.mean([finds(detector, *picture) for picture in pictures]) for detector in detectors]
            print(
                f"| {kind} {step:g} | {' | '.join(f'{100 * share:.0f} %' for share in shares)} |", flush=True
            )
    if given.sheet is not None:
        draw_sheet(given.sheet, portraits[:1], detectors[0])


if __name__ == "__main__":
    main()
