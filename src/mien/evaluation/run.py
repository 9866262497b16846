"""Complete evaluation of a predictor on a manifest: predictions, metrics and a report."""

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
    """Predict for every row of a manifest and compare the predictions with its labels.

    Args:
        manifest: A CSV file; see :mod:`mien.data.manifest`.
        predictor: Usually a :class:`mien.Predictor`.
        faces: ``aligned`` if the pictures are face crops; ``detect`` to detect the faces first.
        split: Only the rows with this ``split``; None for all.
        recalibrate: Whether to use 5-fold cross-calibration, for rows that the model was calibrated on. Each
            fold is then evaluated with a calibration on the others.
        predictions: CSV file for one row per face, written during prediction; None for no file.
        report: Folder for ``index.html``, ``metrics.json`` and the plots; None for no report.
        worst: Maximum number of faces in each of the report's lists of worst faces. These show people, so
            there are none by default.
        watch: Wrapper of the stream of predictions, called with the stream and its length, e.g. to show
            progress.

    Raises:
        DataError: If the manifest cannot be used, holds no row of the split, or an output cannot be written;
            if its genders seem to be reversed; or if ``recalibrate`` is used with ``detect`` or with too few
            faces.
    """
    if recalibrate and faces != "aligned":
        raise DataError("Calibration is of face crops; leave out --recalibrate, or give --faces aligned.")
    table = read_rows(manifest, split)
    refuse_overwriting([predictions], [manifest, *map(Path, table["path"])])
    if recalibrate:
        need_crops(table, manifest)
    if report is not None:
        make_folder(report)
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
        gender_probabilities=gender_figures(table, predicted, _gender_thresholds(predictor, recalibrate)),
    )
    if report is not None:
        write_report(evaluation, report, worst)
    return evaluation


def _gender_thresholds(predictor: "Predictor", recalibrate: bool) -> dict[str, float]:
    """The thresholds of the label "uncertain", by the names that the figures have.

    That of children is left out of a cross-calibration, in which some folds may have too few of them.
    """
    if predictor.gender_threshold is not None:
        return {"unsure_below": predictor.gender_threshold}
    names = {"unsure_below"} if recalibrate else {"unsure_below", "child_unsure_below"}
    return predictor.model.metadata.gender.model_dump(include=names, exclude_none=True)


def evaluate_stored(
    manifest: Path,
    stored: Path,
    *,
    split: str | None = None,
    predictions: Path | None = None,
    report: Path | None = None,
    worst: int = 0,
) -> Evaluation:
    """Compare stored predictions with a manifest's labels.

    Args:
        manifest: The manifest that the predictions were made from.
        stored: The CSV file that :func:`evaluate` wrote as its ``predictions``, or one with the same columns.
        split: The ``split`` that the predictions were made from; None for all rows.
        predictions: CSV file to write the predictions to again, with labels and errors; None for no file.
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
        gender_probabilities=gender_figures(table, predicted, {}),
    )
    if report is not None:
        make_folder(report)
        write_report(evaluation, report, worst)
    return evaluation


def read_rows(manifest: Path, split: str | None = None) -> pd.DataFrame:
    """Read a manifest or one split of it, with an added column ``name``: the path as written in the file.

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
    """Raise an error if the gender accuracy is significantly below 0.5: the labels are then reversed."""
    measured = scores.overall.get("gender_accuracy")
    if measured is not None and measured.n >= 2 * LEAST_OF_EACH and measured.high < 0.5:
        raise DataError(
            f"{manifest} calls most faces female that look male to the model, and the other way round; are "
            "its genders reversed?"
        )


def make_folder(folder: Path) -> None:
    """Create the report's folder before the long computation.

    Raises:
        DataError: If it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be created ({error.strerror}); choose another.") from None
