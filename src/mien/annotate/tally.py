"""Counts of an annotated collection, in memory that does not grow with the number of faces."""

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
"""Maximum numbers of slowest and of failed photos that are named."""

TENTHS = 1301
"""Number of bins for the widths of intervals: tenths of a year, up to 130 years."""


@dataclass(slots=True)
class Part:
    """Counts of a whole collection or of one folder.

    Attributes:
        counts: Counts of photos.
        labels: Number of faces by perceived gender.
        flagged: Number of faces with at least one flag.
        years: Number of faces by estimated age in whole years.
    """

    counts: Counts = field(default_factory=Counts)
    labels: Counter[str] = field(default_factory=Counter)
    flagged: int = 0
    years: Counter[int] = field(default_factory=Counter)

    @property
    def faces(self) -> int:
        """Number of estimates: one per face, or one per person in films."""
        return self.labels.total()

    def median(self) -> int | None:
        """Median of the estimated ages in whole years; None if there is no face."""
        seen = 0
        for year in sorted(self.years):
            seen += self.years[year]
            if 2 * seen >= self.faces:
                return year
        return None


@dataclass(slots=True)
class Tally(Part):
    """All counts of a collection.

    Attributes:
        masses: (4, 121) sums of age distributions: of faces labelled female, of faces labelled male, of
            uncertain faces weighted by ``p_female``, and of uncertain faces weighted by ``1 - p_female``.
        flags: Number of faces by flag.
        widths: (1301,) number of faces by the width of the interval in tenths of a year.
        coverages: Number of faces by the coverage of the interval.
        folders: Counts of each folder, by its name.
        slowest: ``(seconds, photo)`` of the slowest photos, the slowest first.
        failures: ``(photo, error)`` of the first failed photos.
        sample: Rows of a random sample of faces, in random order.
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
        """(121,) number of faces by estimated age in whole years."""
        return np.array([self.years[year] for year in range(AGES)], float)

    def median_width(self) -> float:
        """Median width of the intervals in years."""
        return float(np.searchsorted(np.cumsum(self.widths), self.faces / 2)) / 10


def count_collection(collection: Collection, sampled: int) -> Tally:
    """Count the photos and faces of a collection.

    Args:
        collection: The collection.
        sampled: Size of the random sample of faces.

    Raises:
        DataError: If the collection cannot be read.
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
    """Count a face, and its photo if it is new, where there is no table of photos."""
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
    """Offer a face to the sample.

    Source: Algorithm R of Vitter, "Random sampling with a reservoir" (1985).
    """
    if len(tally.sample) < size:
        tally.sample.append(row)
    elif (place := chance.randrange(tally.faces)) < size:
        tally.sample[place] = row


def _parts(tally: Tally, photo: str) -> Iterable[Part]:
    folder = os.path.dirname(photo) or "."
    return tally, tally.folders.setdefault(folder, Part())
