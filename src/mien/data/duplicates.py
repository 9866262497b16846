"""Find duplicate pictures: byte-identical, or near-identical (recompressed, rescaled, other colours).

The threshold comes from a visual check of pairs among the 18,966 training pictures of UTKFace. Every checked
pair with a thumbnail correlation above 0.965 showed the same photo; from 0.95 to 0.965 most pairs showed
different people. If pictures have much in common, such as an oval mask, their mean picture is subtracted
first: of 1,200 UTKFace faces under such a mask, 43,699 pairs correlate above 0.965, and 3 after the
subtraction.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mien.errors import ImageError
from mien.pipeline.images import Pixels, read_photo
from mien.pipeline.resampling import resize
from mien.progress import progress

THUMBNAIL = 24
NEAR_IDENTICAL = 0.965

COMMON, LEAST_PICTURES = 0.5, 20
"""Minimum mean correlation, and minimum number of pictures, to subtract the mean picture of a set.

Above a mean correlation of :data:`NEAR_IDENTICAL` the pictures show one scene, and nothing is subtracted. The
mean correlation is 0.19 for UTKFace, 0.09 for FairFace, 0.21 for All-Age-Faces and 0.89 for faces under an
oval mask.
"""

MANY = 20_000
"""Number of pictures above which the comparison takes long enough for a progress bar."""

Vector = npt.NDArray[np.float32]
Pairs = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fingerprints:
    """Data for comparing pictures, in the order of their paths.

    Attributes:
        hashes: SHA-256 of each file's bytes, in hexadecimal; for a file that cannot be opened, of its path.
        thumbnails: (n, 576) grey 24x24 pictures of mean 0 and norm 1, without the mean picture of a set with
            much in common; 0 for flat or unreadable pictures.
        unreadable: Why a picture cannot be read, by its index.
    """

    hashes: list[str]
    thumbnails: npt.NDArray[np.float32]
    unreadable: dict[int, str]


def fingerprint(paths: Sequence[str]) -> Fingerprints:
    """Read every picture once; unreadable ones are recorded in the result."""
    distinct = list(dict.fromkeys(paths))
    with ThreadPoolExecutor() as pool:
        looks = list(progress(pool.map(_fingerprint, distinct), "Reading faces", len(distinct)))
    thumbnails = np.asarray([vector for _, vector, _ in looks], np.float32).reshape(-1, THUMBNAIL**2)
    thumbnails = without_common(thumbnails)
    place = {path: i for i, path in enumerate(distinct)}
    rows = [place[path] for path in paths]
    unreadable = {i: looks[row][2] for i, row in enumerate(rows) if looks[row][2]}
    return Fingerprints([looks[row][0] for row in rows], thumbnails[rows], unreadable)


def without_common(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Thumbnails minus their mean if they have much in common; see :data:`COMMON`."""
    mean = vectors.mean(0) if len(vectors) >= LEAST_PICTURES else np.zeros(vectors.shape[1], np.float32)
    if not COMMON <= float(mean @ mean) <= NEAR_IDENTICAL:  # the mean correlation of all pairs
        return vectors
    left = vectors - mean
    norms = np.linalg.norm(left, axis=1, keepdims=True)
    return np.asarray(np.where(norms > 1e-6, left / np.maximum(norms, 1e-6), 0), np.float32)


def near_identical(prints: Fingerprints) -> Pairs:
    """(pairs, 2) indices of near-identical pictures; byte-identical files are represented by the first.

    Pairs do not form chains: see :func:`without_chains`.
    """
    first: dict[str, int] = {}
    for i, digest in enumerate(prints.hashes):
        first.setdefault(digest, i)
    distinct = np.fromiter(first.values(), np.intp, len(first))
    return without_chains(distinct[near_identical_pairs(prints.thumbnails[distinct])], prints.hashes)


def without_chains(pairs: Pairs, hashes: Sequence[str]) -> Pairs:
    """Reduce pairs of similar pictures to groups of one centre and the pictures similar to it.

    If A is similar to B and B to C, A need not be similar to C. A chain of such steps would join faces that
    have nothing in common. Pictures become centres in the order of their numbers of similar pictures, the
    largest first; each takes the similar pictures that are not in a group yet.

    Args:
        pairs: (pairs, 2) indices.
        hashes: Hash of each picture, which breaks ties, so that the result does not depend on the order of
            rows.

    Returns:
        (pairs, 2) indices, the first of each the centre of its group.
    """
    alike: dict[int, set[int]] = {}
    for a, b in pairs.tolist():
        alike.setdefault(a, set()).add(b)
        alike.setdefault(b, set()).add(a)
    kept: list[tuple[int, int]] = []
    taken: set[int] = set()
    for i in sorted(alike, key=lambda i: (-len(alike[i]), hashes[i])):
        if i not in taken:
            kept += [(i, other) for other in sorted(alike[i] - taken)]
            taken |= alike[i] | {i}
    return np.asarray(kept, np.intp).reshape(-1, 2)


def thumbnail(pixels: Pixels) -> Vector:
    """A picture as a grey 24x24 vector of mean 0 and norm 1: (576,); 0 if it is flat."""
    grey = Image.fromarray(resize(pixels, THUMBNAIL, THUMBNAIL)).convert("L")
    vector = np.asarray(grey, np.float32).ravel()
    vector = vector - vector.mean()
    norm = float(np.linalg.norm(vector))
    return np.asarray(vector / norm if norm > 0 else vector, np.float32)


def near_identical_pairs(vectors: npt.NDArray[np.float32], threshold: float = NEAR_IDENTICAL) -> Pairs:
    """Pairs whose thumbnails correlate above a threshold.

    Args:
        vectors: (n, d) thumbnails of mean 0 and norm 1.
        threshold: Pearson correlation above which two pictures count as the same.

    Returns:
        (pairs, 2) indices, the first of a pair below the second.
    """
    found = [np.empty((0, 2), np.intp)]
    starts = range(0, len(vectors), 2048)
    for start in progress(starts, "Comparing faces", len(starts), wanted=len(vectors) > MANY):
        rows, columns = np.nonzero(vectors[start : start + 2048] @ vectors[start:].T > threshold)
        pairs = np.stack([rows, columns], axis=1)[rows < columns] + start
        found.append(pairs)
    return np.concatenate(found)


def is_suspicious(size: int, faces: int) -> bool:
    """Whether a group is so large (over 20 pictures and 5 % of all) that it may join different pictures."""
    return size > max(20, 0.05 * faces)


def equal_pairs(values: Sequence[str]) -> Pairs:
    """(pairs, 2) indices that join each value to the first equal one, which is joined to itself.

    Empty values are not joined.
    """
    first: dict[str, int] = {}
    pairs = [(first.setdefault(value, i), i) for i, value in enumerate(values) if value]
    return np.asarray(pairs, np.intp).reshape(-1, 2)


def group_labels(hashes: Sequence[str], pairs: Pairs) -> list[str]:
    """Name each picture's group: pictures with equal hashes, or joined by pairs, share one name.

    A group is named after its smallest hash, so names depend on the content of the pictures and not on their
    paths or their order.
    """
    edges = np.concatenate([equal_pairs(hashes), pairs])
    n = len(hashes)
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    for label, h in zip(component.tolist(), hashes, strict=True):
        names[label] = min(names.get(label, h), h)
    return [names[label][:16] for label in component.tolist()]


def _fingerprint(path: str) -> tuple[str, Vector, str]:
    """Hash, thumbnail, and why the picture cannot be read (empty if it can)."""
    empty = np.zeros(THUMBNAIL**2, np.float32)
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError):  # ValueError: a null character in the path
        data = None
    digest = hashlib.sha256(path.encode(errors="surrogateescape") if data is None else data).hexdigest()
    try:
        pixels = read_photo(path).pixels
    except ImageError as error:
        return digest, empty, str(error)
    return digest, thumbnail(pixels), ""
