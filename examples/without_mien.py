"""Estimates a face without mien: with OpenCV and a model file that ``mien export --plain`` wrote.

``python without_mien.py mien.onnx mien.json photo.jpg X,Y X,Y X,Y X,Y X,Y``: five points, in pixels of the
upright photo, left to right in the picture: eye, eye, tip of the nose, corner and corner of the mouth.
"""

import argparse
import json
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

COVERAGE = 0.9

Array = npt.NDArray[Any]
Metadata = dict[str, Any]


def cut_chip(photo: Array, points: Array, landmarks: list[list[float]], size: int) -> Array:
    """The face where the net expects it: by the similarity that lays its points on those of the metadata."""
    target = size * np.array(landmarks)
    p, q = points - points.mean(0), target - target.mean(0)
    a = (p * q).sum() / (p**2).sum()
    b = (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / (p**2).sum()
    turn = np.array([[a, -b], [b, a]])
    matrix = np.column_stack([turn, target.mean(0) - turn @ points.mean(0)])
    # What the chip shows, with a margin; shrunk by averages first, or it would alias.
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]])
    corners = corners @ cv2.invertAffineTransform(matrix).T
    height, width = photo.shape[:2]
    x1, y1 = np.clip(np.floor(corners.min(0)) - 2, 0, (width - 1, height - 1)).astype(int)
    x2, y2 = np.clip(np.ceil(corners.max(0)) + 2, (x1 + 1, y1 + 1), (width, height)).astype(int)
    region, scale = photo[y1:y2, x1:x2], np.hypot(a, b)
    if scale < 1:
        new = [max(1, round(side * scale)) for side in (region.shape[1], region.shape[0])]
        region = cv2.resize(region, new, interpolation=cv2.INTER_AREA)
    matrix[:, 2] += matrix[:, :2] @ (x1, y1)
    matrix[:, :2] /= (region.shape[1] / (x2 - x1), region.shape[0] / (y2 - y1))
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # the middle of OpenCV's first pixel is 0, not 0.5
    return cv2.warpAffine(region, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)


def as_input(chip: Array, metadata: Metadata) -> Array:
    """(1, 3, size, size): channels ordered, from 0 to 1, normalised. OpenCV reads photos as BGR."""
    if metadata["channel_order"] == "RGB":
        chip = chip[..., ::-1]
    scaled = (chip / 255 - metadata["mean"]) / metadata["std"]
    return np.asarray(scaled.transpose(2, 0, 1)[None], np.float32)


def read_age(probabilities: Array, metadata: Metadata) -> list[float]:
    """The median age and the interval; the mass of an age is spread over half a year to each side."""
    first, last = metadata["age_min"], metadata["age_max"]
    edges = np.arange(first, last + 2) - 0.5
    reached = np.concatenate([[0], np.cumsum(probabilities)]) / probabilities.sum()
    years = np.linspace(edges[0], edges[-1], 100 * len(probabilities) + 1)
    below = np.interp(years, edges, reached)  # the probability of being younger
    table = metadata["interval"]
    halves = np.array(table["half_mass"][table["coverage"].index(COVERAGE)])
    band = np.searchsorted(table["ages"], years + 0.5, side="right") - 1  # the bin of an age begins before it
    inside = years[abs(below - 0.5) <= halves[np.maximum(band, 0)]]
    median = years[np.searchsorted(below, 0.5)]
    return [float(np.clip(age, 0, last)) for age in (median, inside.min(), inside.max())]


def read_gender(p_female: float, metadata: Metadata) -> float:
    """Platt scaling: a straight line through the logarithms of the odds."""
    p = np.clip(p_female, 1e-7, 1 - 1e-7)
    table = metadata["gender"]
    odds = np.exp(table["slope"] * np.log(p / (1 - p)) + table["intercept"])
    return float(odds / (1 + odds))


def main() -> None:
    """Estimate one face."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("metadata")
    parser.add_argument("photo")
    parser.add_argument("points", nargs=5, type=lambda text: [float(n) for n in text.split(",")])
    options = parser.parse_args()
    with open(options.metadata, encoding="utf-8") as file:
        metadata = json.load(file)
    photo = cv2.imread(options.photo)
    if photo is None:
        parser.error(f"{options.photo} cannot be read as a photo")
    chip = cut_chip(
        photo, np.array(options.points), metadata["geometry"]["landmarks"], metadata["input_size"]
    )
    net = cv2.dnn.readNetFromONNX(options.model)
    net.setInput(as_input(chip, metadata))
    probabilities, p_female = net.forward(["age_probabilities", "p_female"])
    years, low, high = read_age(probabilities.ravel(), metadata)
    likely = read_gender(p_female.ravel()[0], metadata)
    gender = metadata["gender"]
    child = years < 5 and gender.get("child_unsure_below") is not None
    unsure = max(likely, 1 - likely) < gender["child_unsure_below" if child else "unsure_below"]
    label = "uncertain" if unsure else "female" if likely >= 0.5 else "male"
    print(json.dumps({"years": years, "low": low, "high": high, "label": label, "p_female": likely}))


if __name__ == "__main__":
    main()
