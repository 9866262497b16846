"""A progress bar for long work."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class _Bar(Progress):
    def stop(self) -> None:
        """Stop only a bar that was shown: Rich before 14.1 otherwise prints a blank line."""
        if not self.disable:
            super().stop()


def progress(items: Iterable[T], label: str, total: int, *, wanted: bool = True) -> Iterator[T]:
    """Yield items while a bar on stderr, if that is a terminal, shows count, rate and time left.

    Args:
        items: The items.
        label: What they are, in the plural.
        total: Number of items.
        wanted: False for no bar in any case.
    """
    with progress_bar(wanted=wanted) as bar:
        yield from items if bar.disable else bar.track(items, total=total, description=label)


def progress_bar(*columns: ProgressColumn, wanted: bool = True) -> Progress:
    """A bar on stderr, if that is a terminal, with count, rate and time left of its tasks.

    Args:
        columns: More columns to show before the time left.
        wanted: False for no bar in any case.
    """
    # Without redirect_stdout=False, Rich would send what the caller prints to stdout to stderr.
    return _Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        disable=not (wanted and sys.stderr.isatty()),
    )
