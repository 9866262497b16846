"""``mien export``."""

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.caches import temporary_caches


@temporary_caches()
def export(
    source: Annotated[
        list[Path],
        typer.Argument(
            help="A .ckpt file of a run; two of the recipe small, which then answer together, the second for "
            "the mirror image; or an .onnx model file to calibrate anew."
        ),
    ],
    manifest: Annotated[
        list[Path],
        typer.Option(
            metavar="CSV",
            help="Its validation rows calibrate the age intervals and the gender's probabilities. May be "
            "given several times; the first one's rows give the file's figures.",
        ),
    ],
    output: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    model_version: Annotated[
        str | None, typer.Option(help="Version of the weights.", show_default="the model file's own, or 1")
    ] = None,
) -> None:
    """Write a calibrated model file; from checkpoints, run it and compare the answers."""
    from mien.training.export import export as run

    report = run(source, manifest, output, version=model_version)
    typer.echo(f"{report.path}: {report.megabytes:.1f} MB")
    if report.differences is not None:
        years, probability = report.differences
        typer.echo(
            f"largest difference from the checkpoint: {years:.1e} years, {probability:.1e} in probability"
        )
    for name, value in report.metrics.items():
        typer.echo(f"{name}: {value:g}")
    for sentence in report.warnings:
        typer.echo(f"mien: {sentence}", err=True)
