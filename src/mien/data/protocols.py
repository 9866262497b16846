"""Protocols: published test splits of data sets, for comparable results."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

from mien.errors import DataError

UTKFACE_SIZE = 23_708
YOUNGEST, OLDEST = 21, 60
"""Ages in years of the protocol ``ages-21-60``, both inclusive."""

Protocol = Callable[[pd.DataFrame, Sequence[str] | None], pd.DataFrame]


def get_protocol(name: str) -> Protocol:
    """Look up a protocol.

    Returns:
        A function of a checked manifest and all file names of its data set (None for those in the manifest).
        It returns the manifest with ``split`` set to ``train``, ``test`` or ``validation``, without the rows
        that the protocol excludes.

    Raises:
        DataError: If there is no protocol of that name.
    """
    if name not in PROTOCOLS:
        raise DataError(f"{name!r} is not a known protocol; choose from {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def classic_test_names(names: Sequence[str]) -> frozenset[str]:
    """The test side of the classic UTKFace split.

    It is scikit-learn's ``train_test_split(test_size=0.2, random_state=42)`` of all sorted names: 18,966 of
    the 23,708 names are for training and 4,742 for testing.
    """
    _, test = train_test_split(sorted(names), test_size=0.2, random_state=42)
    return frozenset(test)


def read_names(path: Path) -> list[str]:
    """Read a list of file names, one per line; spaces belong to the names, and empty lines are ignored.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a text file of names.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file; give one with a file name on each line.") from None
    return [name for name in (line.removesuffix("\r") for line in lines) if name]


def _classic(table: pd.DataFrame, names: Sequence[str] | None) -> pd.DataFrame:
    own = [Path(path).name for path in table["path"]]
    everything = own if names is None else list(names)
    _need_all_of_utkface(everything, given=names is not None)
    if strangers := set(own) - set(everything):
        raise DataError(
            f"{min(strangers)} (1 of {len(strangers)}) is not in the list of names; is it UTKFace's?"
        )
    test = classic_test_names(everything)
    return table.assign(split=["test" if name in test else "train" for name in own])


def _need_all_of_utkface(names: Sequence[str], *, given: bool) -> None:
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    what = "the list of names" if given else "the data"
    if count > 1:
        raise DataError(
            f"{what} holds the file name {name} {count} times; give the folder of one copy of UTKFace."
        )
    if len(names) != UTKFACE_SIZE:
        cure = (
            "give the complete list" if given else "give all of UTKFace, or a list of all its names (--names)"
        )
        raise DataError(
            f"the classic split is drawn from the {UTKFACE_SIZE:,} names of UTKFace and "
            f"{what} has {len(names):,}; {cure}."
        )


def _classic_clean(table: pd.DataFrame, names: Sequence[str] | None) -> pd.DataFrame:
    """The classic split without the test pictures that are byte-identical to a training picture."""
    sides = _classic(table, names)
    if len(table) != UTKFACE_SIZE:
        raise DataError(
            f"classic-clean compares the bytes of both sides, but {len(table):,} of UTKFace's "
            f"{UTKFACE_SIZE:,} pictures are at hand; give all of them."
        )
    content = pd.Series([_digest(path) for path in table["path"]], index=table.index)
    test = sides["split"] == "test"
    return sides[~(test & content.isin(content[~test]))].reset_index(drop=True)


def _ages_21_60(table: pd.DataFrame, names: Sequence[str] | None) -> pd.DataFrame:
    """The faces of 21 to 60 years in the classic split."""
    sides = _classic(table, names)
    inside = (table["age_low"] >= YOUNGEST) & (table["age_high"] <= OLDEST)
    if not inside.any():
        raise DataError(f"there is no face labelled {YOUNGEST} to {OLDEST} years; is this UTKFace?")
    return sides[inside].reset_index(drop=True)


def _folds_60_20_20(table: pd.DataFrame, names: Sequence[str] | None) -> pd.DataFrame:
    """The classic test side; a quarter of the rest, drawn in the same way, is for validation."""
    sides = _classic(table, names)
    everything = [Path(path).name for path in table["path"]] if names is None else list(names)
    rest = sorted(set(everything) - classic_test_names(everything))
    _, validation = train_test_split(rest, test_size=0.25, random_state=42)
    drawn = frozenset(validation)
    chosen = [Path(path).name in drawn for path in table["path"]]
    return sides.assign(split=sides["split"].mask(pd.Series(chosen, index=sides.index), "validation"))


def _digest(path: str) -> bytes:
    try:
        return hashlib.sha256(Path(path).read_bytes()).digest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None


PROTOCOLS: dict[str, Protocol] = {
    "classic": _classic,
    "classic-clean": _classic_clean,
    "ages-21-60": _ages_21_60,
    "folds-60-20-20": _folds_60_20_20,
}
