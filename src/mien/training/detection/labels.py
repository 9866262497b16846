"""What the detector learns from: photos with boxes, pictures without faces, and single aligned faces.

People's boxes come without points, and leave out some faces of the background. Stronger detectors, the
teachers, fill in both: points for the boxes they agree with, faces where they are sure, and regions to be
left alone where they are not.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from mien.data.duplicates import fingerprint, group_labels, near_identical
from mien.data.layout import UNREADABLE
from mien.data.manifest import relative_path
from mien.data.split import split_validation
from mien.errors import DataError
from mien.files import contents_of, path_in, written_beside
from mien.pipeline.align import CANONICAL_GEOMETRY, transform_of_crop
from mien.pipeline.detect import Detector
from mien.pipeline.detect.nms import intersection_over_union
from mien.pipeline.images import Pixels, read_photo
from mien.progress import progress
from mien.training.dataset import digest, state_of

Floats = npt.NDArray[np.float32]

SURE, UNSURE = 0.75, 0.3
"""Teachers' scores from which an unlabelled face is taken for one, and from which it is left alone."""

TAUGHT_SIDE = 1280
"""Longest side in pixels up to which teachers see a photo, or its enlargement, as it is."""

AGREED = 0.35
"""Intersection over union from which a teacher's box and a person's are of one face."""

TABLES = {"boxes.csv": {"image", "x1", "y1", "x2", "y2"}, "no-face.csv": {"image"}}
"""The tables of a folder of photos, and the columns that they must have."""

LEAST_FACE = 9
"""Labelled faces with a shorter side, in pixels, are left alone."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and its faces.

    Attributes:
        pixels: (height, width, 3) RGB.
        boxes: (n, 4) x1, y1, x2, y2 in pixels.
        points: (n, 5, 2) in pixels, NaN where not known.
        known: (n,) whether it is a face; where not, the region is left alone.
    """

    pixels: Pixels
    boxes: Floats
    points: Floats
    known: npt.NDArray[np.bool_]


def no_faces(pixels: Pixels) -> Picture:
    """A picture without faces."""
    empty = np.empty((0, 4), np.float32)
    return Picture(pixels, empty, np.empty((0, 5, 2), np.float32), np.empty(0, np.bool_))


def read_boxes(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of a folder: ``boxes.csv`` (image, x1, y1, x2, y2) and ``no-face.csv`` (image), with splits.

    Each gains ``split``: near-identical pictures are on one side, a tenth is for validation.

    Raises:
        DataError: If a table is missing or lacks a column.
    """
    tables = []
    for name, columns in TABLES.items():
        try:
            table = pd.read_csv(folder / name)
        except UNREADABLE:
            raise DataError(
                f"{folder / name} is missing or is no table; give the folder of {name}."
            ) from None
        if not columns <= set(table.columns):
            lacking = ", ".join(sorted(columns - set(table.columns)))
            raise DataError(f"{folder / name} lacks the columns {lacking}.")
        table["image"] = [relative_path(path_in(folder, str(name)), folder) for name in table["image"]]
        images = pd.DataFrame({"path": table["image"].drop_duplicates()})
        prints = fingerprint([str(folder / path) for path in images["path"]])
        images["group"] = group_labels(prints.hashes, near_identical(prints))
        images = split_validation(images.assign(split="train"), 0.1)
        tables.append(table.merge(images.rename(columns={"path": "image"})[["image", "split"]], on="image"))
    return tables[0], tables[1]


def label_photo(pixels: Pixels, labelled: Floats, teachers: Sequence[Detector]) -> Picture:
    """Add to people's boxes what teachers see, at the photo's own size and at twice it.

    Args:
        pixels: The photo.
        labelled: (n, 4) people's boxes.
        teachers: Detectors that give points and scores in [0, 1].
    """
    boxes, points, scores = _taught(pixels, teachers)
    overlap = intersection_over_union(labelled, boxes)
    rows, row_points, known = [], [], []
    for box, overlaps in zip(labelled, overlap, strict=True):
        best = int(overlaps.argmax()) if len(boxes) else -1
        agreed = best >= 0 and overlaps[best] >= AGREED
        rows.append((box + boxes[best]) / 2 if agreed else box)
        row_points.append(points[best] if agreed else np.full((5, 2), np.nan))
        known.append(min(box[2] - box[0], box[3] - box[1]) >= LEAST_FACE)
    new = overlap.max(0, initial=0) < 0.2
    for box, face, score in zip(boxes[new], points[new], scores[new], strict=True):
        rows.append(box)
        row_points.append(face)
        known.append(bool(score >= SURE))
    return Picture(
        pixels,
        np.asarray(rows, np.float32).reshape(-1, 4),
        np.asarray(row_points, np.float32).reshape(-1, 5, 2),
        np.asarray(known, np.bool_),
    )


def label_face(pixels: Pixels, framing: str, teachers: Sequence[Detector]) -> Picture:
    """An aligned face: a teacher's box and points if they are where they belong, else the geometry's own.

    Args:
        pixels: The crop.
        framing: As of :func:`~mien.pipeline.align.transform_of_crop`.
        teachers: As of :func:`label_photo`; the first one is asked.
    """
    height, width = pixels.shape[:2]
    box, points = place_of_face(width, height, framing)
    margin = min(height, width) // 2
    canvas = cv2.copyMakeBorder(
        pixels, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(128, 128, 128)
    )
    for face in teachers[0].detect(np.asarray(canvas, np.uint8)):
        seen = np.array([*face.box], np.float32) - margin
        if face.landmarks and intersection_over_union(seen[None], box[None])[0, 0] > 0.5:
            box, points = seen, np.array(face.landmarks) - margin
            break
    return Picture(
        pixels, np.asarray(box, np.float32)[None], np.asarray(points, np.float32)[None], np.ones(1, np.bool_)
    )


def place_of_face(width: int, height: int, framing: str) -> tuple[Floats, Floats]:
    """Where the face of an aligned crop is: box (4,) and points (5, 2) in pixels, by the chip geometry."""
    transform = transform_of_crop(width, height, framing)
    scale = 1 / float(transform[0, 0])
    points = (np.array(CANONICAL_GEOMETRY.landmarks) - transform[:, 2]) * scale
    middle, half = points.mean(0), np.array([0.33, 0.42]) * scale
    box = np.concatenate([middle - half, middle + half])
    return np.asarray(box, np.float32), np.asarray(points, np.float32)


def find_traps(pictures: Sequence[Picture], detector: Detector) -> list[Picture]:
    """Of pictures without faces, those in which a detector sees some, with the boxes of what it sees."""
    traps = []
    for picture in progress(pictures, "Looking for traps", len(pictures)):
        boxes, _, _ = _taught(picture.pixels, [detector], least=0.0)
        if len(boxes):
            points = np.full((len(boxes), 5, 2), np.nan, np.float32)
            traps.append(Picture(picture.pixels, boxes, points, np.zeros(len(boxes), np.bool_)))
    return traps


def _taught(
    pixels: Pixels, teachers: Sequence[Detector], least: float = UNSURE
) -> tuple[Floats, Floats, Floats]:
    """Boxes (n, 4), points (n, 5, 2) and scores (n,) of all teachers, one for each face."""
    found: list[tuple[float, list[float], Any]] = []
    for scale in (1, 2):
        view = pixels if scale == 1 else cv2.resize(pixels, None, fx=scale, fy=scale)
        for teacher in teachers:
            for face in teacher.detect(np.asarray(view, np.uint8)):
                if face.score >= least and face.landmarks is not None:
                    points = np.array(face.landmarks) / scale
                    found.append((face.score, [side / scale for side in face.box], points))
    found.sort(key=lambda face: -face[0])
    boxes = np.asarray([box for _, box, _ in found], np.float32).reshape(-1, 4)
    overlap = intersection_over_union(boxes, boxes)
    kept: list[int] = []
    for i in range(len(found)):
        if not kept or overlap[i, kept].max() < 0.4:
            kept.append(i)
    kept_points = np.asarray([found[i][2] for i in kept], np.float32).reshape(-1, 5, 2)
    return boxes[kept], kept_points, np.asarray([found[i][0] for i in kept], np.float32)


def cached(path: Path, make: Callable[[], Iterable[Picture]], count: int) -> list[Picture]:
    """Pictures from a file, which is made where it is missing."""
    if not path.exists():
        pictures = list(progress(make(), "Labelling pictures", count))
        with written_beside(path) as partial:
            np.savez(
                partial,
                shapes=np.array([p.pixels.shape[:2] for p in pictures]),
                counts=np.array([len(p.boxes) for p in pictures]),
                pixels=np.concatenate([p.pixels.ravel() for p in pictures]),
                boxes=np.concatenate([p.boxes for p in pictures]),
                points=np.concatenate([p.points for p in pictures]),
                known=np.concatenate([p.known for p in pictures]),
            )
    with np.load(path) as file:
        shapes, counts, pixels = file["shapes"], file["counts"], file["pixels"]
        boxes, points, known = file["boxes"], file["points"], file["known"]
    ends, faces = np.cumsum(shapes.prod(1) * 3), np.cumsum(counts)
    return [
        Picture(
            pixels[end - h * w * 3 : end].reshape(h, w, 3),
            *(part[face - count : face] for part in (boxes, points, known)),
        )
        for (h, w), end, count, face in zip(shapes, ends, counts, faces, strict=True)
    ]


def label_photos(
    folder: Path, table: pd.DataFrame, teachers: Sequence[Detector], cache: Path
) -> list[Picture]:
    """The pictures of a table of boxes, or of pictures without faces, taught and cached."""
    groups = list(table.groupby("image", sort=False))
    boxed = "x1" in table.columns

    def label(job: tuple[Any, pd.DataFrame]) -> Picture:
        pixels = read_photo(folder / str(job[0])).pixels
        if not boxed:
            return no_faces(pixels)
        return label_photo(pixels, job[1][["x1", "y1", "x2", "y2"]].to_numpy(np.float32), teachers)

    def make() -> Iterable[Picture]:
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(label, groups)

    pictures = state_of([folder / str(image) for image, _ in groups])
    labels = table.to_csv(index=False)
    return cached(_cache_file(cache, "photos", [str(folder), pictures, labels], teachers), make, len(groups))


def label_faces(table: pd.DataFrame, teachers: Sequence[Detector], cache: Path) -> list[Picture]:
    """The aligned faces of a manifest, taught and cached."""

    def label(job: tuple[str, str]) -> Picture:
        return label_face(read_photo(job[0]).pixels, job[1], teachers)

    def make() -> Iterable[Picture]:
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(label, zip(table["path"], table["framing"], strict=True))

    faces = [*table["path"], *table["framing"], state_of(table["path"])]
    return cached(_cache_file(cache, "faces", faces, teachers[:1]), make, len(table))


def identify(teacher: Detector) -> str:
    """What tells a teacher from another: its class, the content of its file, its settings."""
    path = getattr(teacher, "path", None)
    content = contents_of([Path(path)]) if path is not None else ""
    settings = {name: getattr(teacher, name, None) for name in ("longest_side", "threshold")}
    return f"{type(teacher).__name__} {content} {settings}"


def _cache_file(cache: Path, kind: str, pictures: Sequence[str], teachers: Sequence[Detector]) -> Path:
    return cache / f"{kind}-{digest(*map(identify, teachers), *pictures)}.npz"
