"""Makes Markdown of what docstrings say in Sphinx's and doctest's ways, as mkdocstrings collects them."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`(~?)([\w.]+)`")
EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
DIRECTIVE = re.compile(r" *# doctest:.*")


class Docstrings(griffe.Extension):
    """Turns roles into links and examples into code blocks."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one object's docstring."""
        if obj.docstring:
            text = ROLE.sub(_link, obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(_code_block, text)


def _link(role: re.Match[str]) -> str:
    """A link to the name, or plain code where the name has no place in the reference."""
    shortened, name = role.groups()
    shown = name.rpartition(".")[2] if shortened else name
    return f'<autoref optional identifier="{name}"><code>{shown}</code></autoref>'


def _code_block(example: re.Match[str]) -> str:
    return f"```pycon\n{DIRECTIVE.sub('', example[0])}\n```"
