"""Report of a detector evaluation as Markdown, as JSON, and as a plot."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mien.errors import DataError
from mien.evaluation.detection import DetectionEvaluation, DetectorScores
from mien.evaluation.markdown import markdown_table
from mien.files import written_beside


def to_json(evaluation: DetectionEvaluation) -> dict[str, Any]:
    """Return all figures except the curves, rounded to 4 decimals."""
    scores = {name: asdict(score) for name, score in evaluation.scores.items()}
    for score in scores.values():
        del score["curve"]
    counts = {"faces": evaluation.faces, "pictures": evaluation.pictures}
    counts["empty_pictures"] = evaluation.empty_pictures
    answer: dict[str, Any] = _rounded({**counts, "detectors": scores})
    return answer


def to_markdown(evaluation: DetectionEvaluation) -> str:
    """Make a table with one row per detector."""
    scores = evaluation.scores.values()
    sizes = list(dict.fromkeys(size for score in scores for size in score.recall_by_size))
    groups = list(
        dict.fromkeys((by, group) for s in scores for by, shares in s.recall_by.items() for group in shares)
    )
    heads = ["detector", "recall", *(f"{size} px" for size in sizes), *(group for _, group in groups)]
    heads += ["precision", "AP", "false boxes", "point error", "ms"]
    rows = [
        [name, *_cells(score, sizes, groups, evaluation.empty_pictures)]
        for name, score in evaluation.scores.items()
    ]
    return markdown_table(heads, rows)


def write_report(evaluation: DetectionEvaluation, folder: Path) -> None:
    """Write ``detectors.json``, ``detectors.md`` and ``precision-recall.png``.

    Raises:
        DataError: If the folder cannot be written.
    """
    try:
        texts = {"json": json.dumps(to_json(evaluation), indent=1), "md": to_markdown(evaluation)}
        for ending, text in texts.items():
            with written_beside(folder / f"detectors.{ending}") as partial:
                partial.write_text(text + "\n", encoding="utf-8")
        with written_beside(folder / "precision-recall.png") as partial:
            _plot(evaluation, partial)
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}); choose another.") from None


def _cells(score: DetectorScores, sizes: list[str], groups: list[tuple[str, str]], empty: int) -> list[str]:
    shares = [score.recall, *(score.recall_by_size.get(size) for size in sizes)]
    shares += [score.recall_by[by].get(group) for by, group in groups]
    shares += [score.precision, score.average_precision]
    return [
        *map(_percent, shares),
        f"{score.false_boxes} in {empty}" if empty else "",
        _percent(score.landmark_error),
        f"{score.milliseconds:.1f}",
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}%"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def _plot(evaluation: DetectionEvaluation, path: Path) -> None:
    from matplotlib.figure import Figure

    from mien.data.plots import literally

    figure = Figure(figsize=(5.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, score in evaluation.scores.items():
        recall, precision = score.curve
        axes.plot(recall, precision, label=literally(f"{name} (AP {_percent(score.average_precision)})"))
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title(f"{evaluation.faces:,} faces in {evaluation.pictures:,} pictures, overlap 0.5")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=150)
