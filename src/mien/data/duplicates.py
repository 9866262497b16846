"""Find pictures that are the same: byte for byte, or near-identical (recompressed, rescaled, regraded).

Among the 18,966 training-side UTKFace pictures every pair looked at above a thumbnail correlation of 0.965
showed one photo twice; from 0.95 to 0.965 most pairs showed different people.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

THUMBNAIL = 24
NEAR_IDENTICAL = 0.965


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; empty if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def thumbnail(path: Path) -> npt.NDArray[np.float32] | None:
    """A grey 24×24 picture as a vector of mean 0 and norm 1; None if it cannot be read, 0 if it is flat."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    grey = cv2.imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_2) if data.size else None
    if grey is None:
        return None
    vector = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel().astype(np.float32)
    vector -= vector.mean()
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm > 0 else vector


def near_identical_pairs(
    vectors: npt.NDArray[np.float32], threshold: float = NEAR_IDENTICAL
) -> npt.NDArray[np.intp]:
    """Pairs whose thumbnails correlate above a threshold.

    Args:
        vectors: (n, d) thumbnails of mean 0 and norm 1.
        threshold: Pearson correlation above which two pictures count as the same.

    Returns:
        (pairs, 2) indices, the first of a pair below the second.
    """
    found = [np.empty((0, 2), np.intp)]
    for start in range(0, len(vectors), 2048):
        rows, columns = np.nonzero(vectors[start : start + 2048] @ vectors[start:].T > threshold)
        pairs = np.stack([rows, columns], axis=1)[rows < columns] + start
        found.append(pairs)
    return np.concatenate(found)


def group_labels(hashes: Sequence[str], pairs: npt.NDArray[np.intp]) -> list[str]:
    """Name each picture's group: pictures with equal hashes, or joined by pairs, share one name.

    A group is named after the smallest hash in it, so names depend on what the pictures are and not on where
    they lie or on their order.
    """
    first: dict[str, int] = {}
    links = [(first.setdefault(h, i), i) for i, h in enumerate(hashes)]
    edges = np.concatenate([np.asarray(links, np.intp).reshape(-1, 2), pairs])
    n = len(hashes)
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    for label, h in zip(component.tolist(), hashes, strict=True):
        names[label] = min(names.get(label, h), h)
    return [names[label][:16] for label in component.tolist()]
