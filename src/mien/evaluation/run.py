"""Evaluation from end to end: a manifest and a predictor in; predictions, figures and a report out."""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mien.data.layout import part_name, read_table
from mien.data.manifest import need_crops, read_manifest
from mien.errors import DataError
from mien.evaluation.calibration import LEAST_OF_EACH, predict_crosswise
from mien.evaluation.groups import Scores, score
from mien.evaluation.metrics import gender_figures
from mien.evaluation.predictions import (
    Prediction,
    as_table,
    predict_manifest,
    stored_predictions,
    write_predictions,
)
from mien.evaluation.report import write_report
from mien.evaluation.result import Evaluation, StoredModel
from mien.files import refuse_overwriting

if TYPE_CHECKING:
    from mien.predictor import Predictor
    from mien.request import Faces

Watch = Callable[[Iterator[Prediction], int], Iterator[Prediction]]


def evaluate(
    manifest: Path,
    predictor: "Predictor",
    *,
    faces: "Faces" = "aligned",
    split: str | None = None,
    recalibrate: bool = False,
    predictions: Path | None = None,
    report: Path | None = None,
    worst: int = 0,
    watch: Watch | None = None,
) -> Evaluation:
    """Predict for every row of a manifest and measure how well that fits its labels.

    Args:
        manifest: A CSV file; see :mod:`mien.data.manifest`.
        predictor: Usually a :class:`mien.Predictor`.
        faces: ``aligned`` where the pictures are face crops; ``detect`` to find the faces first.
        split: Only the rows with this ``split``.
        recalibrate: For rows that calibrated the model: 5-fold cross-calibration, which judges each fifth
            of them by a calibration on the others.
        predictions: Where to write one row per face, while they are predicted.
        report: Folder for ``index.html``, ``metrics.json`` and the plots.
        worst: Number of the worst faces that the report shows, which are people; none unless asked for.
        watch: Wraps the stream of predictions, whose length it is told, e.g. to show progress.

    Raises:
        DataError: If the manifest cannot be used, holds no row of the split, or an output cannot be written;
            if its genders run against the model's; or if ``recalibrate`` is asked for with ``detect``, or has
            too few faces.
    """
    if recalibrate and faces != "aligned":
        raise DataError("Calibration is of face crops; leave out --recalibrate, or give --faces aligned.")
    table = read_rows(manifest, split)
    refuse_overwriting([predictions], [manifest, *map(Path, table["path"])])
    if recalibrate:
        need_crops(table, manifest)
    if report is not None:
        make_folder(report)
    asked = predictor.complete()
    if recalibrate:
        stream = predict_crosswise(table, predictor)
    else:
        stream = predict_manifest(table, predictor, faces=faces)
    if predictions is not None:
        stream = write_predictions(stream, predictions, table)
    if watch is not None:
        stream = watch(stream, len(table))
    predicted = as_table(stream)
    scores = score(table, predicted)
    _refuse_reversed_genders(scores, manifest)
    evaluation = Evaluation(
        manifest=manifest.name,
        split=split,
        faces=faces,
        model=predictor.model.metadata,
        recalibrated=recalibrate,
        coverage=predictor.coverage,
        labels=table,
        predictions=predicted,
        scores=scores,
        gender_probabilities=gender_figures(table, predicted, asked.gender_threshold),
    )
    if report is not None:
        write_report(evaluation, report, worst)
    return evaluation


def evaluate_stored(
    manifest: Path,
    stored: Path,
    *,
    split: str | None = None,
    predictions: Path | None = None,
    report: Path | None = None,
    worst: int = 0,
) -> Evaluation:
    """Measure how well predictions that were stored fit a manifest's labels.

    Args:
        manifest: That they were made from.
        stored: The CSV file that :func:`evaluate` wrote as its ``predictions``, or another of its columns.
        split: Only the rows with this ``split``, which the predictions are of.
        predictions: Where to write them again, with what was right and wrong.
        report: As for :func:`evaluate`.
        worst: As for :func:`evaluate`.

    Raises:
        DataError: If a file cannot be used or written, or they are not of the same faces.
    """
    table = read_rows(manifest, split)
    refuse_overwriting([predictions], [manifest, stored, *map(Path, table["path"])])
    predicted = as_table(stored_predictions(stored))
    scores = score(table, predicted)
    if predictions is not None:
        deque(write_predictions(stored_predictions(stored), predictions, table), maxlen=0)
    found = predicted["detected"] | predicted["unreadable"]
    evaluation = Evaluation(
        manifest=manifest.name,
        split=split,
        faces="aligned" if found.all() else "detect",
        model=StoredModel(stored.stem),
        recalibrated=False,
        coverage=None,
        labels=table,
        predictions=predicted,
        scores=scores,
        gender_probabilities=gender_figures(table, predicted, None),
    )
    if report is not None:
        make_folder(report)
        write_report(evaluation, report, worst)
    return evaluation


def read_rows(manifest: Path, split: str | None = None) -> pd.DataFrame:
    """The rows of a manifest, or of one split of it, with a column ``name``: the path as written there.

    Raises:
        DataError: If the manifest cannot be used or there is no such row.
    """
    table = read_manifest(manifest)
    table["name"] = read_table(manifest)["path"]
    if {"p_female", "detected"} <= set(table.columns):
        raise DataError(f"{manifest} is a table of predictions, without labels; give the manifest.")
    if split is not None:
        split = part_name(split)
        known = sorted(set(table["split"]) - {""})
        table = table[table["split"] == split].reset_index(drop=True)
        if table.empty:
            there = f"its splits are {', '.join(known)}" if known else "none of its rows names a split"
            raise DataError(f"{manifest} has no row of the split {split!r}; {there}.")
    if table.empty:
        raise DataError(f"{manifest} has no rows; make a manifest with 'mien data index'.")
    return table


def _refuse_reversed_genders(scores: Scores, manifest: Path) -> None:
    """No model that can be used is surely worse than a coin: the labels mean the other gender."""
    measured = scores.overall.get("gender_accuracy")
    if measured is not None and measured.n >= 2 * LEAST_OF_EACH and measured.high < 0.5:
        raise DataError(
            f"{manifest} calls most faces female that look male to the model, and the other way round; are "
            "its genders reversed?"
        )


def make_folder(folder: Path) -> None:
    """Make a folder for the report before the long work begins.

    Raises:
        DataError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be made a folder ({error.strerror}); choose another.") from None
