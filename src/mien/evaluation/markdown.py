"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table whose first column holds names; all other columns hold figures, aligned to the right.

    >>> print(markdown_table(["model", "MAE"], [["small", "4.28"]]))
    | model | MAE |
    |---|---:|
    | small | 4.28 |
    """
    rule = "|---|" + "---:|" * (len(head) - 1)
    return "\n".join([_line(head), rule, *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
