"""What the detector learns from: photos with boxes, pictures without faces, and single aligned faces.

People's boxes rarely have points, and leave out some faces of the background. Stronger detectors, the
teachers, fill in both: points for the boxes they agree with, and faces where they are sure and agree. Regions
where they are unsure, or see different things, are ignored in training.
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
"""Teachers' scores from which an unlabelled face counts as a face, and from which it is ignored."""

TAUGHT_SIDE = 1280
"""Longest side in pixels up to which teachers see a photo, or its enlargement, as it is."""

AGREED = 0.35
"""Intersection over union from which a teacher's box and a person's are of one face."""

SAME_FACE = 0.4
"""Intersection over union from which the boxes of two teachers are of one face."""

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


def label_photo(
    pixels: Pixels,
    labelled: Floats,
    teachers: Sequence[Detector],
    labelled_points: Floats | None = None,
) -> Picture:
    """Add to people's boxes what teachers see, at the photo's own size and at twice it.

    A face that nobody labelled counts where a teacher is sure of it and, if there are several, where another
    one sees it too. What only one of several teachers sees is ignored in training.

    Args:
        pixels: The photo.
        labelled: (n, 4) people's boxes.
        teachers: Detectors that give points and scores in [0, 1].
        labelled_points: (n, 5, 2) people's points, NaN where they gave none.
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
        else:  # where a face has points, its box may follow from them, and the teacher's is the better one
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
    """An aligned face, with the mean of the chip geometry's points and a teacher's, and the teacher's box.

    Where the teacher does not see the face where it belongs, box and points are the geometry's own. The
    geometry's points are those that the chip is cut by; the teacher's follow the face's own proportions.

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
            box, points = seen, (points + np.array(face.landmarks) - margin) / 2
            break
    return Picture(
        pixels, np.asarray(box, np.float32)[None], np.asarray(points, np.float32)[None], np.ones(1, np.bool_)
    )


def place_of_face(width: int, height: int, framing: str) -> tuple[Floats, Floats]:
    """Where the face of an aligned crop is: box (4,) and points (5, 2) in pixels, by the chip geometry."""
    transform = transform_of_crop(width, height, framing)
    scale = 1 / float(transform[0, 0])
    points = (np.array(CANONICAL_GEOMETRY.landmarks) - transform[:, 2]) * scale
    return box_of_points(np.asarray(points, np.float32)), np.asarray(points, np.float32)


def box_of_points(points: Floats) -> Floats:
    """The box (4,) of a face with the points (5, 2), in pixels, by the chip geometry."""
    turn = transform_from_landmarks(points, CANONICAL_GEOMETRY)[:, :2]
    half = np.array([0.33, 0.42]) / np.sqrt(np.linalg.det(turn))
    middle = points.mean(0)
    return np.asarray(np.concatenate([middle - half, middle + half]), np.float32)


def find_traps(pictures: Sequence[Picture], detector: Detector) -> list[Picture]:
    """Of pictures without faces, those in which a detector sees some, with the boxes of what it sees."""
    traps = []
    for picture in progress(pictures, "Looking for traps", len(pictures)):
        boxes = _taught(picture.pixels, [detector], least=0.0)[0]
        if len(boxes):
            points = np.full((len(boxes), 5, 2), np.nan, np.float32)
            traps.append(Picture(picture.pixels, boxes, points, np.zeros(len(boxes), np.bool_)))
    return traps


def _taught(
    pixels: Pixels, teachers: Sequence[Detector], least: float = UNSURE
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int64]]:
    """Boxes (n, 4), points (n, 5, 2), scores (n,) and the number of teachers that see each face (n,).

    Of one face the box, points and score are those of the first teacher that sees it, where it is surest.
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


def label_photos(table: pd.DataFrame, teachers: Sequence[Detector], cache: Path) -> list[Picture]:
    """The photos of a table, labelled by teachers and cached.

    Args:
        table: ``boxes`` or ``unlabelled`` of :class:`~mien.training.detection.photo_tables.PhotoTables`. The
            faces of the latter are known from the teachers alone.
        teachers: As of :func:`label_photo`.
        cache: Folder for the result.
    """
    groups = list(table.groupby("image", sort=False))

    def label(job: tuple[Any, pd.DataFrame]) -> Picture:
        boxes, points = _labels_of(job[1])
        return label_photo(read_photo(str(job[0])).pixels, boxes, teachers, points)

    return _kept([str(image) for image, _ in groups], groups, label, table, teachers, cache)


def read_empty(table: pd.DataFrame, cache: Path) -> list[Picture]:
    """The pictures without faces of a table, cached."""
    paths = list(table["image"].drop_duplicates())
    return _kept(paths, paths, lambda path: no_faces(read_photo(path).pixels), table, [], cache)


def _labels_of(rows: pd.DataFrame) -> tuple[Floats, Floats]:
    """People's boxes (n, 4) and points (n, 5, 2) of one photo."""
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
