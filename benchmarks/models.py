"""Compare the main metrics of several models.

``python benchmarks/models.py REPORT`` reads what ``mien evaluate --report REPORT`` wrote for several models
on the manifests ``utkface``, ``fairface`` and ``all-age-faces``, and prints one row per model.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COLUMNS = (
    ("utkface", "mae", "UTKFace: MAE"),
    ("utkface", "gender_accuracy", "gender"),
    ("utkface", "coverage", "covered"),
    ("fairface", "bin_accuracy", "FairFace: age bin"),
    ("fairface", "gender_accuracy", "gender"),
    ("fairface", "lowest", "lowest group"),
    ("all-age-faces", "mae", "All-Age-Faces: MAE"),
)


def main() -> None:
    """Print the table."""
    if len(sys.argv) != 2 or not (folder := Path(sys.argv[1])).is_dir():
        sys.exit(f"usage: {sys.argv[0]} REPORT, the folder of a report on several models")
    print(f"| model | {' | '.join(title for *_, title in COLUMNS)} |")
    print("|---|" + "---:|" * len(COLUMNS))
    for model in sorted(filter(Path.is_dir, folder.iterdir()), key=in_order):
        sets = {name: json.loads((model / name / "metrics.json").read_text()) for name, *_ in COLUMNS}
        cells = [cell(sets[name], metric) for name, metric, _ in COLUMNS]
        print(f"| {model.name.replace('-', ' ')} | {' | '.join(cells)} |")


def in_order(folder: Path) -> tuple[int, list[int]]:
    """Sort key: names with fewer numbers first, then by the numbers in the name."""
    numbers = [int(number) for number in re.findall(r"\d+", folder.name)]
    return len(numbers), numbers


def cell(evaluation: Mapping[str, Any], metric: str) -> str:
    """Format a metric; ``lowest`` is the lowest gender accuracy by race and gender."""
    if metric == "lowest":
        groups = evaluation["groups"]["race and gender"].values()
        return f"{100 * min(group['gender_accuracy']['value'] for group in groups):.1f} %"
    value: float = evaluation["overall"][metric]["value"]
    return f"{value:.2f}" if metric == "mae" else f"{100 * value:.1f} %"


if __name__ == "__main__":
    main()
