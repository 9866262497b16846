"""Evaluation of face detectors against human-labelled faces, all on the same pictures."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mien.data.boxes import BOX, POINTS, read_box_table
from mien.errors import DataError, ImageError
from mien.pipeline.detect import Detector
from mien.pipeline.detect.nms import intersection_over_union
from mien.pipeline.images import Pixels, read_photo

Floats = npt.NDArray[np.float64]

SIZES = (0, 16, 32, 64, 128, np.inf)
"""Bounds of the classes of face heights, in pixels."""

LEAST_HEIGHT = 32
"""Least height in pixels of faces in a detector's overall recall; smaller ones only count in their class."""

FOUND, PRECISE = 0.35, 0.5
"""Least intersection over union of box and face, in general (detectors draw their boxes differently) and for
the average precision."""

TIMED = 100
"""Number of pictures on which the time is measured, the first ones."""


@dataclass(frozen=True, slots=True)
class DetectorScores:
    """Results of one detector. Shares are in [0, 1].

    Attributes:
        recall: Share of the faces at least :data:`LEAST_HEIGHT` high that are found; None if there are none.
        recall_by_size: Recall by height in pixels, such as ``32-64``; only classes with faces.
        recall_by: Recall of the faces at least :data:`LEAST_HEIGHT` high, by column and value.
        precision: Share of the boxes that are faces, over all pictures; None if there are no boxes.
        average_precision: Area under the precision-recall curve over all faces, at an overlap of
            :data:`PRECISE`; None if there are no faces.
        false_boxes: Number of boxes in pictures without a face.
        false_per_picture: Mean of that number per picture; None if every picture has a face.
        landmark_error: Mean distance of the five landmarks as a share of the distance between the eyes, over
            found faces with known landmarks; None if there are none.
        milliseconds: Mean CPU time per picture on one thread, with the detector's own threshold.
        curve: (recall, precision) at decreasing thresholds, at an overlap of :data:`PRECISE`.
    """

    recall: float | None
    recall_by_size: dict[str, float]
    recall_by: dict[str, dict[str, float]]
    precision: float | None
    average_precision: float | None
    false_boxes: int
    false_per_picture: float | None
    landmark_error: float | None
    milliseconds: float
    curve: tuple[Floats, Floats] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DetectionEvaluation:
    """Results of several detectors on the same pictures.

    Attributes:
        faces: Number of labelled faces.
        pictures: Number of pictures.
        empty_pictures: Number of pictures without a face.
        scores: Results by the detector's name.
        unreadable: One sentence per picture that could not be read.
    """

    faces: int
    pictures: int
    empty_pictures: int
    scores: dict[str, DetectorScores]
    unreadable: tuple[str, ...]


@dataclass(slots=True)
class _Findings:
    """Results of one detector, collected picture by picture."""

    found: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    boxes: int = 0
    true: int = 0
    false: int = 0
    ranked: list[tuple[float, bool]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def read_boxes(tables: Sequence[Path], split: str | None = None) -> pd.DataFrame:
    """Read one row per labelled face, and one row with an empty box per picture without a face.

    Args:
        tables: CSV files with ``image`` (relative to the file) and ``x1``, ``y1``, ``x2``, ``y2`` in pixels.
            For a picture without a face, these are empty or the columns are missing. The columns
            :data:`~mien.data.boxes.POINTS` are optional.
        split: Only the rows with this ``split``; None for all.

    Raises:
        DataError: If a file cannot be used, or there is no such row.
    """
    read = pd.concat([read_box_table(path) for path in tables], ignore_index=True)
    read = read.reindex(columns=[*read.columns, *(c for c in (*BOX, *POINTS) if c not in read.columns)])
    if split is not None:
        read = read[read["split"] == split] if "split" in read else read[:0]
    if read.empty:
        raise DataError(
            f"There is no picture in {', '.join(map(str, tables))}"
            + f" of the split {split!r}." * bool(split)
        )
    return read.reset_index(drop=True)


def evaluate_detectors(
    table: pd.DataFrame,
    detectors: Mapping[str, Callable[..., Detector]],
    *,
    by: Sequence[str] = (),
    watch: Callable[[Iterator[None], int], Iterator[None]] | None = None,
) -> DetectionEvaluation:
    """Run detectors on every picture and compare their boxes with the labelled faces.

    Boxes are matched to faces greedily in order of decreasing score, each to the unmatched face that it
    overlaps most (Everingham et al., "The PASCAL visual object classes challenge", IJCV 2010). The average
    precision uses a low threshold; all other figures use the detectors' own thresholds.

    Args:
        table: Rows as returned by :func:`read_boxes`.
        detectors: Functions by the detector's name, such as ``partial(make_detector, "mien")``. Each accepts
            ``threshold`` and returns a detector with an attribute ``threshold``.
        by: Columns by whose values the recall is also given.
        watch: Wrapper of the stream of finished pictures, called with the stream and its length, e.g. to show
            progress.

    Raises:
        DataError: If a column of ``by`` is missing.
    """
    for column in by:
        if column not in table:
            raise DataError(f"The table has no column {column!r} to divide the faces by.")
    ready = {name: _Pair(make) for name, make in detectors.items()}
    findings = {name: _Findings() for name in detectors}
    groups = list(table.groupby("image", sort=False))
    seen: list[pd.DataFrame] = []
    unreadable: list[str] = []

    def look() -> Iterator[None]:
        for image, rows in groups:
            try:
                pixels = read_photo(str(image)).pixels
            except ImageError as error:
                unreadable.append(str(error))
            else:
                marked = rows[rows["x1"].notna()]
                seen.append(marked)
                for name, pair in ready.items():
                    _compare(findings[name], pair, pixels, marked)
            yield

    stream = look()
    for _ in watch(stream, len(groups)) if watch else stream:
        pass
    marked = pd.concat(seen) if seen else table[:0]
    empty = sum(not len(rows) for rows in seen)
    scores = {name: _score(found, marked, empty, by) for name, found in findings.items()}
    return DetectionEvaluation(len(marked), len(seen), empty, scores, tuple(unreadable))


class _Pair:
    """The same detector twice: with its own threshold, and with a low one."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.own = make()
        self.threshold = float(self.own.threshold)
        self.low = make(threshold=min(0.05, self.threshold - 0.5))


def _compare(found: _Findings, pair: _Pair, pixels: Pixels, marked: pd.DataFrame) -> None:
    if len(found.seconds) < TIMED:
        start = time.process_time()
        pair.own.detect(pixels)
        found.seconds.append(time.process_time() - start)
    faces = sorted(pair.low.detect(pixels), key=lambda face: -face.score)
    truth = marked[list(BOX)].to_numpy(float)
    overlaps = intersection_over_union(np.array([[*f.box] for f in faces]).reshape(-1, 4), truth)
    precise = match(overlaps, PRECISE)
    found.ranked += [(face.score, row >= 0) for face, row in zip(faces, precise, strict=True)]
    sure = sum(face.score >= pair.threshold for face in faces)
    rows = match(overlaps[:sure], FOUND)
    hit = np.zeros(len(truth), bool)
    hit[rows[rows >= 0]] = True
    found.found.append(hit)
    found.boxes += sure
    found.true += int(hit.sum())
    found.false += sure * (not len(truth))
    points = marked[list(POINTS)].to_numpy(float).reshape(-1, 5, 2)
    found.errors += [
        landmark_error(np.array(face.landmarks), points[row])
        for face, row in zip(faces, rows, strict=False)
        if row >= 0 and face.landmarks is not None and np.isfinite(points[row]).all()
    ]


def match(overlaps: Floats, least: float) -> npt.NDArray[np.int64]:
    """Match boxes to faces: in turn, each box gets the unmatched face that it overlaps most.

    Args:
        overlaps: (n, m) overlaps of boxes, in order of decreasing score, with faces.
        least: Least overlap of a match.

    Returns:
        (n,) index of each box's face, -1 for none.
    """
    left = overlaps.copy()
    rows = np.full(len(left), -1)
    for i in range(len(left) if left.size else 0):
        best = int(left[i].argmax())
        if left[i, best] >= least:
            rows[i] = best
            left[:, best] = -1
    return rows


def landmark_error(found: Floats, truth: Floats) -> float:
    """Mean distance of landmarks (5, 2) as a share of the distance between the true eyes."""
    return float(np.hypot(*(found - truth).T).mean() / np.hypot(*(truth[0] - truth[1])))


def precision_recall(ranked: Sequence[tuple[float, bool]], faces: int) -> tuple[Floats, Floats]:
    """Compute recall and precision after each box in order of decreasing score; equal scores count together.

    Args:
        ranked: Score of each box, and whether it is a face.
        faces: Total number of faces.
    """
    order = sorted(ranked, key=lambda pair: -pair[0])
    true = np.cumsum([hit for _, hit in order], dtype=float)
    last = [i for i in range(len(order)) if i + 1 == len(order) or order[i + 1][0] < order[i][0]]
    return true[last] / max(faces, 1), true[last] / (np.array(last, float) + 1)


def average_precision(recall: Floats, precision: Floats) -> float:
    """Area under the monotonically decreasing precision over recall (VOC 2010, all points)."""
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * falling).sum())


def _score(found: _Findings, marked: pd.DataFrame, empty: int, by: Sequence[str]) -> DetectorScores:
    hit = pd.Series(np.concatenate([*found.found, np.zeros(0, bool)]), index=marked.index)
    height = marked["y2"] - marked["y1"]
    high = height >= LEAST_HEIGHT
    names = [f"{a:g}-{b:g}" if np.isfinite(b) else f"{a:g}+" for a, b in pairwise(SIZES)]
    classes = pd.cut(height, SIZES, labels=names, right=False)
    curve = precision_recall(found.ranked, len(marked))
    return DetectorScores(
        recall=float(hit[high].mean()) if high.any() else None,
        recall_by_size=_means(hit, classes),
        recall_by={column: _means(hit[high], marked.loc[high, column]) for column in by},
        precision=found.true / found.boxes if found.boxes else None,
        average_precision=average_precision(*curve) if len(marked) else None,
        false_boxes=found.false,
        false_per_picture=found.false / empty if empty else None,
        landmark_error=float(np.mean(found.errors)) if found.errors else None,
        milliseconds=1000 * float(np.mean(found.seconds)) if found.seconds else 0.0,
        curve=curve,
    )


def _means(values: "pd.Series[bool]", groups: "pd.Series[Any]") -> dict[str, float]:
    shares = values.groupby(groups, observed=True).mean()
    return {str(group): float(share) for group, share in shares.items()}
