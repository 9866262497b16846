"""Counting an annotated collection, part by part: memory does not grow with the number of faces."""

import heapq
import os
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mien.annotate.age_mass import AGES, Floats, age_masses
from mien.annotate.collection import Collection
from mien.annotate.items import Names
from mien.annotate.record import Counts

LABELS = ("female", "male", "uncertain")

SLOWEST, FAILURES = 10, 50
"""Photos that are named."""

TENTHS = 1301
"""Widths of intervals are counted by tenths of a year, up to 130."""


@dataclass(slots=True)
class Part:
    """Some of a collection: all of it, or a folder.

    Attributes:
        counts: Of its photos.
        labels: Faces by perceived gender.
        flagged: Faces with a flag.
        years: Faces by their estimate in whole years.
    """

    counts: Counts = field(default_factory=Counts)
    labels: Counter[str] = field(default_factory=Counter)
    flagged: int = 0
    years: Counter[int] = field(default_factory=Counter)

    @property
    def faces(self) -> int:
        """Estimates: of faces, or of people in films."""
        return self.labels.total()

    def median(self) -> int | None:
        """Of the estimates, in whole years."""
        seen = 0
        for year in sorted(self.years):
            seen += self.years[year]
            if 2 * seen >= self.faces:
                return year
        return None


@dataclass(slots=True)
class Tally(Part):
    """What a collection holds.

    Attributes:
        masses: (4, 121) sums of the age distributions: of faces perceived as female, as male, and of those
            that are uncertain the part that is likely female and the part that is likely male.
        flags: Faces by flag.
        widths: Faces by the width of their interval, in tenths of a year.
        coverages: Faces by the coverage of their interval.
        folders: By name.
        slowest: ``(seconds, photo)``, the slowest first.
        failures: ``(photo, error)`` of the first that failed.
        sample: Rows of some faces drawn at random, in no order.
    """

    masses: Floats = field(default_factory=lambda: np.zeros((4, AGES)))
    flags: Counter[str] = field(default_factory=Counter)
    widths: Floats = field(default_factory=lambda: np.zeros(TENTHS))
    coverages: Counter[float] = field(default_factory=Counter)
    folders: dict[str, Part] = field(default_factory=dict)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    sample: list[dict[str, Any]] = field(default_factory=list)

    def points(self) -> Floats:
        """(121,) faces by their estimate in whole years."""
        return np.array([self.years[year] for year in range(AGES)], float)

    def median_width(self) -> float:
        """Years that half of the intervals are no wider than."""
        return float(np.searchsorted(np.cumsum(self.widths), self.faces / 2)) / 10


def count_collection(collection: Collection, sampled: int) -> Tally:
    """Count.

    Args:
        collection: What to count.
        sampled: Number of faces to draw.

    Raises:
        DataError: If it cannot be read.
    """
    tally, chance = Tally(), random.Random(0)
    known = Names()
    for photos in collection.photos():
        _add_photos(tally, photos)
    for faces in collection.faces():
        _add_masses(tally, faces)
        columns = [name for name in faces.column_names if name != "distribution"]
        for row in faces.select(columns).to_pylist():
            if collection.storage is None:
                _add_unknown_photo(tally, row["photo"], known)
            _add_face(tally, row)
            _draw(tally, row, sampled, chance)
    chance.shuffle(tally.sample)
    return tally


def _add_photos(tally: Tally, photos: pa.Table) -> None:
    for photo in photos.to_pylist():
        failed = photo["error"] is not None
        for part in _parts(tally, photo["photo"]):
            part.counts.add(photo["faces"], failed)
        if failed and len(tally.failures) < FAILURES:
            tally.failures.append((photo["photo"], photo["error"]))
    timed = zip(photos["seconds"].to_pylist(), photos["photo"].to_pylist(), strict=True)
    found = [(seconds, name) for seconds, name in timed if seconds is not None]
    tally.slowest = heapq.nlargest(SLOWEST, [*tally.slowest, *found])


def _add_unknown_photo(tally: Tally, photo: str, known: Names) -> None:
    """Of photos of which nothing but their faces is known."""
    new = photo not in known
    known.add(photo)
    for part in _parts(tally, photo):
        part.counts.photos += new
        part.counts.faces += 1


def _add_face(tally: Tally, row: dict[str, Any]) -> None:
    flags = row["flags"] or ()
    for part in _parts(tally, row["photo"]):
        part.labels[row["label"]] += 1
        part.flagged += bool(flags)
        part.years[min(int(row["age"] + 0.5), AGES - 1)] += 1
    tally.flags.update(flags)
    tally.coverages[row["coverage"]] += 1
    tally.widths[min(round(10 * (row["high"] - row["low"])), TENTHS - 1)] += 1


def _add_masses(tally: Tally, faces: pa.Table) -> None:
    label, p_female = np.array(faces["label"].to_pylist()), faces["p_female"].to_numpy()
    unsure = label == "uncertain"
    shares = [label == "female", label == "male", unsure * p_female, unsure * (1 - p_female)]
    tally.masses += np.stack(shares).astype(float) @ age_masses(faces)


def _draw(tally: Tally, row: dict[str, Any], size: int, chance: random.Random) -> None:
    """Reservoir sampling: Vitter, "Random sampling with a reservoir" (1985), algorithm R."""
    if len(tally.sample) < size:
        tally.sample.append(row)
    elif (place := chance.randrange(tally.faces)) < size:
        tally.sample[place] = row


def _parts(tally: Tally, photo: str) -> Iterable[Part]:
    folder = os.path.dirname(photo) or "."
    return tally, tally.folders.setdefault(folder, Part())
