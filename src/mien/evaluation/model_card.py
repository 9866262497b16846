"""Figures in documents, inserted by a program and never by hand.

A document marks the place of a table by two lines that Markdown does not show, each between empty lines::

    [//]: # (figures: overall)

    [//]: # (end of figures)

The text between them is replaced by the table of that name. Tables come from a folder of evaluations:
``NAME.json`` is the ``metrics.json`` of an evaluation; ``NAME.md`` is the output of a benchmark.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mien.errors import DataError
from mien.evaluation.card_pictures import PICTURES, draw_pictures
from mien.evaluation.groups import CROSSED, dashed
from mien.evaluation.markdown import markdown_table
from mien.evaluation.thresholds import CHALLENGE_AGES, FALSE_ADULT, FALSE_MINOR, LEGAL_AGE
from mien.files import written_beside

MARKS = re.compile(
    r"(?P<open>^\[//\]: # \(figures: (?P<name>[\w/-]+)\)\n).*?(?P<close>^\[//\]: # \(end of figures\)$)",
    re.DOTALL | re.MULTILINE,
)
TITLES = {"utkface": "UTKFace", "fairface": "FairFace", "all-age-faces": "All-Age-Faces"}

Json = Mapping[str, Any]


def fill(text: str, tables: Mapping[str, str], source: str = "the document") -> str:
    r"""Write tables into a document's marked places.

    Args:
        text: The document, in Markdown.
        tables: Tables in Markdown, by name.
        source: Name of the document for error messages.

    Raises:
        DataError: If a marked place names a table that does not exist.

    >>> fill("[//]: # (figures: n)\nold\n[//]: # (end of figures)", {"n": "5 faces"})
    '[//]: # (figures: n)\n\n5 faces\n\n[//]: # (end of figures)'
    """

    def table(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in tables:
            raise DataError(f"{source} asks for the figures {name!r}; there are {', '.join(sorted(tables))}.")
        return f"{match['open']}\n{tables[name].strip()}\n\n{match['close']}"

    return MARKS.sub(table, text)


def read_tables(folder: Path) -> dict[str, str]:
    """Read all tables of a folder of figures.

    Returns:
        Each ``NAME.md`` under its name. From the files ``NAME.json`` together: ``model`` (all must be of one
        model), ``overall`` and ``calibration`` with one row per file, and ``pictures`` with links to those of
        :func:`read_pictures`. From each ``NAME.json``: ``groups-NAME``, ``gaps-NAME``, with exact ages below
        30 ``young-NAME``, and with minors and adults ``thresholds-NAME`` and ``threshold-groups-NAME``.
        Tables of a subfolder, which may be of another model, have its name as a prefix: ``open/overall``.

    Raises:
        DataError: If there are none, a file cannot be read or is no evaluation, or the evaluations of a
            folder are of different models.
    """
    tables = {path.stem: _text(path) for path in sorted(folder.glob("*.md"))}
    evaluations = _evaluations(folder)
    if not tables and not evaluations:
        raise DataError(f"{folder} holds neither a metrics.json as NAME.json nor a table as NAME.md.")
    for name, evaluation in evaluations.items():
        with _reading(folder / f"{name}.json"):
            tables |= {f"{kind}-{name}": table for kind, table in own_tables(evaluation).items()}
            tables["model"] = model_list(evaluation)
    pictures = "\n".join(f"![{PICTURES[name].title}]({name}.svg)" for name in read_pictures(folder))
    ordered = {"overall": overall_table(evaluations), "calibration": calibration_table(evaluations)}
    inner = {
        f"{path.name}/{name}": table
        for path in sorted(folder.iterdir())
        if path.is_dir()
        for name, table in read_tables(path).items()
    }
    return tables | ordered | {"pictures": pictures} | inner


def adopt(report: Path, folder: Path) -> None:
    """Copy the evaluations of a report into a folder of figures, each as ``MANIFEST.json``.

    Args:
        report: Folder that ``mien evaluate --report`` wrote, for one or several manifests.
        folder: Folder of figures; files of the same names are replaced.

    Raises:
        DataError: If there are none, one cannot be read, or two are of the same manifest.
    """
    found: dict[str, str] = {}
    for path in sorted(report.rglob("metrics.json")):
        text = _text(path)
        with _reading(path):
            name = Path(json.loads(text)["manifest"]).stem
        if name in found:
            raise DataError(f"{report} has several evaluations of {name}; name the report of one model.")
        found[name] = text
    if not found:
        raise DataError(f"{report} holds no metrics.json; give a folder that 'mien evaluate --report' wrote.")
    for name, text in found.items():
        with written_beside(folder / f"{name}.json") as partial:
            partial.write_text(text, encoding="utf-8")


def read_pictures(folder: Path) -> dict[str, str]:
    """Draw all possible pictures from a folder of figures; return SVG by name.

    Raises:
        DataError: If a file cannot be read or is no evaluation, or they are of different models.
    """
    evaluations = _evaluations(folder)
    with _reading(folder):
        return draw_pictures(evaluations, TITLES)


def _evaluations(folder: Path) -> dict[str, Json]:
    """Read each ``NAME.json``, those of the known data sets first."""
    evaluations: dict[str, Json] = {}
    for path in sorted(folder.glob("*.json")):
        text = _text(path)
        with _reading(path):
            evaluations[path.stem] = json.loads(text)
            if len({model_list(evaluation) for evaluation in evaluations.values()}) > 1:
                raise DataError(f"{path} is of another model than the others; evaluate one on them all.")
    return {name: evaluations[name] for name in sorted(evaluations, key=[*TITLES, *evaluations].index)}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is not the metrics.json of an evaluation.") from None


def model_list(evaluation: Json) -> str:
    """List the evaluated model's name, version, training data, licence and note on ages, if any."""
    model = evaluation["model"]
    lines = [f"{model['name']}, version {model['version']}", *model["training_data"], model["licence"]]
    lines.append(model.get("age_note", ""))
    return "\n".join(f"- {line}" for line in lines if line)


def overall_table(evaluations: Mapping[str, Json]) -> str:
    """Make the table of main metrics: one row per data set, with 95 % bootstrap intervals in brackets."""
    head = ["validation part of", "faces", "MAE, years", "RMSE, years", "within 5 years", "age bin", "gender"]
    rows = []
    for name, evaluation in evaluations.items():
        figures = evaluation["overall"]
        cells = [_years(figures.get("mae"), 2), _years(figures.get("rmse"), 2)]
        shares = ("cs5", "bin_accuracy", "gender_accuracy", "coverage")
        cells += [_share(figures.get(metric)) for metric in shares]
        rows.append([TITLES.get(name, name), f"{evaluation['rows']:,}", *cells])
    aimed = [evaluation["interval_coverage_aimed_at"] for evaluation in evaluations.values()]
    aims = {round(100 * coverage) for coverage in aimed if coverage is not None}
    aim = " or ".join(str(aim) for aim in sorted(aims))
    return markdown_table([*head, f"{aim} % interval covers" if aim else "interval covers"], rows)


def calibration_table(evaluations: Mapping[str, Json]) -> str:
    """Make the table of interval coverage and gender calibration: one row per data set."""
    head = ["validation part of", "interval covers", "mean width, years", "gender: calibration error"]
    rows = []
    for name, evaluation in evaluations.items():
        figures, gender = evaluation["overall"], evaluation.get("gender_probabilities") or {}
        cells = [_share(figures.get("coverage")), _years(figures.get("width"), 1)]
        cells += [f"{gender['expected_calibration_error']:.3f}" if gender else "–"]
        cells += [f"{100 * gender[key]:.1f} %" if key in gender else "–" for key in LABELLED]
        rows.append([TITLES.get(name, name), *cells])
    return markdown_table([*head, "labelled", "of these right"], rows)


def own_tables(evaluation: Json) -> dict[str, str]:
    """Make the tables of one evaluation, by kind."""
    tables = {"groups": group_table(evaluation), "gaps": gap_table(evaluation)}
    if young := evaluation.get("young"):
        tables["young"] = young_table(young)
    if thresholds := evaluation["thresholds"]:
        tables |= {
            "thresholds": threshold_table(thresholds),
            "threshold-groups": threshold_group_table(thresholds),
        }
    return tables


def group_table(evaluation: Json) -> str:
    """Make a table with one row per age band, gender, race, and combination of race and gender."""
    known = [metric for metric in GROUP_COLUMNS if metric in evaluation["overall"]]
    rows = []
    for trait, groups in evaluation["groups"].items():
        for name, figures in groups.items() if trait not in CROSSED else ():
            faces = max(figure["n"] for figure in figures.values())
            cells = [GROUP_COLUMNS[metric][1](figures.get(metric)) for metric in known]
            rows.append([dashed(name), f"{faces:,}", *cells])
    return markdown_table(["", "faces", *(GROUP_COLUMNS[metric][0] for metric in known)], rows)


def young_table(young: Json) -> str:
    """Make a table with one row per five years of age below 30: metrics with their intervals."""
    head = ["", "faces", "MAE, years", "bias, years", "gender", "interval covers"]
    rows = []
    for band, figures in young.items():
        cells = [_years(figures.get("mae"), 1), _signed_interval(figures.get("bias"))]
        cells += [_share(figures.get(metric)) for metric in ("gender_accuracy", "coverage")]
        faces = max((figure["n"] for figure in figures.values()), default=0)
        rows.append([dashed(band), f"{faces:,}", *cells])
    return markdown_table(head, rows)


def gap_table(evaluation: Json) -> str:
    """Make a table of the worst group, the best group and the gap, by trait (except gender) and metric."""
    rows = []
    for trait, gaps in evaluation["gaps"].items():
        for metric, gap in gaps.items() if trait != "gender" else ():
            if metric in GROUP_COLUMNS:
                label, text = GROUP_COLUMNS[metric]
                ends = [
                    f"{dashed(gap[end])}: {text(evaluation['groups'][trait][gap[end]][metric])}"
                    for end in ("worst", "best")
                ]
                years = metric in ("mae", "bias")
                size = f"{gap['gap']:.1f} years" if years else f"{100 * gap['gap']:.1f} points"
                rows.append([f"{label.removesuffix(', years')}, by {trait}", *ends, size])
    return markdown_table(["", "worst", "best", "gap"], rows)


def threshold_table(thresholds: Json) -> str:
    """Make a table by challenge age: minors who pass, adults who do not, and the worst group of each."""
    rows = []
    for age in CHALLENGE_AGES:
        row = [str(age)]
        for name in (f"{FALSE_ADULT}_{age}", f"{FALSE_MINOR}_{age}"):
            row += [_share(thresholds["overall"][name]), _worst(thresholds, name)]
        rows.append(row)
    minors, adults = (
        thresholds["overall"][f"{name}_{LEGAL_AGE}"]["n"] for name in (FALSE_ADULT, FALSE_MINOR)
    )
    head = [f"{minors:,} minors: estimated as old or older", "worst group"]
    head += [f"{adults:,} adults: estimated younger", "worst group"]
    return markdown_table(["challenge age", *head], rows)


def threshold_group_table(thresholds: Json) -> str:
    """Make a table by group: shares of minors who pass and of adults who do not, at each challenge age."""
    rows = []
    for groups in thresholds["groups"].values():
        for name, figures in groups.items():
            pairs = [
                (figures.get(f"{FALSE_ADULT}_{age}"), figures.get(f"{FALSE_MINOR}_{age}"))
                for age in CHALLENGE_AGES
            ]
            faces = [f"{figure['n']:,}" if figure else "0" for figure in pairs[0]]
            rows.append([name, *faces, *(" / ".join(map(_percent, pair)) for pair in pairs)])
    return markdown_table(["", "minors", "adults", *map(str, CHALLENGE_AGES)], rows)


def _worst(thresholds: Json, metric: str) -> str:
    """Name the group with the highest rate, in the finest division into groups."""
    for trait, gaps in [*thresholds["gaps"].items()][-1:]:
        if metric in gaps:
            worst = gaps[metric]["worst"]
            return f"{worst}: {_share(thresholds['groups'][trait][worst][metric])}"
    return "–"


LABELLED = ("labelled", "labelled_accuracy")


def _years(figure: Json | None, digits: int) -> str:
    if figure is None:
        return "–"
    return _with_interval(figure, lambda number: f"{number:.{digits}f}")


def _share(figure: Json | None) -> str:
    if figure is None:
        return "–"
    return _with_interval(figure, lambda number: f"{100 * number:.1f}", " %")


def _with_interval(figure: Json, text: Callable[[float], str], unit: str = "", dash: str = "–") -> str:
    value = text(figure["value"]) + unit
    return value if figure["low"] is None else f"{value} ({text(figure['low'])}{dash}{text(figure['high'])})"


def _signed_interval(figure: Json | None) -> str:
    if figure is None:
        return "–"
    return _with_interval(figure, _plus_or_minus, dash=" to ")


def _plus_or_minus(number: float) -> str:
    return f"{round(number, 1) + 0.0:+.1f}".replace("-", "−")  # + 0.0 turns -0.0 into 0.0


def _percent(figure: Json | None) -> str:
    return "–" if figure is None else f"{100 * figure['value']:.1f} %"


def _signed(figure: Json | None) -> str:
    return "–" if figure is None else _plus_or_minus(figure["value"])


def _plain(figure: Json | None) -> str:
    return "–" if figure is None else f"{figure['value']:.0f}"


GROUP_COLUMNS: Mapping[str, tuple[str, Callable[[Json | None], str]]] = {
    "mae": ("MAE, years", partial(_years, digits=1)),
    "bias": ("bias", _signed),
    "bin_accuracy": ("age bin", _share),
    "gender_accuracy": ("gender", _share),
    "coverage": ("interval covers", _share),
    "width": ("mean width, years", _plain),
}
