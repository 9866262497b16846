"""Evaluation of the estimates: metrics with bootstrap intervals, by group, and a report.

>>> from mien.evaluation import evaluate
>>> from mien import Predictor
>>> evaluate(Path("faces.csv"), Predictor(), split="validation").scores.overall["mae"]  # doctest: +SKIP
Measurement(value=4.52, low=4.31, high=4.74, n=1809)
"""

from mien.evaluation.groups import Scores, score
from mien.evaluation.metrics import METRICS, Measurement, Metric
from mien.evaluation.predictions import Prediction, read_predictions
from mien.evaluation.result import Evaluation
from mien.evaluation.run import evaluate, evaluate_stored

__all__ = [
    "METRICS",
    "Evaluation",
    "Measurement",
    "Metric",
    "Prediction",
    "Scores",
    "evaluate",
    "evaluate_stored",
    "read_predictions",
    "score",
]
