"""Measure error and coverage of ``mien.fuse`` and other rules that combine several views of one face.

Pastes aligned faces of known age into a grey picture, each several times with random changes: size, rotation,
mirroring, blur, brightness and recompression. Every view is detected and estimated like a photo, and 1, 2, 4
and 8 of them are fused. All views come from one photo, so their errors are more correlated than those of
several photos of one person.

``python benchmarks/looks.py MANIFEST [--limit FACES]``. With ``--people`` it fuses real photos of one person
at about the same age, from a manifest whose groups are people.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from mien import Estimate, MienError, Predictor, fuse
from mien.data.manifest import read_manifest
from mien.evaluation.markdown import markdown_table
from mien.fusion import weight_of
from mien.pipeline.images import Pixels, read_photo
from mien.pipeline.intervals import age_at, mass_below

Floats = npt.NDArray[np.float64]
Answer: TypeAlias = tuple[float, float, float]
"""Years, low, high."""

CANVAS = 384
"""Side in pixels of the picture into which a face is pasted."""

HEAD = ["rule", "looks", "faces", "MAE", "coverage", "width"]

LOOKS, COUNTS = 8, (1, 2, 4, 8)


def spoiled(face: Pixels, chance: np.random.Generator) -> Pixels:
    """Make a randomly changed view of an aligned face, in the middle of a grey picture."""
    side = float(np.exp(chance.uniform(np.log(56), np.log(300))))
    matrix = cv2.getRotationMatrix2D(
        (face.shape[1] / 2, face.shape[0] / 2), chance.normal(0, 8), side / face.shape[1]
    )
    matrix[:, 2] += CANVAS / 2 - face.shape[1] / 2 + chance.uniform(-0.1, 0.1, 2) * side
    picture = cv2.warpAffine(
        face, matrix, (CANVAS, CANVAS), flags=cv2.INTER_AREA, borderValue=(128, 128, 128)
    )
    if chance.random() < 0.5:
        picture = picture[:, ::-1]
    if chance.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), side * chance.uniform(0.002, 0.03))
    lit = 255 * np.clip(picture / 255 * chance.uniform(0.25, 1.3), 0, 1) ** chance.uniform(0.7, 1.4)
    noisy = np.clip(lit + chance.normal(0, 2, lit.shape), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, int(chance.integers(40, 96))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def looks_at(path: str, predictor: Predictor, chance: np.random.Generator) -> list[Estimate]:
    """Make views of a face; return the estimates of those in which a face is found."""
    face = read_photo(path).pixels
    pictures = [spoiled(face, chance) for _ in range(LOOKS)]
    results = predictor.predict_many(pictures, distribution=True)
    return [result[0] for result in results if result.error is None and result]


def by_fuse(looks: Sequence[Estimate]) -> Answer:
    """Use ``mien.fuse``."""
    age = fuse(looks).age
    return age.years, age.low, age.high


def by_equal_mean(looks: Sequence[Estimate]) -> Answer:
    """Take the unweighted mean of the distributions."""
    return _of_mean(looks, np.ones(len(looks)))


def by_log_mean(looks: Sequence[Estimate]) -> Answer:
    """Take the weighted mean of the logarithms of the distributions."""
    weights = np.array([weight_of(look) for look in looks])
    mixed = np.exp(weights / weights.sum() @ np.log(_ages(looks) + 1e-6))
    return _within(mixed / mixed.sum(), looks, weights)


def by_best(looks: Sequence[Estimate]) -> Answer:
    """Take only the view with the highest weight."""
    age = max(looks, key=weight_of).age
    return age.years, age.low, age.high


RULES: dict[str, Callable[[Sequence[Estimate]], Answer]] = {
    "mien.fuse": by_fuse,
    "mean, all looks alike": by_equal_mean,
    "mean of the logarithms": by_log_mean,
    "best look alone": by_best,
}


def _ages(looks: Sequence[Estimate]) -> Floats:
    return np.array([look.age.distribution for look in looks])


def _of_mean(looks: Sequence[Estimate], weights: Floats) -> Answer:
    return _within(weights / weights.sum() @ _ages(looks), looks, weights)


def _within(mixed: Floats, looks: Sequence[Estimate], weights: Floats) -> Answer:
    """Median and interval of a mixed distribution.

    The interval has the weighted mean of the mass below the ends of the views' own intervals.
    """
    ages = _ages(looks)
    ends = [mass_below(ages, [getattr(look.age, end) for look in looks]) for end in ("low", "high")]
    low, high = (float(weights @ end / weights.sum()) for end in ends)
    years, first, last = (float(age_at(mixed[None], mass)[0]) for mass in (0.5, low, high))
    return years, first, last


def cells(name: str, count: str, seen: Sequence[tuple[float, Answer]]) -> list[str]:
    """Return a row: number of estimates, mean absolute error, coverage, mean width in years."""
    ages = np.array([age for age, _ in seen])
    years, low, high = np.array([answer for _, answer in seen]).T
    held = 100 * float(np.mean((low <= ages) & (ages <= high)))
    error = float(np.abs(years - ages).mean())
    return [name, count, str(len(seen)), f"{error:.2f}", f"{held:.1f} %", f"{(high - low).mean():.1f}"]


def rows(table: Sequence[tuple[float, list[Estimate]]]) -> Iterator[list[str]]:
    """Yield a row for each rule and number of views, over faces found in all views."""
    whole = [(age, looks) for age, looks in table if len(looks) == LOOKS]
    for name, rule in RULES.items():
        for count in COUNTS:
            yield cells(name, str(count), [(age, rule(looks[:count])) for age, looks in whole])


def rows_of_people(photos: pd.DataFrame, span: float, predictor: Predictor) -> Iterator[list[str]]:
    """Yield rows for photos of one person within a span of years, single and fused.

    The labelled age of fused photos is their mean.
    """
    results = predictor.predict_many(photos["path"], distribution=True)
    photos = photos.assign(
        look=pd.Series([result[0] if result else None for result in results], photos.index)
    )
    photos = photos[photos["look"].notna()].sort_values(["group", "age"])
    together: list[pd.DataFrame] = []
    for _, person in photos.groupby("group"):
        since = (person["age"] - person["age"].min()) // (span + 1)
        together += [some for _, some in person.groupby(since) if len(some) > 1]
    number = f"{np.mean([len(some) for some in together]):.1f}"
    looks = pd.concat(together)
    yield cells(
        "one photo",
        "1",
        [(age, by_fuse([look])) for age, look in zip(looks["age"], looks["look"], strict=True)],
    )
    yield cells("mien.fuse", number, [(some["age"].mean(), by_fuse(list(some["look"]))) for some in together])


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", type=Path, help="model file (default: shipped)")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--people", action="store_true", help="fuse real photos, by the column 'group'")
    parser.add_argument("--span", type=float, default=1, help="years between them at most (default: 1)")
    parser.add_argument("--limit", type=int, default=600, help="faces (default: 600)")
    options = parser.parse_args()
    try:
        predictor = Predictor(options.model)
        faces = read_manifest(options.manifest)
        if options.people:
            print(markdown_table(HEAD, rows_of_people(faces, options.span, predictor)))
            return
        faces = faces[(faces["split"] == options.split) & faces["age"].notna()].sample(frac=1, random_state=0)
        chance = np.random.default_rng(0)
        seen = [
            (float(age), looks_at(path, predictor, chance))
            for path, age in faces[["path", "age"]][: options.limit].itertuples(index=False)
        ]
    except MienError as error:
        parser.error(str(error))
    print(markdown_table(HEAD, rows(seen)))


if __name__ == "__main__":
    main()
