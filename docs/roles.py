"""Turns Sphinx roles in docstrings, such as ``:class:`~mien.Predictor```, into links of the site."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`(~?)([\w.]+)`")


class Roles(griffe.Extension):
    """Rewrites docstrings as they are collected; a name without a page of its own stays plain code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one object's docstring."""
        if obj.docstring:
            obj.docstring.value = ROLE.sub(_link, obj.docstring.value)


def _link(role: re.Match[str]) -> str:
    shortened, name = role.groups()
    shown = name.rpartition(".")[2] if shortened else name
    return f'<autoref optional identifier="{name}"><code>{shown}</code></autoref>'
