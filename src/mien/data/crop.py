"""Crop faces out of whole photos for training, and tell photos from face crops."""

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
"""Columns of a manifest with the bounding box of the labelled face of a photo, in pixels."""

MEANT = 0.3
"""Minimum intersection over union of a detected face with the row's box."""

LOOKED_AT, LEAST_SEEN = 48, 8
"""Number of pictures sampled to tell photos from crops, and minimum number of detected faces among them."""

FAR = 0.1
"""Median error of the worst landmark, relative to a crop's side, above which pictures are whole photos.

The median over 100 pictures is 0.03 in UTKFace, 0.06 in FairFace, 0.05 in All-Age-Faces, and 0.15 in
portraits.
"""


def crop_faces(table: pd.DataFrame, detector: Detector, folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Crop one face out of each photo of a manifest: the largest, or the one in the row's box.

    Args:
        table: A checked manifest; ``x1``, ``y1``, ``x2``, ``y2`` may give the box of the labelled face. If
            the detector finds no face there, the crop follows from that box.
        detector: Detects the faces.
        folder: Folder for the crops, JPEG files of 200 x 200 pixels.

    Returns:
        The rows with a crop, with its path in ``path`` and the photo's in ``photo``; and why another row has
        none, by the photo's path.

    Raises:
        DataError: If a crop cannot be written, a box is not numeric, or no photo has a face.
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
    """Whether a manifest seems to hold whole photos.

    In most pictures of a sample, the largest face is then not in the place where a crop has it; see
    :data:`FAR`.
    """
    if table.empty:
        return False
    some = table.iloc[np.linspace(0, len(table) - 1, LOOKED_AT, dtype=np.intp)].drop_duplicates("path")
    off = []
    for path, framing in zip(some["path"], some["framing"], strict=True):
        try:
            photo = read_photo(path)
        except ImageError:  # reported where the picture is needed
            continue
        largest = _largest(detector.detect(photo.pixels))
        if largest is not None and largest.landmarks is not None:
            transform = transform_of_crop(photo.width, photo.height, framing)
            seen = np.array(largest.landmarks) @ transform[:, :2].T + transform[:, 2]
            off.append(float(np.abs(seen - np.array(CANONICAL_GEOMETRY.landmarks)).max()))
    return len(off) >= LEAST_SEEN and float(np.median(off)) > FAR


def _crop(detector: Detector, job: tuple[str, Box | None, Path]) -> str:
    """Write the crop of a face; return the reason if there is no face, else an empty text."""
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
    """A unique file name for each crop; repeated names are numbered."""
    taken: dict[str, int] = {}
    names = []
    for path in paths:
        stem = Path(path).stem
        taken[stem] = taken.get(stem, 0) + 1
        names.append(f"{stem}.jpg" if taken[stem] == 1 else f"{stem}-{taken[stem]}.jpg")
    return names
