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
        """Leave nothing behind: Rich before 14.1 ends a bar that never began with a blank line."""
        if not self.disable:
            super().stop()


def progress(items: Iterable[T], label: str, total: int, *, wanted: bool = True) -> Iterator[T]:
    """Pass items through while a bar on stderr, if that is a terminal, shows count, rate and time left.

    Args:
        items: As many as ``total``.
        label: What they are, in the plural.
        total: Their number.
        wanted: False for no bar in any case.
    """
    with progress_bar(wanted=wanted) as bar:
        yield from items if bar.disable else bar.track(items, total=total, description=label)


def progress_bar(*columns: ProgressColumn, wanted: bool = True) -> Progress:
    """A bar on stderr, if that is a terminal, with count, rate and time left of its tasks.

    Args:
        columns: Others to show, before the time left.
        wanted: False for no bar in any case.
    """
    # Standard output is the caller's: Rich would otherwise send what is printed meanwhile to stderr.
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
