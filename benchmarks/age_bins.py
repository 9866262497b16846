"""Measure the coverage of exact ages by intervals that were calibrated on age bins.

One half of the faces is the calibration set, the other half the test set. Exact ages are known, but the
calibration on bins uses only their FairFace bins.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from mien.data.manifest import read_manifest
from mien.evaluation.calibration import calibrated, observe
from mien.pipeline.intervals import age_interval
from mien.pipeline.model import Model, default_model_path

STARTS = np.array([0, 3, 10, 20, 30, 40, 50, 60, 70])
ENDS = np.array([2, 9, 19, 29, 39, 49, 59, 69, 116])
COVERAGE, DRAWS = 0.9, 20


def main() -> None:
    """Print coverage of exact ages and mean width of intervals, calibrated on exact ages and on bins."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path, help="its validation rows, with exact ages, are used")
    parser.add_argument("--model", type=Path, default=default_model_path())
    arguments = parser.parse_args()
    rows = read_manifest(arguments.manifest)
    rows = rows[rows["split"] == "validation"].reset_index(drop=True)
    model = Model(arguments.model)
    answers = observe(model, rows)
    ages = rows["age_low"].to_numpy(np.float64)
    number = np.searchsorted(STARTS, ages, side="right") - 1
    binned = rows.assign(age_low=STARTS[number].astype(float), age_high=ENDS[number].astype(float))
    found = []
    for draw in range(DRAWS):
        half = np.random.default_rng(draw).permutation(len(rows)) % 2 == 0
        for name, labels in (("exact", rows), ("bins", binned)):
            metadata = calibrated(model.metadata, labels[half], answers[half], by_bins=name == "bins")
            low, high = age_interval(answers.age_probabilities[~half], metadata.interval, COVERAGE)
            held = (low <= ages[~half]) & (ages[~half] <= high)
            found.append({"calibrated on": name, "held": held.mean(), "width": (high - low).mean()})
    print(f"{len(rows):,} faces, {DRAWS} divisions into halves, intervals of {COVERAGE:.0%}")
    print(pd.DataFrame(found).groupby("calibrated on").mean().round(3).to_string())


if __name__ == "__main__":
    main()
