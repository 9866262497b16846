"""Measure mien on faces of your own: from a CSV with any column names to figures with confidence intervals.

    python examples/own_csv.py people.csv --path file --age years --gender sex --female f --male m

Each picture is taken for a photo with one person in it. The CSV's pictures are named relative to its folder.
Needs ``pip install 'mien[train]'``.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from mien import Predictor
from mien.data.manifest import check_manifest, write_manifest
from mien.evaluation import evaluate


def main(
    csv: Annotated[Path, typer.Argument(help="One row per picture.")],
    path: Annotated[str, typer.Option(help="Column with the picture.")] = "path",
    age: Annotated[str, typer.Option(help="Column with the age in years.")] = "age",
    gender: Annotated[str, typer.Option(help="Column with the gender.")] = "gender",
    female: Annotated[str, typer.Option(help="How the column says female.")] = "female",
    male: Annotated[str, typer.Option(help="How the column says male.")] = "male",
    output: Annotated[Path, typer.Option(help="Folder for the manifest and the report.")] = Path("measured"),
) -> None:
    """Write a manifest, estimate every picture, and print the main figures."""
    table = pd.read_csv(csv).rename(columns={path: "path", age: "age", gender: "gender"})
    table["gender"] = table["gender"].replace({female: "female", male: "male"})
    manifest = output / "manifest.csv"
    write_manifest(check_manifest(table, str(csv), csv.parent), manifest)

    evaluation = evaluate(manifest, Predictor(), faces="detect", report=output / "report")
    for name, figure in evaluation.scores.overall.items():
        print(f"{name}: {figure.value:.3g} ({figure.low:.3g} to {figure.high:.3g}, {figure.n} faces)")
    print(f"The report: {output / 'report' / 'index.html'}")


if __name__ == "__main__":
    typer.run(main)
