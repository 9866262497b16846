"""``mien train``."""

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.caches import temporary_caches


@temporary_caches()
def train(
    manifest: Annotated[
        list[Path],
        typer.Option(
            help="Manifest with a split column; repeat it for several. The first one is used for validation."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the run.")],
    recipe: Annotated[str, typer.Option(help="Recipe: small, dlib or classic.")] = "small",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Number of epochs; the default is the recipe's.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Faces per step; the default is the recipe's.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-9, max=10, help="Peak learning rate; the default is the recipe's.")
    ] = None,
    balance_ages: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="How far to balance the ages of each data set: 0 samples all faces equally often, 1 all "
            "ages equally often; 0.5 is between.",
        ),
    ] = None,
    freeze_trunk: Annotated[
        bool, typer.Option("--freeze-trunk", help="Train only the heads; needs --weights.")
    ] = False,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many epochs without improvement.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            "--trunk-weights",
            help="Weights to start from: a checkpoint, a model file of small or dlib, or the file of a "
            "trunk (for dlib: dlib_face_recognition_resnet_model_v1.dat, for classic: "
            "rcmalli_vggface_tf_notop_vgg16.h5).",
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            help="Teacher for knowledge distillation, for small and dlib: a model file whose answers are "
            "learned as well as the labels; repeat it for several."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint.")] = False,
    limit_train_batches: Annotated[
        int | None, typer.Option(min=1, help="Number of batches per epoch, for a quick test.")
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="bf16-mixed, 32-true or another of Lightning's values; auto uses bfloat16 where it is fast."
        ),
    ] = "auto",
    devices: Annotated[str, typer.Option(help="Number of devices, or auto.")] = "auto",
    strategy: Annotated[str, typer.Option(help="Lightning's strategy for several devices.")] = "auto",
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            help="Seed of weights, order and augmentation. The result also depends on the device and the "
            "number of cores.",
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
