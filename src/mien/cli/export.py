"""``mien export``."""

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.caches import temporary_caches


@temporary_caches()
def export(
    output: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    source: Annotated[
        list[Path] | None,
        typer.Argument(
            help="A .ckpt file of a run, or an .onnx model file to calibrate again, to quantize or to make "
            "plain; or two of either as an ensemble, whose second net gets the mirror image.",
            show_default="with --plain, the included model",
        ),
    ] = None,
    manifest: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CSV",
            help="Manifest whose validation rows calibrate the age intervals and the gender "
            "probabilities; repeat it for several. The rows of the first one give the metrics stored "
            "in the file.",
            show_default="with --plain, the model file keeps its calibration",
        ),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain",
            help="Write a larger file that other programs, such as OpenCV 4, can read too: kernels in "
            "single precision, and widely supported operators.",
        ),
    ] = False,
    quantize: Annotated[
        bool,
        typer.Option(
            "--quantize",
            help="Quantize the net to eight bits, which is smaller and faster. The train rows of the "
            "manifests set the scales; the net is compared with the one in single precision.",
        ),
    ] = False,
    logit_adjustment: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="How far to correct for ages that are rare among the train rows: 0 not at all, 1 fully. "
            "Rare ages gain accuracy, and frequent ones lose some.",
        ),
    ] = 0.0,
    model_version: Annotated[
        str | None, typer.Option(help="Version of the weights.", show_default="the model file's own, or 1")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the model.", show_default="the model file's own, or the recipe's"),
    ] = None,
) -> None:
    """Write a calibrated model file from checkpoints, and compare its answers with theirs."""
    sources, manifests = source or [], manifest or []
    if plain and quantize:
        raise typer.BadParameter(
            "--plain is for programs that do not compute in eight bits: give one of the two."
        )
    if (
        plain
        and not manifests
        and name is None
        and not logit_adjustment
        and all(path.suffix == ".onnx" for path in sources)
    ):
        _make_plain(sources, output, model_version)
        return
    if not sources or not manifests:
        raise typer.BadParameter("give SOURCE and --manifest; only --plain, for a model file, does without.")
    from mien.training.export import export as run

    report = run(
        sources,
        manifests,
        output,
        version=model_version,
        name=name,
        plain=plain,
        quantize=quantize,
        logit_adjustment=logit_adjustment,
    )
    typer.echo(f"{report.path}: {report.megabytes:.1f} MB")
    if report.differences is not None:
        years, probability = report.differences
        typer.echo(
            f"largest difference from the checkpoint: {years:.1e} years, {probability:.1e} in probability"
        )
    if report.drift is not None:
        typer.echo(f"change by quantization: {report.drift}")
    for metric, value in report.metrics.items():
        typer.echo(f"{metric}: {value:g}")
    for sentence in report.warnings:
        typer.echo(f"mien: {sentence}", err=True)


def _make_plain(sources: list[Path], output: Path, version: str | None) -> None:
    from mien.pipeline.model import default_model_path
    from mien.training.plain import convert

    if len(sources) > 1 or version is not None:
        raise typer.BadParameter("--plain keeps one model file as it is: give one SOURCE, and no version.")
    years, probability = convert(sources[0] if sources else default_model_path(), output)
    typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    typer.echo(f"largest difference from the source: {years:.1e} years, {probability:.1e} in probability")
