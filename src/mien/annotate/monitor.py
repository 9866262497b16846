"""The progress of a run on a terminal."""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.progress import TextColumn

from mien.annotate.record import Counts
from mien.annotate.sources import Source
from mien.errors import MienError
from mien.progress import progress_bar


class Monitor:
    """A bar with photos, their rate, faces, failures and the time left.

    Photos are counted beside the work, as that may take a while; where they cannot be, as in a pipe or a tar
    archive, no time left is shown.

    Args:
        sources: Whose photos are counted.
        before: What was done before.
        wanted: False for no bar in any case.
    """

    def __init__(self, sources: Sequence[Source], before: Counts, *, wanted: bool) -> None:
        """Show nothing yet."""
        self._sources = sources
        self._before = before
        columns = (TextColumn("{task.fields[faces]:,} faces, {task.fields[failed]:,} failed"),)
        self._bar = progress_bar(*columns, wanted=wanted)
        self._task = self._bar.add_task("Photos", total=None, faces=0, failed=0)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        if not self._bar.disable:
            threading.Thread(target=self._count, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def update(self, counts: Counts) -> None:
        """Show what is done by now."""
        self._bar.update(
            self._task,
            completed=counts.photos - self._before.photos,
            faces=counts.faces - self._before.faces,
            failed=counts.failed - self._before.failed,
        )

    def _count(self) -> None:
        total = 0
        for source in self._sources:
            try:
                count = source.count()
            except (MienError, OSError):
                return
            if count is None:
                return
            total += count
        self._bar.update(self._task, total=max(total - self._before.photos, 1))
