"""``mien train``."""

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.caches import temporary_caches


@temporary_caches()
def train(
    manifest: Annotated[
        list[Path], typer.Option(help="Manifest with a split column; repeat it. The first judges the run.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of the run.")],
    recipe: Annotated[str, typer.Option(help="small, dlib or classic.")] = "small",
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-9, max=10, help="The highest one, instead of the recipe's.")
    ] = None,
    balance_ages: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Even out the ages of each data set: 0 draws faces as they come, 1 all ages as often, 0.5 "
            "between.",
        ),
    ] = None,
    freeze_trunk: Annotated[
        bool, typer.Option("--freeze-trunk", help="Let the heads alone learn; needs --weights.")
    ] = False,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many epochs without a better one.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            "--trunk-weights",
            help="Start from these: a checkpoint, a model file of small or dlib, or a trunk's file. For "
            "dlib dlib_face_recognition_resnet_model_v1.dat, for classic rcmalli_vggface_tf_notop_vgg16.h5.",
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help="Model file whose answers count beside the labels, for small and dlib; repeat it."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    limit_train_batches: Annotated[
        int | None, typer.Option(min=1, help="Batches in an epoch, for an early look.")
    ] = None,
    precision: Annotated[
        str,
        typer.Option(help="bf16-mixed, 32-true or another of Lightning's; auto: bfloat16 where it is fast."),
    ] = "auto",
    devices: Annotated[str, typer.Option(help="Number of devices, or auto.")] = "auto",
    strategy: Annotated[str, typer.Option(help="Lightning's strategy for several devices.")] = "auto",
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            help="Of weights, order and augmentation. Another number of cores or device gives another model.",
        ),
    ] = 0,
) -> None:
    """Train a recipe on manifests of face crops."""
    from mien.training.recipes import get_recipe
    from mien.training.run import train as run
    from mien.training.running import is_first

    checkpoint = run(
        manifest,
        get_recipe(recipe).but(
            learning_rate=learning_rate,
            balance_ages=balance_ages,
            freeze_trunk=freeze_trunk or None,
            patience=patience,
        ),
        output,
        epochs=epochs,
        batch_size=batch_size,
        weights=weights,
        teachers=teacher or (),
        resume=resume,
        limit_train_batches=limit_train_batches or 1.0,
        precision=precision,
        devices=devices,
        strategy=strategy,
        seed=seed,
    )
    if is_first():
        typer.echo(f"Trained: {checkpoint}")
