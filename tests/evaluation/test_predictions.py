import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from evaluation_fakes import FakePredictor, estimate

from mien.errors import DataError
from mien.evaluation import Prediction, read_predictions
from mien.evaluation.predictions import predict_manifest, write_predictions
from mien.types import PhotoResult

FOUND = Prediction("a.jpg", 31.25, 24.0, 39.5, 0.125, detected=True)


def test_the_largest_face_counts() -> None:
    result = PhotoResult("a.jpg", 200, 200, (estimate(40, side=100), estimate(20, side=50)))
    assert Prediction.from_result("a.jpg", result).age == 40


def test_a_picture_without_a_face_has_no_numbers() -> None:
    prediction = Prediction.from_result("a.jpg", PhotoResult("a.jpg", 200, 200))
    assert math.isnan(prediction.age) and not prediction.detected and prediction.error is None


def test_rows_have_the_agreed_columns(tmp_path: Path) -> None:
    list(write_predictions([FOUND, Prediction("b, c.jpg")], tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "path,age,age_low,age_high,p_female,detected",
        "a.jpg,31.250,24.000,39.500,0.12500,true",
        '"b, c.jpg",,,,,false',
    ]


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    list(write_predictions([FOUND, Prediction("b.jpg")], tmp_path / "out.csv"))
    table = read_predictions(tmp_path / "out.csv")
    assert table.iloc[0].tolist() == ["a.jpg", 31.25, 24.0, 39.5, 0.125, True]
    assert table["age"].isna().tolist() == [False, True]
    assert table["detected"].tolist() == [True, False]


def test_rounding_keeps_estimate_and_row_the_same() -> None:
    prediction = Prediction.from_result("a.jpg", PhotoResult("a.jpg", 9, 9, (estimate(31.23456, 0.4999996),)))
    assert (prediction.age, prediction.p_female) == (31.235, 0.5)
    assert prediction.to_row()[1:5] == ["31.235", "21.235", "41.235", "0.50000"]


def test_an_interrupted_run_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"

    def interrupted() -> Iterator[Prediction]:
        yield FOUND
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(write_predictions(interrupted(), path))
    assert len(path.read_text().splitlines()) == 2


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"out\.csv cannot be written"):
        next(write_predictions([FOUND], tmp_path / "file" / "out.csv"))


def test_a_table_that_lacks_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("path,age\na.jpg,3\n")
    with pytest.raises(DataError, match="lacks the columns age_low, age_high, p_female, detected"):
        read_predictions(tmp_path / "out.csv")


def test_each_row_is_read_with_its_framing(tiny_model: Path) -> None:
    fake = FakePredictor({name: (estimate(20),) for name in "abcd"}, tiny_model)
    table = pd.DataFrame({"path": list("abcd"), "framing": ["utkface", "padded", "padded", "utkface"]})
    assert [p.path for p in predict_manifest(table, fake)] == list("abcd")
    assert fake.calls == [
        ("aligned", "utkface", ["a"]),
        ("aligned", "padded", ["b", "c"]),
        ("aligned", "utkface", ["d"]),
    ]


def test_detection_runs_over_all_rows_at_once(tiny_model: Path) -> None:
    fake = FakePredictor({"a": (estimate(20),), "b": ()}, tiny_model)
    table = pd.DataFrame({"path": ["a", "b"], "framing": ["utkface", "padded"]})
    assert [p.detected for p in predict_manifest(table, fake, faces="detect")] == [True, False]
    assert [call[0] for call in fake.calls] == ["detect"]
