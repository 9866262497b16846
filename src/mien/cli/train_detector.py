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
            help="Folders with boxes.csv (image, x1, y1, x2, y2), no-face.csv (image) and perhaps "
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
    """The file of a detector, or what a checkpoint would be exported to."""
    if weights is None or weights.suffix != ".ckpt":
        return weights
    from mien.training.detection.export import export_detector as run

    return run(weights, folder / "detector.onnx", threshold=0.5).path


@temporary_caches()
def export_detector(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A .ckpt file of 'mien train-detector'.")
    ],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The .onnx file to write.")],
    threshold: Annotated[
        float,
        typer.Option(min=0.01, max=0.99, help="Minimum score of a face, unless the user sets another one."),
    ] = 0.5,
    unsure_below: Annotated[
        float, typer.Option(min=0, max=1, help="Score below which a face is marked as unsure.")
    ] = 0.0,
    small_penalty: Annotated[
        float,
        typer.Option(
            help="Subtracted from the log odds of the smallest boxes, because most false positives are small."
        ),
    ] = 0.0,
    version: Annotated[
        str, typer.Option("--model-version", "--version", help="Version of the weights.")
    ] = "1",
) -> None:
    """Write a detector file from a checkpoint, and compare their answers."""
    from mien.training.detection.export import export_detector as run

    report = run(
        checkpoint,
        output,
        threshold=threshold,
        unsure_below=unsure_below,
        small_penalty=small_penalty,
        version=version,
    )
    typer.echo(f"{report.path}: {report.megabytes:.2f} MB")
    typer.echo(
        f"largest difference from the checkpoint: {report.score_difference:.2g} in scores, "
        f"{report.pixel_difference:.2g} pixels"
    )
