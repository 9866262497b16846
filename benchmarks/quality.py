"""Measure how the age error grows as image quality falls: the basis of the quality flags' thresholds.

Pastes aligned faces of known age on a larger grey canvas and degrades the picture step by step: shrinks,
blurs or darkens it, or cuts part of the face off. A detector finds the face again. The errors are grouped by
the quantities of ``mien.pipeline.quality`` and compared with those of the same faces without degradation.
Asymmetry (faces turned aside) and detection score are measured on faces as they are in the data.

``python benchmarks/quality.py MANIFEST... [--detector NAME]``
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from mien import MienError
from mien.data.manifest import read_manifest
from mien.pipeline.align import CANONICAL_GEOMETRY, extract_chip, transform_of_face
from mien.pipeline.detect import Detector, make_detector
from mien.pipeline.images import Pixels, read_photo
from mien.pipeline.model import Model
from mien.pipeline.quality import Quality, flags_of, measure
from mien.request import DEFAULT_DETECTOR

Spoil = Callable[[Pixels, float], Pixels]

CANVAS, FACE = 512, 224
"""Sides in pixels of the canvas and of the aligned picture on it."""

START = (CANVAS - FACE) // 2

BINS = {
    "side": (0, 12, 16, 20, 24, 32, 40, 48, 64, 96),
    "sharpness": (0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2),
    "brightness": (0, 10, 15, 20, 30, 40, 60, 80, 120),
    "outside": (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4),
    "asymmetry": (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1),
    "score": (0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9),
}
"""Lower bounds of the classes of each quantity."""


def shrink(canvas: Pixels, scale: float) -> Pixels:
    """Scale the whole canvas."""
    return np.asarray(cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def blur(canvas: Pixels, share: float) -> Pixels:
    """Apply Gaussian blur; its standard deviation is a share of the face picture's side."""
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), share * FACE), np.uint8)


def darken(canvas: Pixels, gain: float) -> Pixels:
    """Reduce the light by a factor, with sensor noise of a standard deviation of two grey values."""
    noise = np.random.default_rng(0).normal(0, 2, canvas.shape)
    return np.clip(gain * canvas + noise, 0, 255).round().astype(np.uint8)


def cut(canvas: Pixels, share: float) -> Pixels:
    """Cut the canvas off left of a vertical line through the face; for a negative share, right of it."""
    line = START + round(abs(share) * FACE)
    return canvas[:, line:] if share > 0 else canvas[:, : CANVAS - line]


def cut_low(canvas: Pixels, share: float) -> Pixels:
    """Cut the canvas off above a horizontal line through the face; for a negative share, below it."""
    return np.ascontiguousarray(cut(canvas.swapaxes(0, 1), share).swapaxes(0, 1))


WAYS: dict[str, tuple[tuple[Spoil, tuple[float, ...]], ...]] = {
    "brightness": ((darken, (0.5, 0.3, 0.2, 0.14, 0.1, 0.07, 0.04)),),
    "outside": tuple((way, (0.15, 0.25, 0.35, -0.15, -0.25, -0.35)) for way in (cut, cut_low)),
    "side": ((shrink, (0.5, 0.35, 0.25, 0.2, 0.16, 0.13, 0.1, 0.08)),),
    "sharpness": ((blur, (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06)),),
}
"""Degradations that change each quantity, and their degrees."""


def on_canvas(path: str) -> Pixels:
    """Paste the picture of a face in the middle of a grey canvas."""
    canvas = np.full((CANVAS, CANVAS, 3), 128, np.uint8)
    face = cv2.resize(read_photo(path).pixels, (FACE, FACE), interpolation=cv2.INTER_AREA)
    canvas[START : START + FACE, START : START + FACE] = face
    return canvas


def look(photo: Pixels, detector: Detector, model: Model) -> tuple[Quality, float, float, str] | None:
    """Return quality, score, estimated age and flags of the largest face; None if none is found."""
    faces = detector.detect(photo)
    if not faces:
        return None
    face = max(faces, key=lambda face: face.box.area)
    chip = extract_chip(photo, transform_of_face(face, CANONICAL_GEOMETRY), model.metadata.input_size)
    quality = measure(face, chip, photo.shape[1], photo.shape[0])
    ages, _ = model.run(chip[None])
    years = float(ages[0] @ np.arange(model.metadata.age_min, model.metadata.age_max + 1))
    return quality, face.score, years, " ".join(flags_of(face, quality))


def rows(
    table: pd.DataFrame, ways: Sequence[tuple[Spoil, Sequence[float]]], detector: Detector, model: Model
) -> Iterator[dict[str, object]]:
    """Yield a row for each picture, unchanged and degraded, whose face is found: quantities and errors."""
    for path, age in zip(table["path"], table["age"], strict=True):
        canvas = on_canvas(path)
        plain = look(canvas, detector, model)
        if plain is None:
            continue
        spoilt = [
            look(np.ascontiguousarray(spoil(canvas, degree)), detector, model)
            for spoil, degrees in ways
            for degree in degrees
        ]
        for seen in filter(None, [plain, *spoilt]):
            errors = {"error": abs(seen[2] - age), "base": abs(plain[2] - age)}
            yield {**asdict(seen[0]), "score": seen[1], "flags": seen[3], **errors}


def report(quantity: str, found: pd.DataFrame) -> str:
    """Make a Markdown table of one quantity."""
    bounds = [*BINS[quantity], np.inf]
    lines = [f"\n| {quantity} | faces | MAE | MAE of them unspoiled |", "| --- | ---: | ---: | ---: |"]
    for low, high in pairwise(bounds):
        part = found[(found[quantity] >= low) & (found[quantity] < high)]
        if len(part):
            name = f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} and more"
            lines.append(f"| {name} | {len(part)} | {part['error'].mean():.2f} | {part['base'].mean():.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure every quantity and print Markdown tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, nargs="+")
    parser.add_argument("--detector", default=DEFAULT_DETECTOR, help="one that gives points")
    parser.add_argument("--model", type=Path, help="model file (default: shipped)")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--limit", type=int, default=300, help="faces to spoil (default: 300)")
    parser.add_argument("--natural", type=int, default=3000, help="faces as they come (default: 3000)")
    options = parser.parse_args()
    try:
        model, detector = Model(options.model), make_detector(options.detector)
        table = pd.concat([read_manifest(path) for path in options.manifest], ignore_index=True)
        table = table[(table["split"] == options.split) & table["age"].notna()].sample(frac=1, random_state=0)
        natural = pd.DataFrame(rows(table[: options.natural], (), detector, model))
        for quantity in ("asymmetry", "score"):
            print(report(quantity, natural), flush=True)
        for quantity, ways in WAYS.items():
            spoilt = pd.DataFrame(rows(table[: options.limit], ways, detector, model))
            print(report(quantity, spoilt), flush=True)
        print(f"\n| flag | share of the {len(natural):,} faces as they come |\n| --- | ---: |")
        for flag, count in natural["flags"].str.split().explode().value_counts().items():
            print(f"| {flag} | {100 * count / len(natural):.1f} % |")
    except MienError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
