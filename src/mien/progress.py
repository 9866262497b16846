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


def progress(items: Iterable[T], label: str, total: int, *, wanted: bool = True) -> Iterator[T]:
    """Pass items through while a bar on stderr, if that is a terminal, shows count, rate and time left.

    Args:
        items: As many as ``total``.
        label: What they are, in the plural.
        total: Their number.
        wanted: False for no bar in any case.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    if not (wanted and sys.stderr.isatty()):
        yield from items
        return
    # Standard output is the caller's: Rich would otherwise send what is printed meanwhile to stderr.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        yield from bar.track(items, total=total, description=label)
