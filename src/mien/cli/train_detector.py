"""``mien train-detector`` and ``mien export-detector``."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from mien.cli.caches import temporary_caches


@temporary_caches()
def train_detector(
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Folders with boxes.csv (image, x1, y1, x2, y2), no-face.csv (image) and optionally "
            "unlabelled.csv (image), and the pictures they name.",
            file_okay=False,
        ),
    ],
    faces: Annotated[
        list[Path],
        typer.Option(
            metavar="MANIFEST", help="Aligned faces to paste into scenes, with a split column; repeat it."
        ),
    ],
    teacher: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="Detector that adds landmarks and unlabelled faces, e.g. yunet or centerface; repeat it.",
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the run.")],
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs, with 4,000 scenes each.")] = 40,
    batch_size: Annotated[int, typer.Option(min=1, help="Number of scenes per batch.")] = 16,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Start from this detector file or checkpoint, and sample pictures more often in which it "
            "finds false faces (hard negatives).",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint.")] = False,
    precision: Annotated[
        str,
        typer.Option(
            help="bf16-mixed, 32-true or another of Lightning's values; auto uses bfloat16 where it is fast."
        ),
    ] = "auto",
    devices: Annotated[str, typer.Option(help="Number of devices, or auto.")] = "auto",
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            help="Seed of weights and scenes. The result also depends on the device and the number of cores.",
        ),
    ] = 0,
) -> None:
    """Train mien's own face detector on photos with boxes, pictures without faces, and aligned faces."""
    from mien.pipeline.detect import make_detector
    from mien.training.detection.labels import TAUGHT_SIDE, UNSURE
    from mien.training.detection.run import train_detector as run
    from mien.training.running import is_first

    with TemporaryDirectory() as folder:
        checkpoint = run(
            photos,
            faces,
            [make_detector(name, longest_side=TAUGHT_SIDE, threshold=UNSURE) for name in teacher],
            output,
            epochs=epochs,
            batch_size=batch_size,
            weights=_detector_file(weights, Path(folder)),
            resume=resume,
            precision=precision,
            devices=devices,
            seed=seed,
        )
    if is_first():
        typer.echo(f"Trained: {checkpoint}")


def _detector_file(weights: Path | None, folder: Path) -> Path | None:
    """A detector file as it is; for a checkpoint, its export."""
    if weights is None or weights.suffix != ".ckpt":
        return weights
    from mien.training.detection.export import export_detector as run

    return run(weights, folder / "detector.onnx", threshold=0.5).path


@temporary_caches()
def export_detector(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A .ckpt file of 'mien train-detector', or a detector's .onnx file."
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The .onnx file to write.")],
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=0.99,
            help="Minimum score of a face, unless the user sets another one.",
            show_default="the file's own, or 0.5",
        ),
    ] = None,
    unsure_below: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Score below which a face is marked as unsure.",
            show_default="the file's own, or 0",
        ),
    ] = None,
    small_penalty: Annotated[
        float,
        typer.Option(
            help="Subtracted from the log odds of the smallest boxes, because most false positives are "
            "small; for checkpoints."
        ),
    ] = 0.0,
    quantize: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Quantize the net to eight bits, which is smaller and faster. DIR is a folder as for 'mien "
            "train-detector': its training pictures set the scales, and its validation pictures compare the "
            "net with the one in single precision. May be repeated.",
            file_okay=False,
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            "--model-version",
            "--version",
            help="Version of the weights.",
            show_default="the file's own, or 1",
        ),
    ] = None,
) -> None:
    """Write a detector file from a checkpoint, and compare their answers."""
    from mien.training.detection.export import export_detector as run

    report = run(
        source,
        output,
        threshold=threshold,
        unsure_below=unsure_below,
        small_penalty=small_penalty,
        version=version,
        quantize=quantize or (),
    )
    typer.echo(f"{report.path}: {report.megabytes:.2f} MB")
    if report.score_difference is not None:
        typer.echo(
            f"largest difference from the checkpoint: {report.score_difference:.2g} in scores, "
            f"{report.pixel_difference:.2g} pixels"
        )
    if report.drift is not None:
        typer.echo(f"change by quantization: {report.drift}")
