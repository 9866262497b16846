"""An audit as readable text."""

from collections.abc import Iterator, Mapping, Sequence

from mien.data.audit import Audit, DuplicateGroup, summary
from mien.data.duplicates import is_suspicious

SHOWN = 5


def report(audit: Audit) -> str:
    """Format an audit: counts, then all unreadable, unlabelled and misnamed pictures, then duplicates.

    Of the duplicate groups with contradictory labels or in several splits, the first five are shown.
    """
    return "\n".join(
        [
            f"{audit.faces:,} faces in {audit.folder}",
            *(_counts(name, counts) for name, counts in audit.counts.items()),
            _counts("top ages", dict(audit.common_ages)),
            "",
            *_named("Unreadable pictures", audit.unreadable),
            *_named("Pictures without a label", audit.left_out),
            *_named("Misnamed pictures", audit.misnamed),
            "",
            *_groups("Byte-identical files", audit.identical),
            *_groups("Near-identical pictures", audit.near_identical),
            *_suspicion(audit),
        ]
    )


def _counts(name: str, counts: Mapping[str, int]) -> str:
    return f"  {name:<9} " + " · ".join(f"{value} {n:,}" for value, n in counts.items())


def _named(title: str, pictures: Mapping[str, str]) -> Iterator[str]:
    yield f"{title}: {len(pictures):,}"
    for path, reason in pictures.items():
        yield f"  {path}: {reason}"


def _groups(title: str, groups: Sequence[DuplicateGroup]) -> Iterator[str]:
    figures = summary(groups)
    yield (
        f"{title}: {figures['groups']:,} groups of {figures['faces']:,} faces; "
        f"{figures['age_conflicts']:,} disagree in age, {figures['gender_conflicts']:,} in gender, "
        f"{figures['across_splits']:,} lie across splits"
    )
    notable = [group for group in groups if group.conflicts or group.splits]
    for group in notable[:SHOWN]:
        yield "  " + " = ".join(_face(face) for face in group.faces)
    if len(notable) > SHOWN:
        yield f"  … and {len(notable) - SHOWN:,} more (--json lists all)"


def _suspicion(audit: Audit) -> Iterator[str]:
    largest = max((group.faces for group in audit.near_identical), key=len, default=())
    if is_suspicious(len(largest), audit.faces):
        yield (
            f"  {len(largest):,} of {audit.faces:,} faces count as one near-identical picture, among them "
            f"{largest[0]['path']} and {largest[-1]['path']}; check whether they are."
        )


def _face(face: Mapping[str, str]) -> str:
    labels = ", ".join(face[key] for key in ("age", "gender", "split") if face[key])
    return f"{face['path']} ({labels})"
