"""Training data: labels, and chips that are decoded once into a memory-mapped file."""

import contextlib
import hashlib
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.utils.data import Dataset, Sampler

from mien.data.chips import read_chips
from mien.data.sources import RACES
from mien.errors import DataError
from mien.files import reserve, written_beside
from mien.progress import progress

UNKNOWN = -1


class Batch(NamedTuple):
    """A batch of faces.

    Attributes:
        chips: uint8 (n, side, side, 3), RGB.
        age_low: float32 (n,), lower bound of the labelled age in years, inclusive; NaN where it is not known.
        age_high: float32 (n,), upper bound, inclusive; equal to ``age_low`` where the age is exact.
        gender: int64 (n,), 0 male, 1 female, -1 unknown.
        race: int64 (n,), index into :data:`~mien.data.sources.RACES`, -1 unknown.
        taught_ages: float32 (n, ages), the teachers' mean age probabilities; None without teachers.
        taught_female: float32 (n,), the teachers' mean p(female); None without teachers.
    """

    chips: torch.Tensor
    age_low: torch.Tensor
    age_high: torch.Tensor
    gender: torch.Tensor
    race: torch.Tensor
    taught_ages: torch.Tensor | None = None
    taught_female: torch.Tensor | None = None

    def reordered(self, order: torch.Tensor) -> "Batch":
        """Return the faces in the given order, (n,) indices."""
        known = {name: part for name, part in self._asdict().items() if part is not None}
        return self._replace(**{name: part[order] for name, part in known.items()})


class Lessons(NamedTuple):
    """Mean outputs of the teachers.

    Attributes:
        ages: float16 (n, ages), probabilities of the ages 0, 1, …; half precision saves half the memory.
        female: float16 (n,), p(female).
    """

    ages: npt.NDArray[np.float16]
    female: npt.NDArray[np.float16]


class ChipDataset(Dataset[Batch]):
    """Chips and labels of a manifest, fetched a whole batch at a time."""

    def __init__(
        self, table: pd.DataFrame, chips: npt.NDArray[np.uint8], taught: Lessons | None = None
    ) -> None:
        """Create the data set.

        Args:
            table: n rows of a manifest.
            chips: (n, side, side, 3) their chips.
            taught: The teachers' outputs on the chips; None without teachers.
        """
        self.chips = chips
        self.taught = taught
        self.age_low = torch.tensor(table["age_low"].to_numpy(np.float32))
        self.age_high = torch.tensor(table["age_high"].to_numpy(np.float32))
        self.gender = _codes(table["gender"], ("male", "female"))
        self.race = _codes(table["race"], RACES)

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.chips)

    def __getitem__(self, index: int) -> Batch:
        """Return one face, as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return a batch of faces; PyTorch's fetcher calls this once per batch."""
        i = np.asarray(indices)
        chips = torch.from_numpy(np.asarray(self.chips[i]))
        batch = Batch(chips, self.age_low[i], self.age_high[i], self.gender[i], self.race[i])
        if self.taught is None:
            return batch
        ages, female = (torch.from_numpy(part[i].astype(np.float32)) for part in self.taught)
        return batch._replace(taught_ages=ages, taught_female=female)


AGE_BAND = 5
"""Width in years of the bands into which balancing groups exact ages; every labelled bin is its own group."""

MOST_OFTEN = 10
"""Upper limit of a row's probability under balancing, as a multiple of the mean probability."""


class ShareSampler(Sampler[int]):
    """Sampler that draws a new random share of every data set in each epoch, and shuffles them together.

    The order depends only on the seed and the epoch, so a resumed run continues as an uninterrupted one.
    """

    def __init__(
        self, table: pd.DataFrame, shares: Mapping[str, float], seed: int = 0, balance_ages: float = 0
    ) -> None:
        """Prepare the draws.

        Args:
            table: The training rows.
            shares: Share of each data set drawn per epoch, by its name; 1 for data sets not named.
            seed: Seed of the draws.
            balance_ages: Strength of age balancing within each data set, in [0, 1]; above 0, faces are drawn
                with replacement. See :func:`balancing_weights`.
        """
        names = table["dataset"].to_numpy()
        self._parts = []
        for name in pd.unique(table["dataset"]):
            rows = np.flatnonzero(names == name)
            weights = balancing_weights(table.iloc[rows], balance_ages) if balance_ages else None
            self._parts.append((rows, round(len(rows) * shares.get(str(name), 1.0)), weights))
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning's trainer calls this at the start of each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of faces per epoch in this process."""
        _, processes = _rank()
        return sum(count for _, count, _ in self._parts) // processes

    def __iter__(self) -> Iterator[int]:
        """Yield this epoch's row numbers; each process takes an equal part of the same order."""
        random = np.random.default_rng((self._seed, self._epoch))
        drawn = [
            random.permutation(rows)[:count] if weights is None else random.choice(rows, count, p=weights)
            for rows, count, weights in self._parts
        ]
        rank, processes = _rank()
        yield from random.permutation(np.concatenate(drawn))[rank::processes][: len(self)].tolist()


def balancing_weights(table: pd.DataFrame, strength: float) -> npt.NDArray[np.float64]:
    """Compute sampling probabilities that favour rows of rare ages.

    Args:
        table: Rows of a manifest.
        strength: The probability of a row is proportional to (number of rows of its age group) ** -strength.
            At 1 all ages are drawn equally often; at 0.5 an age that is a hundred times as rare is drawn a
            tenth as often.

    Returns:
        (n,) probabilities that sum to 1. None exceeds :data:`MOST_OFTEN` times the mean, so that the few
        faces of a rare age are not memorised.
    """
    exact = table["age_low"] == table["age_high"]
    low = table["age_low"].where(~exact, table["age_low"] // AGE_BAND * AGE_BAND)
    high = table["age_high"].where(~exact, low)
    counts = low.groupby([low, high], dropna=False).transform("size").to_numpy(np.float64)
    weights = counts**-strength
    for _ in range(5):  # clipping lowers the mean and with it the limit; this soon converges
        weights = np.minimum(weights / weights.mean(), MOST_OFTEN)
    return np.asarray(weights / weights.sum(), np.float64)


def digest(*parts: object) -> str:
    """Hash the parts to 16 hexadecimal digits, for the name of a cache file."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def state_of(paths: Iterable[str | Path]) -> str:
    """Hash the sizes and modification times of files to 16 hexadecimal digits, to detect changes."""
    stats = (os.stat(path) if os.path.exists(path) else None for path in paths)
    return digest(*((stat.st_size, stat.st_mtime_ns) if stat else "missing" for stat in stats))


def load_chips(table: pd.DataFrame, side: int, folder: Path) -> npt.NDArray[np.uint8]:
    """Decode a manifest's pictures into chips once; later calls map the same file.

    If pictures have changed since, a message says so and all are decoded again.

    Args:
        table: A checked manifest of face crops, with their ``framing``.
        side: Side of the chips in pixels.
        folder: Folder for the decoded chips.

    Returns:
        (n, side, side, 3) RGB, memory-mapped.

    Raises:
        DataError: If a picture cannot be read (``mien data audit`` lists all such pictures), or the disk has
            too little space for the chips.
    """
    name = f"chips-{digest(side, *table['path'], *table['framing'])}"
    path = folder / f"{name}-{state_of(table['path'])}.npy"
    if not path.exists():
        for stale in folder.glob(f"{name}*.npy"):
            print("Pictures have changed since they were read; reading them again.", file=sys.stderr)
            with contextlib.suppress(PermissionError):  # Windows cannot remove a mapped file
                stale.unlink()
        _write_chips(table, side, path)
    mapped: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return mapped


def _write_chips(table: pd.DataFrame, side: int, path: Path) -> None:
    """Decode into a plain file: writing to a memory-mapped one would crash the process on a full disk."""
    shape = (len(table), side, side, 3)
    try:
        with written_beside(path) as partial, partial.open("wb") as file:
            reserve(file, math.prod(shape))
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for chip in progress(read_chips(table, side), "Reading faces", len(table)):
                file.write(chip.tobytes())
    except OSError as error:
        raise DataError(
            f"{len(table):,} decoded faces need {math.prod(shape) / 1e6:,.0f} MB in {path.parent} "
            f"({error.strerror}); make room there or choose another --output."
        ) from None


def _rank() -> tuple[int, int]:
    """Return the rank of this process in distributed training, and the number of processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _codes(column: "pd.Series[str]", names: Sequence[str]) -> torch.Tensor:
    lookup = {name: i for i, name in enumerate(names)}
    return torch.tensor([lookup.get(value, UNKNOWN) for value in column])
