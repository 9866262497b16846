"""Error rates of a minimum-age check: minors who pass, and adults who do not.

Such a check demands a document from everybody who looks younger than a challenge age, which is usually above
the legal age, as in "Challenge 25". The rates are those of the NIST evaluation of age estimation (Hanaoka et
al., "Face Analysis Technology Evaluation: Age Estimation and Verification", NISTIR 8525, 2024).
"""

import numpy as np
import pandas as pd

from mien.evaluation.metrics import Metric

LEGAL_AGE = 18
"""Years; people labelled younger are minors here."""

CHALLENGE_AGES = (18, 20, 21, 23, 25, 27, 30)
"""Years; people estimated to be at least this old pass without a document."""

FALSE_ADULT, FALSE_MINOR = "false_adult", "false_minor"

THRESHOLD_METRICS = tuple(
    Metric(f"{name}_{age}", f"{label}, challenge age {age}", f"{name}_{age}", "share", "lower")
    for age in CHALLENGE_AGES
    for name, label in ((FALSE_ADULT, "Minors who pass"), (FALSE_MINOR, "Adults who do not"))
)


def threshold_values(labels: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Compute the numbers of single faces that the rates of false adults and false minors average.

    An age known only as a bin counts if the whole bin is on one side of :data:`LEGAL_AGE`. Estimates are
    compared without rounding to whole years.

    Args:
        labels: n rows of a manifest: ``age_low`` and ``age_high`` in years.
        predictions: n rows in the same order: ``age`` in years, NaN where no face was found.

    Returns:
        n rows; for each challenge age T the columns ``false_adult_T``, whether a minor's estimate is at least
        T, and ``false_minor_T``, whether an adult's estimate is below T; NaN for all other faces.
    """
    age = predictions["age"].to_numpy(np.float64)
    found = np.isfinite(age)
    minor = found & (labels["age_high"] < LEGAL_AGE).to_numpy(bool)
    adult = found & (labels["age_low"] >= LEGAL_AGE).to_numpy(bool)
    columns = {}
    for challenge in CHALLENGE_AGES:
        columns[f"{FALSE_ADULT}_{challenge}"] = np.where(minor, age >= challenge, np.nan)
        columns[f"{FALSE_MINOR}_{challenge}"] = np.where(adult, age < challenge, np.nan)
    return pd.DataFrame(columns)
