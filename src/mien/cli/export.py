"""``mien export``."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[Path, typer.Argument(help="A .ckpt file of a run.")],
    manifest: Annotated[
        Path, typer.Option(help="Its validation rows calibrate the interval and give the file's figures.")
    ],
    output: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    model_version: Annotated[str, typer.Option(help="Version of the weights.")] = "1",
) -> None:
    """Write a model file from a checkpoint, run it, and compare the two."""
    from mien.training.export import export as run

    report = run(checkpoint, manifest, output, version=model_version)
    typer.echo(f"{report.path}: {report.megabytes:.1f} MB")
    typer.echo(
        f"largest difference from the checkpoint: {report.age_difference:.1e} years, "
        f"{report.probability_difference:.1e} in probability"
    )
    for name, value in report.metrics.items():
        typer.echo(f"{name}: {value:g}")
