"""Divide a manifest into train, validation and test parts; keep duplicates together.

Only a test side that is already fixed may share duplicates with the other parts.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mien.data.duplicates import Fingerprints, equal_pairs, fingerprint, group_labels, near_identical
from mien.data.protocols import get_protocol
from mien.errors import DataError


@dataclass(frozen=True)
class Division:
    """A split manifest, and the duplicates of its test pictures in the other parts.

    Attributes:
        table: The manifest with ``split`` (``train``, ``validation``, ``test``) and ``group`` filled.
        identical_to_test: Paths of train and validation pictures that are byte-identical to a test picture.
        near_identical_to_test: Paths of those that are near-identical, but not byte-identical.
    """

    table: pd.DataFrame
    identical_to_test: tuple[str, ...]
    near_identical_to_test: tuple[str, ...]


def divide(
    table: pd.DataFrame,
    *,
    protocol: str | None = None,
    names: Sequence[str] | None = None,
    validation: float = 0.1,
    test: float = 0.0,
    seed: int = 0,
    stratify: bool = False,
    replace: bool = False,
) -> Division:
    """Divide a manifest into test, validation and train rows.

    Duplicates are grouped separately within the test side and within the rest, so that the validation part
    does not depend on the test pictures.

    Args:
        table: A checked manifest of readable pictures; rows that share a ``group`` stay together.
        protocol: Name of the protocol that chooses the test side, see :mod:`mien.data.protocols`; None keeps
            the rows whose ``split`` is ``test``.
        names: All file names of the data set, if the table holds only some of them; only with a protocol.
        validation: Share of groups for validation, in [0, 1); 0 for none. It is a share of all groups if
            ``test`` is positive, else of those outside the test side. A protocol with its own validation side
            keeps it.
        test: Share of groups for testing, in [0, 1); 0 keeps the rows whose ``split`` is ``test``.
        seed: Seed of the choice of groups.
        stratify: Whether the parts get the same mix of ages and genders; see :func:`split_part`.
        replace: Whether an existing division may be replaced.

    Raises:
        DataError: If a picture cannot be read, the table does not fit the protocol, the shares are out of
            range, or the table is already divided.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise DataError(f"the shares must lie between 0 and 1, together too, got {validation} and {test}.")
    if protocol is not None and test:
        raise DataError("a protocol has its own test side; leave out --test.")
    if not replace:
        _refuse_divided(table, all_parts=protocol is not None or test > 0)
    if protocol is not None:
        table = get_protocol(protocol)(table, names)
    elif names is not None:
        raise DataError("a list of names needs a protocol; name one with --protocol.")
    prints = _readable(table)
    how: dict[str, Any] = {"seed": seed, "never_empty": True, "stratify": stratify}
    if test:
        table = split_part(table.assign(group=_groups(table, prints), split=""), "test", test, **how)
    judging = table["split"] == "test"
    groups = np.empty(len(table), object)
    for side in (judging, ~judging):
        groups[side.to_numpy()] = _groups(table[side], _part(prints, side))
    own = protocol is not None and bool((table["split"] == "validation").any())
    kept = judging | (table["split"] == "validation") if own else judging
    table = table.assign(group=groups, split=table["split"].where(kept, "train"))
    identical, near = _shared_with_test(table, prints)
    if validation and not own:
        table = split_part(table, "validation", validation / (1 - test), **how)
    return Division(table, identical, near)


def divide_into_folds(
    table: pd.DataFrame,
    count: int,
    *,
    validation: float = 0.1,
    seed: int = 0,
    stratify: bool = False,
    replace: bool = False,
) -> list[pd.DataFrame]:
    """Divide a manifest for cross-validation, so that each face is in the test part of one fold.

    Args:
        table: As for :func:`divide`.
        count: Number of folds, at least 2; their numbers of groups differ by one at most.
        validation: Share of all groups for validation, taken from those outside the test fold; in
            [0, 1 - 1 / ``count``).
        seed: Seed of the choice of folds.
        stratify: Whether the folds get the same mix of ages and genders.
        replace: Whether an existing division may be replaced.

    Returns:
        The manifest ``count`` times, each with another fold as its ``test`` part.

    Raises:
        DataError: If a picture cannot be read, there are too few groups, the share is out of range, or the
            table is already divided.
    """
    if not (count >= 2 and 0 <= validation < 1 - 1 / count):
        raise DataError(f"{count} folds and a validation share of {validation} leave nothing to train on.")
    if not replace:
        _refuse_divided(table, all_parts=True)
    table = table.assign(group=_groups(table, _readable(table)))
    groups = _ordered_groups(table, f"fold {seed} ", stratify)
    if len(groups) < count:
        raise DataError(f"{len(groups)} different faces are too few for {count} folds.")
    folds = table["group"].map(dict(zip(groups, np.arange(len(groups)) % count, strict=True)))
    divided = []
    for fold in range(count):
        part = table.assign(split=np.where(folds == fold, "test", "train"))
        if validation:
            share = validation / (1 - 1 / count)
            part = split_part(part, "validation", share, seed=seed, never_empty=True, stratify=stratify)
        divided.append(part)
    return divided


def _refuse_divided(table: pd.DataFrame, *, all_parts: bool) -> None:
    """Refuse to replace an existing division, since its validation rows could become training rows.

    Raises:
        DataError: If a row is in a part that the new division would replace.
    """
    mine = {"", "train"} if all_parts else {"", "train", "test"}
    parts = sorted(set(table["split"]) - mine)
    if parts:
        count = int(table["split"].isin(parts).sum())
        raise DataError(
            f"{count} rows are of the splits {', '.join(parts)} already; keep them, or give --replace to "
            "divide anew."
        )


def assign_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Fill the column ``group`` so that byte-identical and near-identical pictures share a value.

    Rows that already share a group keep sharing one.

    Raises:
        DataError: If a picture cannot be read.
    """
    return table.assign(group=_groups(table, _readable(table)))


def split_validation(table: pd.DataFrame, share: float = 0.1) -> pd.DataFrame:
    """Mark whole groups of the training rows as ``validation``; the rest become ``train``.

    A group is chosen if the SHA-256 of its name, as a fraction, is below ``share``. So the choice does not
    change when pictures are added, moved or reordered.

    Args:
        table: A manifest with ``group`` filled; rows whose ``split`` is ``test`` stay as they are.
        share: Expected share of groups, in (0, 1).

    Raises:
        DataError: If ``share`` is out of range or a group is empty.
    """
    return split_part(table, "validation", share)


def split_part(
    table: pd.DataFrame,
    part: str,
    share: float,
    *,
    seed: int = 0,
    never_empty: bool = False,
    stratify: bool = False,
) -> pd.DataFrame:
    """Mark whole groups of the rows outside the test part as one part; the rest become ``train``.

    Without ``stratify`` the choice of a group depends only on its name. With ``stratify`` the choice is a
    systematic sample of the groups sorted by gender and decade of age, in random order within each such
    stratum. Each stratum then has its share of groups to within one, but added groups may change the choice.

    Args:
        table: A manifest with ``group`` filled.
        part: ``validation`` or ``test``.
        share: Expected share of groups, in (0, 1).
        seed: Seed of the choice; the choices for different parts are independent.
        never_empty: Whether to choose at least one group and leave at least one, if there are two or more.
        stratify: Whether the part gets its share of each combination of gender and decade of age.

    Raises:
        DataError: If ``share`` is out of range or a group is empty.
    """
    if not 0 < share < 1:
        raise DataError(f"the {part} share must lie between 0 and 1, got {share}.")
    if (table["group"] == "").any():
        raise DataError(f"every row needs a group before a {part} part can be carved out.")
    free = table["split"] != "test"
    salt = "" if (part, seed) == ("validation", 0) else f"{part} {seed} "
    fractions = (salt + table["group"]).map(_fraction)
    if stratify:
        groups = _ordered_groups(table[free], salt, stratify=True)
        reached = np.floor(np.arange(len(groups) + 1) * share + 0.5)
        chosen = free & table["group"].isin(np.array(groups, object)[np.diff(reached) > 0])
    else:
        chosen = free & (fractions < share)
    if never_empty and fractions[free].nunique() > 1:  # a few groups may all fall on one side
        if not chosen.any():
            chosen |= free & (fractions == fractions[free].min())
        if chosen[free].all():
            chosen &= fractions != fractions[free].max()
    return table.assign(split=table["split"].mask(chosen, part).mask(free & ~chosen, "train"))


def _ordered_groups(table: pd.DataFrame, salt: str, stratify: bool) -> list[str]:
    """The groups in random order, or sorted by gender and decade of age first, by the first row of each."""
    groups = table.drop_duplicates("group")
    chance = (salt + groups["group"]).map(_fraction)
    kind = groups["gender"] + (groups["age_low"] // 10).astype(str) if stratify else ""
    ordered = groups.assign(_kind=kind, _chance=chance).sort_values(["_kind", "_chance"])
    return [str(group) for group in ordered["group"]]


def _readable(table: pd.DataFrame) -> Fingerprints:
    prints = fingerprint(list(table["path"]))
    if prints.unreadable:
        first = next(iter(prints.unreadable.values()))
        raise DataError(
            f"{len(prints.unreadable)} of {len(table)} pictures cannot be read, the first: {first} "
            "Repair them, or leave them out with 'mien data audit MANIFEST --output CSV', which lists all."
        )
    return prints


def _part(prints: Fingerprints, chosen: "pd.Series[bool]") -> Fingerprints:
    hashes = [h for h, keep in zip(prints.hashes, chosen, strict=True) if keep]
    return Fingerprints(hashes, prints.thumbnails[chosen.to_numpy()], {})


def _groups(table: pd.DataFrame, prints: Fingerprints) -> list[str]:
    pairs = near_identical(prints)
    known = equal_pairs(list(table["group"]))
    return group_labels(prints.hashes, np.concatenate([pairs, known]))


def _shared_with_test(table: pd.DataFrame, prints: Fingerprints) -> tuple[tuple[str, ...], tuple[str, ...]]:
    test = table["split"] == "test"
    if not test.any():
        return (), ()
    hashes = pd.Series(prints.hashes, index=table.index)
    same = pd.Series(group_labels(prints.hashes, near_identical(prints)), index=table.index)
    identical = ~test & hashes.isin(hashes[test])
    near = ~test & same.isin(same[test]) & ~identical
    return tuple(table["path"][identical]), tuple(table["path"][near])


def _fraction(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
