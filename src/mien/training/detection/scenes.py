"""Training scenes: crops of photos, faces pasted into pictures without faces, and single large faces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from mien.pipeline.detect.nms import intersection_over_union
from mien.training.detection.labels import Floats, Picture, no_faces
from mien.training.detection.photometry import hide_faces, spoil

T = TypeVar("T")

TRAPS = 0.1
"""Share of scenes cropped around a detector's false positive, if there are any."""

LARGEST = 1.2
"""Size of the largest faces from photos as a share of the scene's side; they reach beyond the scene."""

LEAST_SIDE = 9.0
"""Faces whose shorter side in the scene is smaller, in pixels, become ignore regions."""


class Scenes(NamedTuple):
    """A batch of scenes, padded to the number of faces of the scene that has most.

    Attributes:
        images: uint8 (n, side, side, 3), RGB.
        boxes: float32 (n, faces, 4), x1, y1, x2, y2 in pixels.
        points: float32 (n, faces, 10), landmarks in pixels, NaN where not known.
        kind: int8 (n, faces): 1 for a face, 0 for an ignore region, -1 for padding.
    """

    images: Tensor
    boxes: Tensor
    points: Tensor
    kind: Tensor


@dataclass(frozen=True)
class Sources:
    """Pictures that scenes are made from, by kind.

    Attributes:
        photos: Photos with faces.
        empty: Pictures without faces.
        faces: Single aligned faces.
        traps: Pictures without faces; their boxes are the false positives of an earlier detector.
    """

    photos: Sequence[Picture]
    empty: Sequence[Picture]
    faces: Sequence[Picture]
    traps: Sequence[Picture] = ()


class SceneDataset(Dataset[Scenes]):
    """An endless series of scenes; scene i depends on the sources, the side, the seed and i alone."""

    def __init__(self, sources: Sources, count: int, side: int, seed: int, *, spoiled: bool = True) -> None:
        """Create the data set.

        Args:
            sources: Pictures to make scenes from.
            count: Length of the data set; larger indices are valid too.
            side: Side of the scenes in pixels.
            seed: Seed of all scenes.
            spoiled: Whether faces are occluded and photometric augmentation is applied.
        """
        self._sources, self._count, self.side, self._seed = sources, count, side, seed
        self._spoiled = spoiled

    def __len__(self) -> int:
        """Return the number of scenes."""
        return self._count

    def __getitem__(self, index: int) -> Scenes:
        """Return one scene, without a batch axis."""
        random = np.random.default_rng((self._seed, index))
        scene = make_scene(self._sources, self.side, random)
        pixels = spoil(hide_faces(scene, random), random) if self._spoiled else scene.pixels
        return to_tensors(Picture(pixels, scene.boxes, scene.points, scene.known))


class NewScenes(Sampler[int]):
    """Sampler of new scene numbers in each epoch, which depend on the epoch alone."""

    def __init__(self, count: int) -> None:
        """Set the number of scenes per epoch."""
        self._count, self._epoch = count, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning's trainer calls this at the start of each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of scenes per epoch."""
        return self._count

    def __iter__(self) -> Iterator[int]:
        """Yield the scene numbers of the epoch."""
        yield from range(self._epoch * self._count, (self._epoch + 1) * self._count)


def make_scene(sources: Sources, side: int, random: np.random.Generator) -> Picture:
    """Draw a scene: half from photos, a third from pictures without faces, the rest of a single face.

    A share :data:`TRAPS` shows a false positive instead, if there are any.
    """
    if sources.traps and random.random() < TRAPS:
        return crop_trap(_any(sources.traps, random), side, random)
    draw = random.random()
    if draw < 0.5:
        if draw > 0.3:
            return mosaic(sources.photos, side, random)
        scene = crop_photo(_any(sources.photos, random), side, random)
        return paste_faces(scene, sources.faces, int(random.integers(1, 5)), random) if draw < 0.1 else scene
    empty = _any(sources.empty, random)
    if draw < 0.85:
        scene = crop_empty(empty, side, random)
        count = 0 if draw < 0.67 else int(random.integers(1, 4) if draw < 0.77 else random.integers(4, 25))
        return paste_faces(scene, sources.faces, count, random)
    return single_face(_any(sources.faces, random), empty, side, random)


def crop_photo(photo: Picture, side: int, random: np.random.Generator) -> Picture:
    """Crop a rotated and scaled part of a photo around a random face, which gets a random size."""
    known = np.flatnonzero(photo.known)
    if len(known) == 0:
        return crop_empty(photo, side, random)
    wanted = float(np.exp(random.uniform(np.log(11), np.log(LARGEST * side))))
    return _about(photo, photo.boxes[random.choice(known)], wanted, side, random)


def crop_trap(trap: Picture, side: int, random: np.random.Generator) -> Picture:
    """Crop part of a picture without faces around a random false positive, at about its original size."""
    box = trap.boxes[random.integers(len(trap.boxes))]
    size = float(np.sqrt((box[2:] - box[:2]).prod()))
    wanted = min(0.8 * side, size * float(np.exp(random.uniform(-0.4, 0.4))))
    return no_faces(_about(trap, box, wanted, side, random).pixels)


def _about(picture: Picture, box: Floats, wanted: float, side: int, random: np.random.Generator) -> Picture:
    """Crop the part in which a box has the wanted size in pixels, within the picture as far as possible."""
    x1, y1, x2, y2 = box
    size = float(np.sqrt((x2 - x1) * (y2 - y1)))
    height, width = picture.pixels.shape[:2]
    least = side / max(height, width)
    scale = float(np.clip(wanted / size, least, max(2.5, least)))
    middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    target = random.uniform(0.1, 0.9, 2) * side
    rest = np.array([width, height]) - middle  # distance to the photo's right and lower edges
    target = target.clip(
        np.minimum(side - rest * scale, middle * scale), np.maximum(side - rest * scale, middle * scale)
    )
    return warp(picture, _matrix(scale, _angle(random), middle, target, random.random() < 0.5), side, random)


def mosaic(photos: Sequence[Picture], side: int, random: np.random.Generator) -> Picture:
    """Join four crops of photos, for more and smaller faces in a scene (Bochkovskiy et al., YOLOv4, 2020)."""
    half = side // 2
    parts = [crop_photo(_any(photos, random), half, random) for _ in range(4)]
    corners = np.array([[0, 0], [half, 0], [0, half], [half, half]], np.float32)
    rows = [np.concatenate([parts[i].pixels, parts[i + 1].pixels], 1) for i in (0, 2)]
    return Picture(
        np.concatenate(rows),
        np.concatenate([part.boxes + np.tile(at, 2) for part, at in zip(parts, corners, strict=True)]),
        np.concatenate([part.points + at for part, at in zip(parts, corners, strict=True)]),
        np.concatenate([part.known for part in parts]),
    )


def crop_empty(picture: Picture, side: int, random: np.random.Generator) -> Picture:
    """Crop a random part of a picture, scaled so that its longer side spans at least 0.9 of the scene."""
    height, width = picture.pixels.shape[:2]
    least = 0.9 * side / max(height, width)
    scale = float(np.exp(random.uniform(np.log(least), np.log(max(1.6, 1.2 * least)))))
    reach = np.maximum(np.array([width, height]) - side / scale, 0) / 2
    middle = np.array([width, height]) / 2 + random.uniform(-1, 1, 2) * reach
    matrix = _matrix(scale, _angle(random), middle, np.array([side, side]) / 2, random.random() < 0.5)
    return warp(picture, matrix, side, random)


def single_face(face: Picture, around: Picture, side: int, random: np.random.Generator) -> Picture:
    """Place one face crop, 0.3 to 1.25 times the scene's size, on a plain background or on a picture."""
    height, width = face.pixels.shape[:2]
    scale = side * random.uniform(0.3, 1.25) / max(height, width)
    room = side * 0.25
    target = np.array([side, side]) / 2 + random.uniform(-room, room, 2)
    angle = _angle(random) if random.random() < 0.6 else 0.0
    matrix = _matrix(scale, angle, np.array([width, height]) / 2, target, random.random() < 0.5)
    placed = warp(face, matrix, side, random)
    mask = cv2.warpAffine(np.ones((height, width), np.uint8), matrix, (side, side)) > 0
    if random.random() < 0.6:
        ground = np.full((side, side, 3), random.integers(0, 256, 3), np.uint8)
        if random.random() < 0.6:
            ground[:] = random.integers(0, 256)
    else:
        ground = crop_empty(around, side, random).pixels
    return Picture(
        np.where(mask[..., None], placed.pixels, ground), placed.boxes, placed.points, placed.known
    )


def paste_faces(scene: Picture, faces: Sequence[Picture], count: int, random: np.random.Generator) -> Picture:
    """Paste up to ``count`` faces, as soft ovals or as whole crops, where they hardly overlap others."""
    side = scene.pixels.shape[0]
    pixels, boxes, points, known = scene.pixels.copy(), [*scene.boxes], [*scene.points], [*scene.known]
    for _ in range(count):
        face = _any(faces, random)
        x1, y1, x2, y2 = face.boxes[0]
        size = float(np.sqrt((x2 - x1) * (y2 - y1)))
        wanted = float(np.exp(random.uniform(np.log(10), np.log(0.75 * side / np.sqrt(count)))))
        target = random.uniform(0.0, 1.0, 2) * side
        middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
        matrix = _matrix(wanted / size, _angle(random), middle, target, random.random() < 0.5)
        placed = warp(face, matrix, side, random)
        if len(placed.boxes) == 0 or not placed.known[0]:
            continue
        if boxes and intersection_over_union(placed.boxes, np.asarray(boxes, np.float32)).max() > 0.08:
            continue
        alpha = cv2.warpAffine(_mask(face, random), matrix, (side, side))[..., None]
        pixels = np.asarray(pixels + alpha * (placed.pixels.astype(np.float32) - pixels), np.uint8)
        boxes.append(placed.boxes[0])
        points.append(placed.points[0])
        known.append(placed.known[0])
    return Picture(
        pixels,
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(points, np.float32).reshape(-1, 5, 2),
        np.asarray(known, np.bool_),
    )


def warp(
    picture: Picture, matrix: npt.NDArray[np.float64], side: int, random: np.random.Generator
) -> Picture:
    """Map a picture and its faces into a square scene by a similarity (2, 3), which may mirror.

    A face of which less than half lies in the scene, or that is smaller than :data:`LEAST_SIDE`, becomes an
    ignore region. A face outside the scene is dropped.
    """
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    border = cv2.BORDER_REFLECT_101 if len(picture.boxes) == 0 else cv2.BORDER_CONSTANT
    how = cv2.INTER_AREA if scale < 0.6 else cv2.INTER_LINEAR
    source, to_scene = picture.pixels, matrix.copy()
    if scale < 0.6:  # shrink first: bilinear sampling would alias
        source = np.asarray(cv2.resize(source, None, fx=scale, fy=scale, interpolation=how), np.uint8)
        to_scene[:, :2] /= scale
    value = tuple(random.integers(0, 256, 3).tolist()) if random.random() < 0.5 else (0, 0, 0)
    pixels = cv2.warpAffine(
        source, to_scene, (side, side), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=value
    )
    if len(picture.boxes) == 0:
        return no_faces(np.asarray(pixels, np.uint8))
    middles = (picture.boxes[:, :2] + picture.boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    sizes = (picture.boxes[:, 2:] - picture.boxes[:, :2]) * scale
    boxes = np.concatenate([middles - sizes / 2, middles + sizes / 2], 1)
    points = picture.points @ matrix[:, :2].T + matrix[:, 2]
    if np.linalg.det(matrix[:, :2]) < 0:  # mirrored: left and right landmarks swap
        points = points[:, [1, 0, 2, 4, 3]]
    shown = (boxes.clip(0, side)[:, 2:] - boxes.clip(0, side)[:, :2]).prod(1) / sizes.prod(1)
    known = picture.known & (shown >= 0.5) & (sizes.min(1) >= LEAST_SIDE)
    seen = shown > 0
    return Picture(
        np.asarray(pixels, np.uint8),
        np.asarray(boxes[seen], np.float32),
        np.asarray(points[seen], np.float32),
        known[seen],
    )


def to_tensors(scene: Picture) -> Scenes:
    """Convert a scene to tensors without a batch axis."""
    arrays = (
        np.ascontiguousarray(scene.pixels),
        np.asarray(scene.boxes, np.float32),
        np.asarray(scene.points, np.float32).reshape(-1, 10),
        scene.known.astype(np.int8),
    )
    return Scenes(*map(torch.from_numpy, arrays))


def collate(scenes: Sequence[Scenes]) -> Scenes:
    """Join scenes without a batch axis to a batch."""
    images, boxes, points, kind = map(list, zip(*scenes, strict=True))
    return Scenes(
        torch.stack(images),
        pad_sequence(boxes, batch_first=True),
        pad_sequence(points, batch_first=True, padding_value=torch.nan),
        pad_sequence(kind, batch_first=True, padding_value=-1),
    )


def _any(items: Sequence[T], random: np.random.Generator) -> T:
    return items[int(random.integers(len(items)))]


def _angle(random: np.random.Generator) -> float:
    """Draw a rotation in degrees: mostly small, at most 30; in 15 of 100 cases up to 50."""
    if random.random() < 0.15:
        return float(random.uniform(-50, 50))
    return float(np.clip(random.normal(0, 10), -30, 30))


def _matrix(
    scale: float,
    angle: float,
    middle: Floats | npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    mirror: bool,
) -> npt.NDArray[np.float64]:
    """Build the similarity that scales, rotates and may mirror, and maps ``middle`` to ``target``."""
    radians = np.deg2rad(angle)
    turn = scale * np.array([[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]])
    if mirror:
        turn = turn @ np.diag([-1.0, 1.0])
    return np.column_stack([turn, target - turn @ middle])


def _mask(face: Picture, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return the paste mask (height, width) of a crop: a soft oval around the head, or all ones."""
    height, width = face.pixels.shape[:2]
    if random.random() < 0.3:
        return np.ones((height, width), np.float32)
    mask = np.zeros((height, width), np.float32)
    x1, y1, x2, y2 = face.boxes[0]
    centre = (int((x1 + x2) / 2), int((y1 + y2) / 2 - 0.04 * (y2 - y1)))
    grow = random.uniform(0.58, 0.75)
    cv2.ellipse(mask, centre, (int(grow * (x2 - x1)), int(grow * (y2 - y1))), 0, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(1.0, 0.02 * width)), np.float32)
