"""Which share of faces the detectors find, by size, what they take for a face by mistake, and their time.

Needs a folder with ``boxes.csv`` (image, x1, y1, x2, y2, label) and ``no-face.csv`` (image):
``python benchmarks/detection.py FOLDER [--yunet FILE] [--longest-side N]``. Only faces labelled
``without_mask`` are counted.
"""

import argparse
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from mien.detect import Detector, DlibDetector, YuNetDetector
from mien.images import read_photo
from mien.types import Box

SIZES = (0, 30, 40, 60, 90, np.inf)
"""Bounds of the classes of face sizes: roots of the boxes' areas, in pixels."""

ENOUGH = 0.3
"""Intersection over union from which a face counts as found; detectors draw their boxes differently."""


def intersection_over_union(a: Box, b: Box) -> float:
    """Shared area over joint area."""
    width, height = min(a.x2, b.x2) - max(a.x1, b.x1), min(a.y2, b.y2) - max(a.y1, b.y1)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (a.area + b.area - shared)


def found_faces(detector: Detector, folder: Path, boxes: pd.DataFrame) -> tuple[list[bool], float]:
    """Whether each row's face is found, rows being ordered by image; and the seconds per photo."""
    found: list[bool] = []
    seconds = 0.0
    groups = boxes.groupby("image", sort=False)
    for image, rows in groups:
        photo = read_photo(folder / str(image)).pixels
        start = time.process_time()
        faces = detector.detect(photo)
        seconds += time.process_time() - start
        for row in rows[["x1", "y1", "x2", "y2"]].to_numpy(float):
            truth = Box(*row.tolist())
            found.append(any(intersection_over_union(truth, face.box) > ENOUGH for face in faces))
    return found, seconds / len(groups)


def measure(name: str, detector: Detector, folder: Path, limit: int) -> str:
    """A row of the table for one detector."""
    boxes = pd.read_csv(folder / "boxes.csv")
    images = boxes["image"].drop_duplicates().sample(frac=1, random_state=0)[:limit]
    boxes = boxes[boxes["image"].isin(images)].sort_values("image")
    found, seconds = found_faces(detector, folder, boxes)
    boxes = boxes.assign(found=found)[boxes["label"] == "without_mask"]
    sizes = np.sqrt((boxes["x2"] - boxes["x1"]) * (boxes["y2"] - boxes["y1"]))
    shares = boxes.groupby(pd.cut(sizes, SIZES), observed=False)["found"].mean()
    empty = pd.read_csv(folder / "no-face.csv")["image"].sample(frac=1, random_state=0)[:limit]
    false = sum(len(detector.detect(read_photo(folder / image).pixels)) for image in empty)
    cells = [name, *(f"{share:.2f}" for share in shares), f"{false} in {len(empty)}", f"{1000 * seconds:.0f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure the detectors and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--yunet", type=Path, help="YuNet's file, to measure it too")
    parser.add_argument("--limit", type=int, default=400, help="photos with and without faces (default: 400)")
    parser.add_argument("--longest-side", type=int, default=1280, help="for dlib (default: 1280)")
    parser.add_argument("--threshold", type=float, default=0.25, help="for dlib (default: 0.25)")
    options = parser.parse_args()
    dlib = DlibDetector(longest_side=options.longest_side, threshold=options.threshold)
    detectors: dict[str, Detector] = {"dlib": dlib}
    if options.yunet:
        detectors["yunet"] = YuNetDetector(options.yunet)
    classes = " | ".join(f"{low:.0f}-{high:.0f} px" for low, high in pairwise(SIZES))
    print(f"| detector | {classes} | false faces | CPU ms per photo |")
    print("| --- |" + " ---: |" * (len(SIZES) + 1))
    for name, detector in detectors.items():
        print(measure(name, detector, options.folder, options.limit), flush=True)


if __name__ == "__main__":
    main()
