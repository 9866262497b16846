"""Paste aligned faces on larger grey canvases, to evaluate detectors on them.

Each picture of a manifest is scaled to half the side of a 480×480 canvas and pasted in its middle, so that
the position of the face is known. ``python benchmarks/canvases.py MANIFEST FOLDER`` writes the canvases, and
``boxes.csv`` with box, landmarks, race and gender. Then run
``mien evaluate-detector FOLDER/boxes.csv --detector NAME --by race``.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from mien.data.boxes import BOX, POINTS
from mien.data.manifest import read_manifest
from mien.pipeline.images import read_photo
from mien.training.detection.labels import place_of_face

SIDE, GREY = 480, 128


def lay(row: "pd.Series[str]", path: Path) -> dict[str, object]:
    """Write the canvas of a row of the manifest; return its row for ``boxes.csv``."""
    pixels = cv2.resize(read_photo(row["path"]).pixels, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    corner = SIDE // 4
    canvas = np.full((SIDE, SIDE, 3), GREY, np.uint8)
    canvas[corner : corner + SIDE // 2, corner : corner + SIDE // 2] = pixels
    Image.fromarray(canvas).save(path)
    box, points = place_of_face(SIDE // 2, SIDE // 2, row["framing"])
    numbers = dict(zip((*BOX, *POINTS), [*(box + corner), *(points + corner).ravel()], strict=True))
    return {"image": path.name, "race": row["race"], "gender": row["gender"]} | numbers


def main() -> None:
    """Parse the command line and write the canvases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="validation", help="rows to take (default: validation)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    table = read_manifest(options.manifest)
    table = table[table["split"] == options.split]
    rows = [lay(row, options.folder / f"{i}.png") for i, (_, row) in enumerate(table.iterrows())]
    pd.DataFrame(rows).to_csv(options.folder / "boxes.csv", index=False)


if __name__ == "__main__":
    main()
