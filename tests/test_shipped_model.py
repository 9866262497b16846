"""What is said of the shipped model, on faces it was not trained on; needs the training side of UTKFace."""

import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mien import Predictor
from mien.data.manifest import write_manifest
from mien.data.sources import index_folder
from mien.data.split import divide
from mien.evaluation import Evaluation, evaluate
from mien.pipeline.images import read_photo

SHARED = Path(__file__).parents[2] / "shared" / "data"
ENOUGH = 300


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = SHARED / "utkface-train.tar"
    if not archive.exists():
        pytest.skip("UTKFace's training side is not at hand")
    folder = tmp_path_factory.mktemp("utkface")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    names = (SHARED / "utkface-names.txt").read_text().splitlines()
    table = divide(index_folder(folder).table, protocol="classic", names=names, validation=0.1).table
    write_manifest(table[table["split"] == "validation"], folder / "validation.csv")
    return folder / "validation.csv"


@pytest.fixture(scope="module")
def evaluation(manifest: Path) -> Evaluation:
    return evaluate(manifest, Predictor())


def test_the_figures_in_the_model_file_are_true(evaluation: Evaluation) -> None:
    said, measured = Predictor().model.metadata.metrics, evaluation.scores.overall
    assert measured["mae"].n == said["validation_n"]
    assert measured["mae"].value == pytest.approx(said["validation_mae"], abs=0.01)
    assert measured["gender_accuracy"].value == pytest.approx(said["validation_gender_accuracy"], abs=0.001)


def test_finding_and_cropping_with_the_default_detector_costs_at_most_0_4_years(manifest: Path) -> None:
    table = pd.read_csv(manifest).sample(ENOUGH, random_state=0)
    paths = [manifest.parent / path for path in table["path"]]
    on_canvas = (
        np.pad(read_photo(path).pixels, ((150, 150), (150, 150), (0, 0)), constant_values=128)
        for path in paths
    )
    predictor = Predictor()
    cropped = [r.faces[0].age.years if r.faces else np.nan for r in predictor.predict_many(on_canvas)]
    aligned = [r.faces[0].age.years for r in predictor.predict_many(paths, faces="aligned")]
    found = ~np.isnan(cropped)
    errors = np.abs(np.array([cropped, aligned]) - table["age"].to_numpy())[:, found].mean(axis=1)
    assert found.mean() > 0.85
    assert errors[0] - errors[1] <= 0.4
