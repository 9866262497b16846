"""Compare recipes by accuracy over training time: the curves of several runs against minutes of training.

``python benchmarks/recipes.py NAME=RUN... --manifest MANIFEST --output PNG`` draws the validation error
of the age and the accuracy of the gender, and prints each run's epochs, minutes and last and best figures.
The runs should have the same validation set and come from the same machine. The constant answers are the best
predictions without a picture: the median age and the more frequent gender.
"""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mien.data.manifest import read_manifest
from mien.training.curves import METRICS

COLUMNS = ("age_mae", "gender_accuracy")


def constant_answers(manifest: Path) -> dict[str, float]:
    """Evaluate the training rows' median age and more frequent gender on the validation rows."""
    rows = read_manifest(manifest)
    train, validation = (rows[rows["split"] == part] for part in ("train", "validation"))
    age, gender = train["age_low"].median(), train.loc[train["gender"] != "", "gender"].mode()[0]
    known = validation[validation["gender"] != ""]
    return {
        "age_mae": float((validation["age_low"] - age).abs().mean()),
        "gender_accuracy": float((known["gender"] == gender).mean()),
    }


def read_run(folder: Path) -> pd.DataFrame:
    """Read a run's epochs, with the minutes of training up to the end of each."""
    table = pd.read_csv(folder / "logs" / "metrics.csv")
    return table.assign(minutes=table["seconds"].cumsum() / 60)


def draw(runs: dict[str, pd.DataFrame], constant: dict[str, float], path: Path) -> None:
    """Draw one picture with a panel per metric."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), COLUMNS, strict=True):
        for name, table in runs.items():
            axes.plot(table["minutes"], table[f"val/{metric}"], ".-", label=name)
        axes.axhline(constant[metric], color="grey", linestyle=":", label="constant answer")
        title, unit = METRICS[metric]
        axes.set(xlabel="minutes of training", ylabel=unit, title=title, xlim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Draw the picture and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="folders that 'mien train' wrote")
    parser.add_argument(
        "--manifest", type=Path, required=True, help="what they were trained on and judged by"
    )
    parser.add_argument("--output", type=Path, required=True, help="the picture")
    arguments = parser.parse_args()
    runs = {name: read_run(Path(run)) for name, _, run in (text.partition("=") for text in arguments.runs)}
    constant = constant_answers(arguments.manifest)
    draw(runs, constant, arguments.output)
    print("| recipe | epochs | minutes | age MAE, years: last | best | gender: last | best |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, table in runs.items():
        age, gender = (table[f"val/{metric}"] for metric in COLUMNS)
        minutes = table["minutes"].iloc[-1]
        cells = [name, f"{len(table)}", f"{minutes:.0f}", f"{age.iloc[-1]:.2f}", f"{age.min():.2f}"]
        cells += [f"{100 * share:.1f} %" for share in (gender.iloc[-1], gender.max())]
        print(f"| {' | '.join(cells)} |")
    age_constant, gender_constant = constant["age_mae"], 100 * constant["gender_accuracy"]
    print(f"| constant answer | – | – | {age_constant:.2f} | – | {gender_constant:.1f} % | – |")


if __name__ == "__main__":
    main()
