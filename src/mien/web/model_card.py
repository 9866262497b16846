"""The model card as HTML for the info page."""

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.token import Token

from mien.pipeline.model import SHIPPED

SECTIONS = ("Use", "Figures", "Limits", "Terms")
FOLDED = "Figures"
WEIGHTS = files("mien") / "weights"


CARDS = {"small": "README.md", "open": "OPEN.md"}


def shipped_card(model: Path | None = None) -> str | None:
    """The Markdown text of the card of a bundled model; None for other models."""
    card = CARDS.get(SHIPPED[0] if model is None else str(model))
    return None if card is None else (WEIGHTS / card).read_text(encoding="utf-8")


def card_html(card: str) -> str:
    """Render the sections of a card that are named in :data:`SECTIONS`.

    Args:
        card: Markdown whose second-level headings name its sections. Raw HTML in it is shown as text.

    Returns:
        HTML without inline styles, which the page's content security policy forbids; right-aligned columns
        have the class ``figure``. Tables are in scrollable containers that take the keyboard focus. Tables in
        the section :data:`FOLDED` are folded under the paragraph before them. SVG pictures beside the bundled
        card are inlined, so that they take the page's colours. Links to files beside it become plain text.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll" tabindex="0"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    parser.add_render_rule("image", _picture)
    sections = [(name, part) for name, part in _sections(parser.parse(card)) if name in SECTIONS]
    tokens = [token for name, part in sections for token in (_folded(part) if name == FOLDED else part)]
    for token in tokens:
        _restyle(token)
        token.children = None if token.children is None else list(_without_local_links(token.children))
    return str(parser.renderer.render(tokens, parser.options, {}))


def _sections(tokens: list[Token]) -> Iterator[tuple[str, list[Token]]]:
    """Yield the text of each second-level heading, with the tokens up to the next one."""
    starts = [i for i, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h2"]
    for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
        yield tokens[start + 1].content, tokens[start:end]


def _folded(tokens: list[Token]) -> Iterator[Token]:
    """Wrap each table and the paragraph before it in ``details``, with the paragraph as ``summary``."""
    titles = {
        i - 3: tokens[i - 2]
        for i, token in enumerate(tokens)
        if token.type == "table_open" and tokens[i - 1].type == "paragraph_close"
    }
    is_open = False
    for i, token in enumerate(tokens):
        if i in titles:
            is_open = True
            yield Token("details_open", "details", 1)
        if {i, i - 2} & titles.keys():
            token.tag = "summary"
        yield token
        if i - 1 in titles and token.children:
            token.children[-1].content = token.children[-1].content.rstrip(":")
        if token.type == "table_close" and is_open:
            is_open = False
            yield Token("details_close", "details", -1)


def _picture(_: RendererProtocol, tokens: Sequence[Token], index: int, *__: object) -> str:
    """The SVG of a picture beside the bundled card; for other pictures, their alternative text."""
    name = str(tokens[index].attrs.get("src", ""))
    known = {file.name: file for file in WEIGHTS.iterdir() if file.name.endswith(".svg")}
    return known[name].read_text(encoding="utf-8") if name in known else escape(tokens[index].content)


def _restyle(token: Token) -> None:
    """Lower the level of a heading by one, and replace a right-aligned style by the class ``figure``."""
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{int(token.tag[1]) + 1}"
    if "text-align:right" in str(token.attrs.pop("style", "")):
        token.attrs["class"] = "figure"


def _without_local_links(tokens: list[Token]) -> Iterator[Token]:
    hidden = False
    for token in tokens:
        if token.type == "link_open":
            hidden = "://" not in str(token.attrs.get("href", ""))
        if not (hidden and token.type in ("link_open", "link_close")):
            yield token
