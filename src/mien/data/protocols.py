"""Protocols: published ways to choose the test side of a data set, so that figures can be compared."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

from mien.errors import DataError

UTKFACE_SIZE = 23_708
Protocol = Callable[[pd.DataFrame, Sequence[str] | None], pd.DataFrame]


def get_protocol(name: str) -> Protocol:
    """Look a protocol up.

    Returns:
        A function of a checked manifest and, optionally, all file names of its data set, that returns the
        manifest with ``split`` set to ``train`` or ``test``.

    Raises:
        DataError: If there is none of that name.
    """
    if name not in PROTOCOLS:
        raise DataError(f"{name!r} is not a known protocol; choose from {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def classic_test_names(names: Sequence[str]) -> frozenset[str]:
    """The test side of the classic UTKFace split.

    All names sorted, then scikit-learn's ``train_test_split(test_size=0.2, random_state=42)``: of the 23,708
    names 18,966 train and 4,742 test.
    """
    _, test = train_test_split(sorted(names), test_size=0.2, random_state=42)
    return frozenset(test)


def read_names(path: Path) -> list[str]:
    """Read a list of file names, one a line; spaces inside a name count, empty lines do not.

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


PROTOCOLS: dict[str, Protocol] = {"classic": _classic}
