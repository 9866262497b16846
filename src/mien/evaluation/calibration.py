"""Calibration of a model on faces that it was not trained on, and cross-calibration to evaluate it."""

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
from mien.pipeline.intervals import mass_below, median_age
from mien.pipeline.metadata import CHILD, GenderCalibration, IntervalCalibration, ModelMetadata
from mien.request import Request

if TYPE_CHECKING:
    from mien.pipeline.model import Model
    from mien.predictor import Predictor

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

COVERAGES = tuple(round(0.5 + 0.01 * i, 2) for i in range(50))
"""The coverages that :func:`calibrate_ages` tabulates: 0.50, 0.51 … 0.99."""

BAND = 10
"""Width of an age band in years, unless it holds too few faces."""

LEAST_IN_BAND = 30
"""Least number of faces in a band; decades with fewer are merged."""

LEAST_FACES = 10
"""Least number of faces for calibration; fewer tell nothing about a coverage of 90 %."""

LEAST_OF_EACH = 50
"""Number of faces of each gender needed to calibrate the gender probabilities, and of labels of children
needed for a threshold of their own."""

RISK = 0.5
"""Target error rate of the gender labels that are given, relative to labelling every face."""

AT_ONCE = 256
"""Number of faces whose chips are in memory at once."""

FOLDS = 5
"""Number of folds of the cross-calibration."""


@dataclass(frozen=True, slots=True)
class Answers:
    """A model's raw outputs for n faces.

    Attributes:
        age_probabilities: (n, k); rows sum to 1.
        p_female: (n,) in [0, 1], not calibrated.
    """

    age_probabilities: Floats
    p_female: Floats

    def __getitem__(self, rows: Booleans) -> "Answers":
        """Return the outputs for the selected faces."""
        return Answers(self.age_probabilities[rows], self.p_female[rows])


def observe(model: "Model", table: pd.DataFrame) -> Answers:
    """Run a model on the face crops of a manifest and return its raw outputs.

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
    """Whether there are too few exact ages for calibration, but some bins."""
    exact = exact_ages(labels)
    return bool((labels["age_low"] < labels["age_high"]).any()) and int(exact.sum()) < LEAST_FACES


def calibrated(
    metadata: ModelMetadata, labels: pd.DataFrame, answers: Answers, *, by_bins: bool = False
) -> ModelMetadata:
    """Calibrate the age intervals on the labelled ages and the gender probabilities on the known genders.

    Args:
        metadata: Metadata of the model.
        labels: n rows of a manifest that were not used for training.
        answers: The model's outputs for these rows.
        by_bins: Whether ages known as bins count too, as drawn by :func:`draw_ages`.

    Returns:
        The metadata with the new calibration. Without ages the intervals stay as they are; without enough
        genders, see :func:`calibrate_gender`.

    Raises:
        DataError: If there are some such ages, but too few, or the genders contradict the model's.
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
    years = median_age(answers.age_probabilities[known], age_min=metadata.age_min)
    gender = calibrate_gender(answers.p_female[known], female, years)
    return metadata.model_copy(update={"interval": interval, "gender": gender})


def draw_ages(age_probabilities: Floats, labels: pd.DataFrame, *, age_min: int = 0, seed: int = 0) -> Floats:
    """Return an age per face: the labelled one, or for a labelled bin one drawn from within the bin.

    It is drawn from the model's own distribution, restricted to the bin (single imputation by a draw from the
    conditional distribution: Little and Rubin, "Statistical analysis with missing data", 2002, section 4.3).
    The mean or the most probable age would lie in the middle of the model's distribution, so that its
    intervals would seem more reliable than they are. If the model's distributions are right, the drawn ages
    have the right distribution, and their probability integral transform is uniform. This method cannot test
    the model within a bin: the width of an interval inside one bin remains the model's own.

    Args:
        age_probabilities: (n, k) probabilities of the ages ``age_min``, ``age_min + 1`` …
        labels: n rows of a manifest, all with an age or a bin.
        age_min: Age in years of the first column.
        seed: Seed of the draws.

    Returns:
        (n,) years; drawn ages are whole years.
    """
    support = age_min + np.arange(age_probabilities.shape[1])
    low, high = (labels[column].to_numpy(np.float64) for column in ("age_low", "age_high"))
    first, last = (np.clip(end, support[0], support[-1])[:, None] for end in (np.floor(low), np.ceil(high)))
    inside = (support >= first) & (support <= last)
    # If the model excludes the labelled bin, all ages of the bin become equally likely.
    total = np.cumsum(np.where(inside, age_probabilities + 1e-12, 0), axis=1)
    chance = np.random.default_rng(seed).random((len(low), 1))
    drawn = support[(chance >= total / total[:, -1:]).sum(axis=1)]
    return np.where(low == high, low, drawn)


def calibrate_ages(
    age_probabilities: npt.ArrayLike, ages: npt.ArrayLike, *, age_min: int = 0
) -> IntervalCalibration:
    """Calibrate age intervals on faces that were not used for training, by split conformal prediction.

    In each age band the half mass for coverage c is the ceil((n + 1) c)-th smallest of the band's n scores
    ``|F(y) - 1/2|``, but at least c / 2. The interval of a new face from the same distribution then contains
    its age with a probability of at least c in every band.

    A half mass of c / 2 is the model's own central interval. Where the model is more cautious than these
    faces require, conformal prediction alone would narrow that interval. It is not narrowed, because photos
    from elsewhere need it: docs/training-log.md has the measurements.

    Args:
        age_probabilities: (n, k) probabilities of the ages ``age_min``, ``age_min + 1`` …; rows sum to 1.
        ages: (n,) labelled ages in years; ages outside the columns' range count as the nearest column's.
        age_min: Age in years of the first column.

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
            tuple(max(_conformal_quantile(column, level), level / 2) for column in columns)
            for level in COVERAGES
        ),
        n=len(years),
    )


def _bands(ages: Floats) -> npt.NDArray[np.int64]:
    """First age of each band: decades, merged where a band or the ages above it would have too few faces.

    The first decade is halved, since a baby's age can be seen far more precisely than a schoolchild's.
    """
    starts = [0]
    for start in (BAND // 2, *range(BAND, int(ages.max()) + 1, BAND)):
        if min((ages >= start).sum(), ((ages >= starts[-1]) & (ages < start)).sum()) >= LEAST_IN_BAND:
            starts.append(start)
    return np.array(starts)


def _conformal_quantile(ordered: Floats, level: float) -> float:
    rank = math.ceil((len(ordered) + 1) * level - 1e-9)  # floating-point error must not raise a whole number
    return float(ordered[rank - 1]) if rank <= len(ordered) else 0.5


def calibrate_gender(p_female: Floats, female: Booleans, years: Floats) -> GenderCalibration:
    """Fit Platt scaling, and choose the thresholds of the label "uncertain" on the risk-coverage curve.

    The threshold is the least probability of the likelier gender at which the given labels have at most half
    the error rate of labelling every face. The risk-coverage curve is from El-Yaniv and Wiener, "On the
    foundations of noise-free selective classification", JMLR 2010. Genders of small children are the hardest
    to tell, so at this threshold their labels are wrong far more often. If there are enough of them, their
    threshold is the least at which they have no more errors than that.

    Args:
        p_female: (n,) outputs of the graph.
        female: (n,) whether the face is labelled female.
        years: (n,) apparent ages in years.

    Returns:
        The calibration; one without effect if there are fewer than 50 faces of either gender.

    Raises:
        DataError: If p(female) is lower for faces labelled female.
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
    likely = calibrated_p_female(p_female, scaled)
    risk = RISK * float(((likely >= 0.5) != female).mean())
    thresholds = {"unsure_below": unsure_below(likely, female, risk) or 0.5}
    child = years < CHILD
    if child.sum() >= LEAST_OF_EACH:
        own = unsure_below(likely[child], female[child], risk, least=LEAST_OF_EACH)
        thresholds["child_unsure_below"] = own or 1.0
    return scaled.model_copy(update=thresholds)


def unsure_below(p_female: Floats, female: Booleans, risk: float, *, least: int = 1) -> float | None:
    """Return the least threshold at which at most this share of the labels is wrong.

    Args:
        p_female: (n,) calibrated probabilities.
        female: (n,) whether the face is labelled female.
        risk: Largest share of wrong labels, in [0, 1].
        least: Least number of labels that the share is to be of.

    Returns:
        A multiple of 0.01 from 0.5 on; None if there is no such threshold.
    """
    wrong = (p_female >= 0.5) != female
    sure = np.maximum(p_female, 1 - p_female)
    for threshold in np.arange(50, 100) / 100:
        labelled = sure >= threshold
        if labelled.sum() >= least and wrong[labelled].mean() <= risk:
            return float(threshold)
    return None


def predict_crosswise(table: pd.DataFrame, predictor: "Predictor") -> Iterator[Prediction]:
    """Predict for the faces that the model was calibrated on, by 5-fold cross-calibration.

    Each fold is predicted with a calibration on the other four (following Vovk, "Cross-conformal predictors",
    2015). Rows of one group are in the same fold.

    Args:
        table: A manifest of face crops, as for :func:`~mien.evaluation.predictions.predict_manifest`.
        predictor: The predictor whose model is run. The model's own calibration is not used, nor its
            threshold for uncertain genders, unless the predictor was given a threshold.

    Raises:
        DataError: If a picture cannot be read, or four folds have too few faces.
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
