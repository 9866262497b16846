"""``mien card``."""

from pathlib import Path
from typing import Annotated

import typer

from mien.errors import DataError


def card(
    documents: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="Markdown file with marks for figures.", exists=True, dir_okay=False
        ),
    ],
    figures: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of evaluations (metrics.json as NAME.json) and benchmark tables (NAME.md).",
            exists=True,
            file_okay=False,
        ),
    ],
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Report of 'mien evaluate'. Its evaluations are first copied into --figures, each under "
            "the name of its manifest.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Replace the figures in documents, such as a model card, by measured ones.

    The charts that a document shows are drawn into its folder.
    """
    from mien.evaluation.model_card import adopt, fill, read_pictures, read_tables
    from mien.files import refuse_overwriting, written_beside

    if report is not None:
        adopt(report, figures)
    refuse_overwriting(documents, figures.iterdir())
    tables = read_tables(figures)
    filled = {path: fill(_read(path), tables, str(path)) for path in documents}
    pictures = {f"{name}.svg": picture for name, picture in read_pictures(figures).items()}
    for path, text in filled.items():
        shown = {path.with_name(name): picture for name, picture in pictures.items() if f"]({name})" in text}
        for target, content in {**shown, path: text}.items():
            with written_beside(target) as partial:
                partial.write_text(content, encoding="utf-8")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8; save it in that encoding.") from None
