"""Description of a run in words."""

from collections.abc import Iterator

from mien.annotate.run import Summary


def describe(summary: Summary) -> Iterator[str]:
    """Yield sentences that describe a run and its collection."""
    counts = summary.counts
    done = counts.photos - summary.before
    rate = f", {done / summary.seconds:,.1f} photos a second" if done and summary.seconds else ""
    yield f"{count(done, 'photo')} looked at in {duration(summary.seconds)}{rate}."
    if summary.before:
        yield f"{count(summary.before, 'photo')} had been done before."
    without = f", {counts.without_faces:,} without a face" if counts.without_faces else ""
    failed = f", {counts.failed:,} that could not be read" if counts.failed else ""
    faces, photos = count(counts.faces, "face"), count(counts.photos, "photo")
    yield f"{summary.output} holds {faces} in {photos}{without}{failed}."


def count(number: int, what: str) -> str:
    """A number with its noun, such as ``2 photos``."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """A duration in words, in whole seconds, minutes or hours.

    >>> duration(3.2), duration(125), duration(7380)
    ('3 s', '2 min 5 s', '2 h 3 min')
    """
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
