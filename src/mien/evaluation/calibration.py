"""Calibrating a model on faces it was not trained on, and measuring how well that holds on others."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression

from mien.data.chips import read_chips
from mien.data.manifest import exact_ages
from mien.errors import DataError
from mien.evaluation.metrics import cluster_numbers
from mien.evaluation.predictions import Prediction
from mien.pipeline.estimation import calibrated_p_female, estimate_faces, log_odds
from mien.pipeline.intervals import mass_below
from mien.pipeline.metadata import GenderCalibration, IntervalCalibration, ModelMetadata
from mien.request import Request

if TYPE_CHECKING:
    from mien.pipeline.model import Model
    from mien.predictor import Predictor

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

COVERAGES = tuple(round(0.5 + 0.01 * i, 2) for i in range(50))
"""The coverages that :func:`calibrate_ages` tabulates: 0.50, 0.51 … 0.99."""

BAND = 10
"""Years of a band, unless it holds too few faces."""

LEAST_IN_BAND = 30
"""Faces of a band; decades with fewer share one."""

LEAST_FACES = 10
"""Faces below which nothing can be said of a coverage of nine in ten."""

LEAST_OF_EACH = 50
"""Number of faces of each gender needed to calibrate the gender probabilities."""

RISK = 0.5
"""Error rate of the labels that are given, relative to labelling every face."""

AT_ONCE = 256
"""Number of faces whose chips are in memory together."""

FOLDS = 5
"""Number of folds of the cross-calibration."""


@dataclass(frozen=True, slots=True)
class Answers:
    """A model's raw answers for n faces.

    Attributes:
        age_probabilities: (n, k).
        p_female: (n,).
    """

    age_probabilities: Floats
    p_female: Floats

    def __getitem__(self, rows: Booleans) -> "Answers":
        """The answers for some faces."""
        return Answers(self.age_probabilities[rows], self.p_female[rows])


def observe(model: "Model", table: pd.DataFrame) -> Answers:
    """A model's raw answers for the face crops of a manifest.

    Raises:
        DataError: If a picture cannot be read.
    """
    size = model.metadata.input_size
    answers = []
    for start in range(0, len(table), AT_ONCE):
        part = table.iloc[start : start + AT_ONCE]
        answers.append(model.run(np.stack(list(read_chips(part, size)))))
    ages, p_female = zip(*answers, strict=True)
    return Answers(np.concatenate(ages), np.concatenate(p_female))


def must_judge_by_bins(labels: pd.DataFrame) -> bool:
    """Whether too few ages are exact to calibrate on, and others are known as bins."""
    exact = exact_ages(labels)
    return bool((labels["age_low"] < labels["age_high"]).any()) and int(exact.sum()) < LEAST_FACES


def calibrated(
    metadata: ModelMetadata, labels: pd.DataFrame, answers: Answers, *, by_bins: bool = False
) -> ModelMetadata:
    """Metadata with intervals calibrated on the ages and probabilities on the known genders, if any.

    Args:
        metadata: Of the model that gave the answers.
        labels: n rows of a manifest, none of which was trained on.
        answers: For these rows.
        by_bins: Whether ages that are known as a bin count too, drawn by :func:`draw_ages`.

    Raises:
        DataError: If there are some such ages, but too few, or the genders run against the model's.
    """
    aged = (labels["age_low"].notna() if by_bins else exact_ages(labels)).to_numpy(bool)
    known = (labels["gender"] != "").to_numpy(bool)
    if 0 < aged.sum() < LEAST_FACES:
        exact = "" if by_bins else "exact "
        raise DataError(
            f"Calibration needs at least {LEAST_FACES} faces with {exact}ages; there are {aged.sum()}."
        )
    interval = metadata.interval
    if aged.any():
        mass = answers.age_probabilities[aged]
        ages = draw_ages(mass, labels[aged], age_min=metadata.age_min)
        interval = calibrate_ages(mass, ages, age_min=metadata.age_min)
        interval = interval.model_copy(update={"from_bins": by_bins})
    female = (labels.loc[known, "gender"] == "female").to_numpy(bool)
    gender = calibrate_gender(answers.p_female[known], female)
    return metadata.model_copy(update={"interval": interval, "gender": gender})


def draw_ages(age_probabilities: Floats, labels: pd.DataFrame, *, age_min: int = 0, seed: int = 0) -> Floats:
    """An age for each face: the labelled one, or where a bin is labelled, one drawn from within it.

    It is drawn from the model's own distribution, restricted to the bin (single imputation by a draw from the
    conditional distribution: Little and Rubin, "Statistical analysis with missing data", 2002, section 4.3).
    The mean or the likeliest age would lie in the middle of what the model predicts, and its intervals would
    look safer than they are. If the model's distributions are right, so are those of what is drawn, and the
    probability integral transform of the drawn ages is uniform. What this cannot tell is whether the model
    is right within a bin: an interval that lies in one bin is as narrow as the model has it.

    Args:
        age_probabilities: (n, k) mass of the ages ``age_min``, ``age_min + 1`` …
        labels: n rows of a manifest, all with an age or a bin.
        age_min: Age in years of the first column.
        seed: Draws other ages.

    Returns:
        (n,) years, whole ones where they were drawn.
    """
    support = age_min + np.arange(age_probabilities.shape[1])
    low, high = (labels[column].to_numpy(np.float64) for column in ("age_low", "age_high"))
    first, last = (np.clip(end, support[0], support[-1])[:, None] for end in (np.floor(low), np.ceil(high)))
    inside = (support >= first) & (support <= last)
    # A model that is sure of another bin says nothing of this one: all of its ages are then as likely.
    total = np.cumsum(np.where(inside, age_probabilities + 1e-12, 0), axis=1)
    chance = np.random.default_rng(seed).random((len(low), 1))
    drawn = support[(chance >= total / total[:, -1:]).sum(axis=1)]
    return np.where(low == high, low, drawn)


def calibrate_ages(
    age_probabilities: npt.ArrayLike, ages: npt.ArrayLike, *, age_min: int = 0
) -> IntervalCalibration:
    """Measure the half masses on faces that were not trained on (split conformal prediction).

    In each band of ages the half mass of coverage c is the ceil((n + 1) c)-th smallest of the band's n scores
    ``|F(y) - 1/2|``. The interval of a new face like these then holds its age with a probability of at least
    c in every band. Being the hull of what the bands allow, it holds a little more often than that. To narrow
    it until it holds c of these same faces would take the guarantee away.

    Args:
        age_probabilities: (n, k) mass of the ages ``age_min``, ``age_min + 1`` …; rows sum to 1.
        ages: (n,) labelled ages in years; those beyond the bins count as the first or last bin's.
        age_min: Age in years of the first bin.

    Raises:
        ValueError: If there are fewer than ten faces, or the lengths differ.
    """
    mass, years = np.asarray(age_probabilities, np.float64), np.asarray(ages, np.float64)
    if years.shape != (len(mass),):
        raise ValueError(f"expected as many ages as distributions, got {years.shape} and {len(mass)}")
    if len(years) < LEAST_FACES:
        raise ValueError(f"expected at least {LEAST_FACES} faces, got {len(years)}")
    bins = np.clip(years - age_min, 0, mass.shape[1] - 1)
    scores, starts = np.abs(mass_below(mass, years, age_min=age_min) - 0.5), _bands(bins)
    band = np.searchsorted(starts, bins, side="right") - 1
    columns = [np.sort(scores[band == i]) for i in range(len(starts))]
    return IntervalCalibration(
        coverage=COVERAGES,
        ages=tuple(int(start) + age_min for start in starts),
        half_mass=tuple(
            tuple(_conformal_quantile(column, level) for column in columns) for level in COVERAGES
        ),
        n=len(years),
    )


def _bands(ages: Floats) -> npt.NDArray[np.int64]:
    """The first age of each band: the decades, but for those with too few faces of their own or beyond.

    The first is halved: a baby's age shows far more closely than a schoolchild's.
    """
    starts = [0]
    for start in (BAND // 2, *range(BAND, int(ages.max()) + 1, BAND)):
        if min((ages >= start).sum(), ((ages >= starts[-1]) & (ages < start)).sum()) >= LEAST_IN_BAND:
            starts.append(start)
    return np.array(starts)


def _conformal_quantile(ordered: Floats, level: float) -> float:
    rank = math.ceil((len(ordered) + 1) * level - 1e-9)  # a whole number must not be rounded up a step
    return float(ordered[rank - 1]) if rank <= len(ordered) else 0.5


def calibrate_gender(p_female: Floats, female: Booleans) -> GenderCalibration:
    """Platt scaling, and the threshold of the label "uncertain" from the risk-coverage curve.

    The threshold is the least probability of the likelier gender at which the labels that are given are wrong
    at most half as often as if every face were given one (El-Yaniv and Wiener, "On the foundations of
    noise-free selective classification", JMLR 2010, name that curve).

    Args:
        p_female: (n,) the graph's.
        female: (n,) whether the face is labelled female.

    Returns:
        What changes nothing, where there are fewer than 50 faces of either gender.

    Raises:
        DataError: If the faces labelled female look the less female ones.
    """
    if min(female.sum(), (~female).sum()) < LEAST_OF_EACH:
        return GenderCalibration()
    fit = LogisticRegression(C=1e6).fit(log_odds(p_female)[:, None], female)
    slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if slope <= 0:
        raise DataError(
            "The faces labelled female look male to the model, and the other way round; are the codes of the "
            "genders reversed?"
        )
    scaled = GenderCalibration(slope=round(slope, 4), intercept=round(intercept, 4), n=len(female))
    threshold = unsure_below(calibrated_p_female(p_female, scaled), female)
    return scaled.model_copy(update={"unsure_below": threshold})


def unsure_below(p_female: Floats, female: Booleans) -> float:
    """The least hundredth from which on labels are wrong at most :data:`RISK` times as often as overall."""
    wrong = (p_female >= 0.5) != female
    sure = np.maximum(p_female, 1 - p_female)
    for threshold in np.arange(50, 100) / 100:
        labelled = sure >= threshold
        if labelled.any() and wrong[labelled].mean() <= RISK * wrong.mean():
            return float(threshold)
    return 0.5


def predict_crosswise(table: pd.DataFrame, predictor: "Predictor") -> Iterator[Prediction]:
    """Predict for the faces that the model was calibrated on, by 5-fold cross-calibration.

    Each fifth of the faces is predicted by the model calibrated on the other four (following Vovk,
    "Cross-conformal predictors", 2015). Rows of one group stay in one fold.

    Args:
        table: As for :func:`~mien.evaluation.predictions.predict_manifest`, of face crops.
        predictor: Its model gives the answers, whose own calibration is not used, nor is the threshold below
            which a gender is uncertain, unless the predictor was given one.

    Raises:
        DataError: If a picture cannot be read, or four fifths of the faces are too few.
    """
    model = predictor.model
    answers = observe(model, table)
    clusters = cluster_numbers(table["group"])
    fold = np.random.default_rng(0).permutation(clusters.max() + 1)[clusters] % FOLDS
    estimates = np.empty(len(table), object)
    request = Request(coverage=predictor.coverage, gender_threshold=predictor.gender_threshold)
    for asked in (fold == i for i in np.unique(fold)):
        metadata = calibrated(
            model.metadata, table[~asked], answers[~asked], by_bins=model.metadata.interval.from_bins
        )
        part = answers[asked]
        pairs = estimate_faces(metadata, part.age_probabilities, part.p_female, request)
        for row, pair in zip(np.flatnonzero(asked), pairs, strict=True):
            estimates[row] = pair
    names = table["name"] if "name" in table else table["path"]
    for name, (age, gender) in zip(names, estimates, strict=True):
        yield Prediction.of_face(name, age, gender)
