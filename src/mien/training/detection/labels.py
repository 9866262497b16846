"""Training data of the detector: photos with boxes, pictures without faces, and single aligned faces.

Human labels rarely have landmarks, and miss some faces in the background. Stronger detectors, the teachers,
add both: landmarks for the boxes that they confirm, and faces that they detect with high scores and in
agreement. Other detections of the teachers become ignore regions.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from mien.data.boxes import BOX, POINTS
from mien.files import contents_of, written_beside
from mien.pipeline.align import CANONICAL_GEOMETRY, transform_from_landmarks, transform_of_crop
from mien.pipeline.detect import Detector
from mien.pipeline.detect.nms import intersection_over_union
from mien.pipeline.images import Pixels, read_photo
from mien.progress import progress
from mien.training.dataset import digest, state_of

Floats = npt.NDArray[np.float32]
J = TypeVar("J")

SURE, UNSURE = 0.75, 0.3
"""Least teacher score of an unlabelled face that becomes a face, and of one that becomes an ignore region."""

TAUGHT_SIDE = 1280
"""Longest side in pixels of the teachers' input; larger photos and enlargements are downscaled to it."""

AGREED = 0.35
"""Least intersection over union at which a teacher's box and a human label mark the same face."""

SAME_FACE = 0.4
"""Least intersection over union at which two detections of the teachers are of the same face."""

LEAST_FACE = 9
"""Labelled faces whose shorter side is smaller, in pixels, become ignore regions."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and its faces.

    Attributes:
        pixels: (height, width, 3) RGB.
        boxes: (n, 4) x1, y1, x2, y2 in pixels.
        points: (n, 5, 2) landmarks in pixels, NaN where not known.
        known: (n,) True for a face, False for an ignore region.
    """

    pixels: Pixels
    boxes: Floats
    points: Floats
    known: npt.NDArray[np.bool_]


def no_faces(pixels: Pixels) -> Picture:
    """Make a picture without faces."""
    empty = np.empty((0, 4), np.float32)
    return Picture(pixels, empty, np.empty((0, 5, 2), np.float32), np.empty(0, np.bool_))


def label_photo(
    pixels: Pixels,
    labelled: Floats,
    teachers: Sequence[Detector],
    labelled_points: Floats | None = None,
) -> Picture:
    """Merge human labels with the teachers' detections, made at the photo's own size and at twice that size.

    A labelled box that a teacher confirms is averaged with the teacher's box and gets its landmarks. If it
    has landmarks of its own, these are averaged instead, and the teacher's box replaces the labelled one. An
    unlabelled detection becomes a face if its score is at least the first value of :data:`SURE` and, with
    several teachers, two of them agree. Otherwise it becomes an ignore region.

    Args:
        pixels: The photo, (height, width, 3) RGB.
        labelled: (n, 4) human-labelled boxes in pixels.
        teachers: Detectors that give landmarks, and scores in [0, 1].
        labelled_points: (n, 5, 2) human-labelled landmarks in pixels, NaN where there are none.
    """
    boxes, points, scores, votes = _taught(pixels, teachers)
    if labelled_points is None:
        labelled_points = np.full((len(labelled), 5, 2), np.nan, np.float32)
    overlap = intersection_over_union(labelled, boxes)
    rows, row_points, known = [], [], []
    for box, own, overlaps in zip(labelled, labelled_points, overlap, strict=True):
        best = int(overlaps.argmax()) if len(boxes) else -1
        agreed = best >= 0 and overlaps[best] >= AGREED
        pointed = bool(np.isfinite(own).all())
        if not agreed:
            rows.append(box)
            row_points.append(own)
        else:  # a labelled box with landmarks may be derived from them, so the teacher's box is better
            rows.append(boxes[best] if pointed else (box + boxes[best]) / 2)
            row_points.append((own + points[best]) / 2 if pointed else points[best])
        known.append(min(box[2] - box[0], box[3] - box[1]) >= LEAST_FACE)
    new = overlap.max(0, initial=0) < 0.2
    needed = min(2, len(teachers))
    for box, face, score, seen in zip(boxes[new], points[new], scores[new], votes[new], strict=True):
        rows.append(box)
        row_points.append(face)
        known.append(bool(score >= SURE and seen >= needed))
    return Picture(
        pixels,
        np.asarray(rows, np.float32).reshape(-1, 4),
        np.asarray(row_points, np.float32).reshape(-1, 5, 2),
        np.asarray(known, np.bool_),
    )


def label_face(pixels: Pixels, framing: str, teachers: Sequence[Detector]) -> Picture:
    """Label an aligned face.

    The box is the first teacher's. The landmarks are the mean of the chip geometry's, by which the chip was
    cut, and the teacher's, which follow the proportions of this face. If the teacher detects no face in the
    expected place, the geometry gives both box and landmarks.

    Args:
        pixels: The crop, (height, width, 3) RGB.
        framing: As for :func:`~mien.pipeline.align.transform_of_crop`.
        teachers: As for :func:`label_photo`; only the first one is used.
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
            box, points = seen, (points + np.array(face.landmarks) - margin) / 2
            break
    return Picture(
        pixels, np.asarray(box, np.float32)[None], np.asarray(points, np.float32)[None], np.ones(1, np.bool_)
    )


def place_of_face(width: int, height: int, framing: str) -> tuple[Floats, Floats]:
    """Derive a face's box (4,) and landmarks (5, 2) in an aligned crop, in pixels, from the chip geometry."""
    transform = transform_of_crop(width, height, framing)
    scale = 1 / float(transform[0, 0])
    points = (np.array(CANONICAL_GEOMETRY.landmarks) - transform[:, 2]) * scale
    return box_of_points(np.asarray(points, np.float32)), np.asarray(points, np.float32)


def box_of_points(points: Floats) -> Floats:
    """Derive a face's box (4,) from its landmarks (5, 2), both in pixels, by the chip geometry."""
    turn = transform_from_landmarks(points, CANONICAL_GEOMETRY)[:, :2]
    half = np.array([0.33, 0.42]) / np.sqrt(np.linalg.det(turn))
    middle = points.mean(0)
    return np.asarray(np.concatenate([middle - half, middle + half]), np.float32)


def find_traps(pictures: Sequence[Picture], detector: Detector) -> list[Picture]:
    """Select the pictures without faces in which a detector still finds some, with the false boxes."""
    traps = []
    for picture in progress(pictures, "Looking for false positives", len(pictures)):
        boxes = _taught(picture.pixels, [detector], least=0.0)[0]
        if len(boxes):
            points = np.full((len(boxes), 5, 2), np.nan, np.float32)
            traps.append(Picture(picture.pixels, boxes, points, np.zeros(len(boxes), np.bool_)))
    return traps


def _taught(
    pixels: Pixels, teachers: Sequence[Detector], least: float = UNSURE
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int64]]:
    """Detect faces with all teachers, at the photo's own size and at twice that size.

    Detections of the same face are merged. Box and landmarks come from the first teacher that detects the
    face, at the scale of its higher score; the score is the highest of all teachers.

    Returns:
        Boxes (n, 4), landmarks (n, 5, 2), scores (n,), and the number of teachers that detect each face (n,).
    """
    found: list[tuple[int, float, list[float], Any]] = []
    for scale in (1, 2):
        view = pixels if scale == 1 else cv2.resize(pixels, None, fx=scale, fy=scale)
        for number, teacher in enumerate(teachers):
            for face in teacher.detect(np.asarray(view, np.uint8)):
                if face.score >= least and face.landmarks is not None:
                    points = np.array(face.landmarks) / scale
                    found.append((number, face.score, [side / scale for side in face.box], points))
    found.sort(key=lambda face: (face[0], -face[1]))
    boxes = np.asarray([box for _, _, box, _ in found], np.float32).reshape(-1, 4)
    seen_by = np.asarray([number for number, _, _, _ in found], np.int64)
    same = intersection_over_union(boxes, boxes) >= SAME_FACE
    kept: list[int] = []
    for i in range(len(found)):
        if not same[i, kept].any():
            kept.append(i)
    votes = np.asarray([len(np.unique(seen_by[same[i]])) for i in kept], np.int64)
    kept_points = np.asarray([found[i][3] for i in kept], np.float32).reshape(-1, 5, 2)
    scores = np.asarray([max(found[j][1] for j in np.flatnonzero(same[i])) for i in kept], np.float32)
    return boxes[kept], kept_points, scores, votes


def cached(path: Path, make: Callable[[], Iterable[Picture]], count: int) -> list[Picture]:
    """Read pictures from an ``.npz`` file; if it is missing, make ``count`` pictures and write them first."""
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


def label_photos(table: pd.DataFrame, teachers: Sequence[Detector], cache: Path) -> list[Picture]:
    """Label the photos of a table with teachers, and cache the result.

    Args:
        table: ``boxes`` or ``unlabelled`` of :class:`~mien.training.detection.photo_tables.PhotoTables`. Only
            the teachers label the faces of the latter.
        teachers: As for :func:`label_photo`.
        cache: Folder for the result.
    """
    groups = list(table.groupby("image", sort=False))

    def label(job: tuple[Any, pd.DataFrame]) -> Picture:
        boxes, points = _labels_of(job[1])
        return label_photo(read_photo(str(job[0])).pixels, boxes, teachers, points)

    return _kept([str(image) for image, _ in groups], groups, label, table, teachers, cache)


def read_empty(table: pd.DataFrame, cache: Path) -> list[Picture]:
    """Read the pictures without faces of a table, and cache the result."""
    paths = list(table["image"].drop_duplicates())
    return _kept(paths, paths, lambda path: no_faces(read_photo(path).pixels), table, [], cache)


def _labels_of(rows: pd.DataFrame) -> tuple[Floats, Floats]:
    """Human-labelled boxes (n, 4) and landmarks (n, 5, 2); missing boxes are derived from the landmarks."""
    if "x1" not in rows.columns:
        return np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32)
    boxes = rows[list(BOX)].to_numpy(np.float32, copy=True)
    points = np.full((len(rows), 5, 2), np.nan, np.float32)
    if set(POINTS) <= set(rows.columns):
        points = rows[list(POINTS)].to_numpy(np.float32).reshape(-1, 5, 2)
    for i in np.flatnonzero(np.isnan(boxes).any(1) & np.isfinite(points).all((1, 2))):
        boxes[i] = box_of_points(points[i])
    whole = np.isfinite(boxes).all(1)
    return boxes[whole], points[whole]


def _kept(
    paths: Sequence[str],
    jobs: Sequence[J],
    label: Callable[[J], Picture],
    table: pd.DataFrame,
    teachers: Sequence[Detector],
    cache: Path,
) -> list[Picture]:
    def make() -> Iterable[Picture]:
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(label, jobs)

    if not jobs:
        return []
    labels = table.to_csv(index=False)
    file = _cache_file(cache, "photos", [state_of(paths), labels], teachers)
    return cached(file, make, len(jobs))


def label_faces(table: pd.DataFrame, teachers: Sequence[Detector], cache: Path) -> list[Picture]:
    """Label the aligned faces of a manifest with the first teacher, and cache the result."""

    def label(job: tuple[str, str]) -> Picture:
        return label_face(read_photo(job[0]).pixels, job[1], teachers)

    def make() -> Iterable[Picture]:
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(label, zip(table["path"], table["framing"], strict=True))

    faces = [*table["path"], *table["framing"], state_of(table["path"])]
    return cached(_cache_file(cache, "faces", faces, teachers[:1]), make, len(table))


def identify(teacher: Detector) -> str:
    """Describe a teacher uniquely, for cache keys: its class, the content of its file, its settings."""
    path = getattr(teacher, "path", None)
    content = contents_of([Path(path)]) if path is not None else ""
    settings = {name: getattr(teacher, name, None) for name in ("longest_side", "threshold")}
    return f"{type(teacher).__name__} {content} {settings}"


def _cache_file(cache: Path, kind: str, pictures: Sequence[str], teachers: Sequence[Detector]) -> Path:
    return cache / f"{kind}-{digest(*map(identify, teachers), *pictures)}.npz"
