"""Progress bar of a run on a terminal."""

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
    """A progress bar with photos, their rate, faces, failures and the time left.

    A thread counts the photos during the work, since counting may take long. If the number is unknown, as for
    a pipe or a tar archive, the bar shows no time left.

    Args:
        sources: Sources of the run.
        before: Counts at the start of the run.
        wanted: False to show no bar in any case.
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
        """Stop the bar."""
        self._bar.stop()

    def update(self, counts: Counts) -> None:
        """Show the counts of the collection so far, less those at the start of the run."""
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
