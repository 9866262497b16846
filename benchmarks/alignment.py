"""Measure how much accuracy is lost by detecting and cropping a face, compared with its aligned picture.

Pastes aligned faces of known age on a larger grey canvas: upright, rotated by up to 20°, and shrunk to 60 px.
Then detectors find the faces and mien crops them. The errors are compared with those on the aligned pictures,
over the same faces: ``python benchmarks/alignment.py MANIFEST --detector NAME...``.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from mien import MienError, PhotoResult, Predictor
from mien.data.manifest import read_manifest
from mien.pipeline.images import Pixels, read_photo
from mien.pipeline.model import Model
from mien.request import DEFAULT_DETECTOR

GREY, TILT, SMALL = 128, 20, 60

Floats = npt.NDArray[np.float64]


def choose_rows(manifest: Path, split: str, limit: int) -> pd.DataFrame:
    """Draw at most ``limit`` faces of the split with a known age and the canonical framing, at random."""
    table = read_manifest(manifest)
    table = table[(table["split"] == split) & table["age"].notna() & (table["framing"] == "utkface")]
    return table.sample(min(limit, len(table)), random_state=0)


def canvases(paths: Sequence[str], margin: float, view: str) -> Iterator[Pixels]:
    """Yield each picture in the middle of a grey canvas.

    Args:
        paths: Paths of the pictures.
        margin: Width of the canvas's margins as a multiple of the picture's longer side.
        view: ``upright``, ``rotated`` (each by a random angle of at most 20°), or ``60 px`` (longer side).
    """
    random = np.random.default_rng(0)
    for path in paths:
        pixels = read_photo(path).pixels
        side, angle = max(pixels.shape[:2]), float(random.uniform(-TILT, TILT))
        if view == f"{SMALL} px":
            size = (SMALL * pixels.shape[1] // side, SMALL * pixels.shape[0] // side)
            pixels, side = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), SMALL
        pad = round(margin * side)
        canvas = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), constant_values=GREY)
        if view == "rotated":
            height, width = canvas.shape[:2]
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
            grey = (GREY, GREY, GREY)
            canvas = np.asarray(cv2.warpAffine(canvas, turn, (width, height), borderValue=grey), np.uint8)
        yield canvas


def first_faces(results: Iterator[PhotoResult]) -> tuple[Floats, Floats]:
    """Return the age and p(female) of each photo's largest face; NaN where none was found."""
    ages, p_female = [], []
    for result in results:
        face = result.faces[0] if result.faces else None
        ages.append(face.age.years if face else np.nan)
        p_female.append(face.gender.p_female if face else np.nan)
    return np.array(ages), np.array(p_female)


def compare(table: pd.DataFrame, model: Model, detector: str, margin: float, view: str) -> str:
    """Return the table's row for one detector and one view."""
    paths = table["path"].tolist()
    predictor = Predictor(model, detector)
    ages, p_female = first_faces(predictor.predict_many(canvases(paths, margin, view)))
    own_ages, own_p = first_faces(predictor.predict_many(paths, faces="aligned"))
    found, truth = ~np.isnan(ages), table["age"].to_numpy()
    known = found & table["gender"].isin(["male", "female"]).to_numpy()
    female = (table["gender"] == "female").to_numpy()

    def mae(estimates: Floats) -> float:
        return float(np.abs(estimates - truth)[found].mean())

    def accuracy(p: Floats) -> float:
        return float(((p >= 0.5) == female)[known].mean())

    own_mae, found_mae = mae(own_ages), mae(ages)
    cells = [detector.partition(":")[0], view, f"{found.mean():.1%}", f"{own_mae:.2f}", f"{found_mae:.2f}"]
    cells += [f"{found_mae / own_mae:.3f}", f"{accuracy(own_p):.1%}", f"{accuracy(p_female):.1%}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Compare the detectors and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", type=Path, help="model file (default: shipped)")
    parser.add_argument("--detector", nargs="+", default=[DEFAULT_DETECTOR], help="names of detectors")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--limit", type=int, default=2000, help="number of faces (default: 2000)")
    parser.add_argument("--margin", type=float, default=0.75, help="in sides of the picture (default: 0.75)")
    options = parser.parse_args()
    try:
        table = choose_rows(options.manifest, options.split, options.limit)
        model = Model(options.model)
        if table.empty:
            parser.error(f"{options.manifest} has no faces of known age in the split {options.split!r}")
        print(f"{len(table)} faces\n")
        print("| detector | view | found | MAE aligned | MAE found | ratio | gender aligned | gender found |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for detector, view in product(options.detector, ("upright", "rotated", f"{SMALL} px")):
            print(compare(table, model, detector, options.margin, view), flush=True)
    except MienError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
