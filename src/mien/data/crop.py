"""Cut faces out of whole photos for training, and tell photos from face crops."""

from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from mien.errors import DataError, ImageError
from mien.files import written_beside
from mien.pipeline.align import (
    CANONICAL_GEOMETRY,
    extract_chip,
    transform_from_box,
    transform_of_crop,
    transform_of_face,
)
from mien.pipeline.detect import Detector
from mien.pipeline.detect.nms import intersection_over_union
from mien.pipeline.images import read_photo
from mien.progress import progress
from mien.results import Box, Face

SIDE = 200
"""Side of a crop in pixels, as in UTKFace."""

BOX = ("x1", "y1", "x2", "y2")
"""Columns of a manifest that say which face of a photo is meant, in pixels."""

MEANT = 0.3
"""Intersection over union above which a detected face is the one in the row's box."""

LOOKED_AT, LEAST_SEEN = 48, 8
"""Number of pictures that are checked to tell photos from crops, and of faces needed for a verdict."""

FAR = 0.1
"""Share of a crop's side by which the landmark that is most off is off in whole photos.

Its median over 100 pictures is 0.03 in UTKFace, 0.06 in FairFace, 0.05 in All-Age-Faces, 0.15 in portraits.
"""


def crop_faces(table: pd.DataFrame, detector: Detector, folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Cut one face out of each photo of a manifest: the largest, or the one in the row's box.

    Args:
        table: A checked manifest; ``x1``, ``y1``, ``x2``, ``y2`` may say which face is meant. A face that the
            detector does not find there is cut by that box.
        detector: Finds the faces.
        folder: Where the crops go, as JPEG.

    Returns:
        The rows of the photos in which there is a face, with the crops' paths in ``path``, the photos' in
        ``photo``; and why there is none of another one, by the photo's path.

    Raises:
        DataError: If a crop cannot be written, or there is no face at all.
    """
    names = _names(table["path"])
    boxes = [_box_of(row) for row in table.to_dict("records")]
    jobs = list(zip(table["path"], boxes, [folder.resolve() / name for name in names], strict=True))
    with ThreadPoolExecutor() as pool:
        results = pool.map(partial(_crop, detector), jobs)
        reasons = list(progress(results, "Cutting faces", len(jobs)))
    kept = [not reason for reason in reasons]
    left_out = {path: reason for path, reason in zip(table["path"], reasons, strict=True) if reason}
    if not any(kept):
        raise DataError(f"no face was found in any of {len(table):,} photos.")
    cut = table.assign(photo=table["path"], path=[str(target) for _, _, target in jobs], framing="utkface")
    return cut[kept].drop(columns=[c for c in BOX if c in cut]).reset_index(drop=True), left_out


def look_like_photos(table: pd.DataFrame, detector: Detector) -> bool:
    """Whether most pictures of a sample of the manifest do not have their face where a crop has it."""
    if table.empty:
        return False
    some = table.iloc[np.linspace(0, len(table) - 1, LOOKED_AT, dtype=np.intp)].drop_duplicates("path")
    off = []
    for path, framing in zip(some["path"], some["framing"], strict=True):
        try:
            photo = read_photo(path)
        except ImageError:  # whoever needs it will say so
            continue
        largest = _largest(detector.detect(photo.pixels))
        if largest is not None and largest.landmarks is not None:
            transform = transform_of_crop(photo.width, photo.height, framing)
            seen = np.array(largest.landmarks) @ transform[:, :2].T + transform[:, 2]
            off.append(float(np.abs(seen - np.array(CANONICAL_GEOMETRY.landmarks)).max()))
    return len(off) >= LEAST_SEEN and float(np.median(off)) > FAR


def _crop(detector: Detector, job: tuple[str, Box | None, Path]) -> str:
    """Cut a face out; return the reason if there is none."""
    path, meant, target = job
    try:
        photo = read_photo(path)
    except ImageError as error:
        return str(error)
    faces = detector.detect(photo.pixels)
    face = _largest(faces) if meant is None else _nearest(faces, meant)
    if face is not None:
        transform = transform_of_face(face, CANONICAL_GEOMETRY)
    elif meant is not None:
        transform = transform_from_box(meant, CANONICAL_GEOMETRY)
    else:
        return "no face found"
    try:
        with written_beside(target) as file:
            Image.fromarray(extract_chip(photo.pixels, transform, SIDE)).save(file, quality=95)
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror}); choose another --output.") from None
    return ""


def _largest(faces: Sequence[Face]) -> Face | None:
    return max(faces, key=lambda face: face.box.area, default=None)


def _nearest(faces: Sequence[Face], meant: Box) -> Face | None:
    if not faces:
        return None
    boxes = np.array([tuple(face.box) for face in faces], np.float32)
    overlap = intersection_over_union(np.array([tuple(meant)], np.float32), boxes)[0]
    return faces[int(overlap.argmax())] if overlap.max() >= MEANT else None


def _box_of(row: Mapping[Hashable, object]) -> Box | None:
    given = [str(row.get(name, "")).strip() for name in BOX]
    if "" in given or "nan" in given:
        return None
    try:
        return Box(*map(float, given))
    except ValueError:
        raise DataError(
            f"{row['path']} has the box {', '.join(given)}; give {', '.join(BOX)} in pixels."
        ) from None


def _names(paths: "pd.Series[str]") -> list[str]:
    """A file name for each crop; rows of one photo, and photos of one name, are numbered."""
    taken: dict[str, int] = {}
    names = []
    for path in paths:
        stem = Path(path).stem
        taken[stem] = taken.get(stem, 0) + 1
        names.append(f"{stem}.jpg" if taken[stem] == 1 else f"{stem}-{taken[stem]}.jpg")
    return names
