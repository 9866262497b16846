"""Fine-tune the model that ships on faces of your own, and see whether it got better.

    python examples/fine_tune.py faces.csv --output runs/mine --epochs 10

The manifest names face crops; see the guide on data. Needs ``pip install 'mien[train]'``.
"""

from pathlib import Path
from typing import Annotated

import typer

from mien import Predictor
from mien.data.manifest import write_manifest
from mien.data.sources import load_faces
from mien.data.split import divide
from mien.evaluation import evaluate
from mien.pipeline.model import default_model_path
from mien.training.export import export
from mien.training.recipes import get_recipe
from mien.training.run import train


def main(
    faces: Annotated[Path, typer.Argument(help="A manifest of face crops.")],
    output: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/mine"),
    epochs: Annotated[int, typer.Option(min=1)] = 10,
    batch_size: Annotated[int, typer.Option(min=2)] = 64,
    validation: Annotated[float, typer.Option(help="Share of the faces that judges the run.")] = 0.2,
) -> None:
    """Split, train, export, and compare with the model that ships."""
    manifest = output.with_suffix(".csv")
    write_manifest(divide(load_faces(faces).table, validation=validation).table, manifest)
    checkpoint = train(
        [manifest],
        get_recipe("small"),
        output,
        epochs=epochs,
        batch_size=batch_size,
        weights=default_model_path(),
        precision="32-true",
    )
    mine = export([checkpoint], [manifest], output / "mine.onnx").path

    for name, model in {"shipped": default_model_path(), "mine": mine}.items():
        scores = evaluate(manifest, Predictor(model), split="validation", recalibrate=True).scores
        print(f"{name}: mean absolute error {scores.overall['mae'].value:.2f} years")
    print(f"The model: {mine}")


if __name__ == "__main__":
    typer.run(main)
