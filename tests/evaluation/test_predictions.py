import csv
import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from evaluation_fakes import FakePredictor, estimate, labels

from mien.errors import DataError
from mien.evaluation import Prediction, read_predictions
from mien.evaluation.predictions import predict_manifest, stored_predictions, write_predictions
from mien.photo_result import PhotoResult

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


def rows_of(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {
            name: [row[name] for row in rows] for rows in [list(csv.DictReader(file))] for name in rows[0]
        }


LABELS = labels(
    path=["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
    age_low=[30.0, 60.0, 30.0, 20.0],
    age_high=[30.0, 60.0, 39.0, 20.0],
    gender=["female", "male", "", "female"],
    group=["one", "", "two", ""],
)
PREDICTED = [
    Prediction("a.jpg", 31.25, 24.0, 39.5, 0.125, True, "male"),
    Prediction("b.jpg", 31.25, 24.0, 39.5, 0.45, True, "uncertain"),
    Prediction("c.jpg", 31.25, 24.0, 39.5, 0.125, True, "male"),
    Prediction("d.jpg", error="d.jpg is empty."),
]


def test_what_was_right_and_wrong_is_written_beside_the_predictions(tmp_path: Path) -> None:
    list(write_predictions(PREDICTED, tmp_path / "out.csv", LABELS))
    written = rows_of(tmp_path / "out.csv")
    assert written["gender"] == ["male", "uncertain", "male", ""]
    assert written["labelled_age_low"] == ["30", "60", "30", "20"]
    assert written["labelled_age_high"] == ["30", "60", "39", "20"]
    assert written["labelled_gender"] == ["female", "male", "", "female"]
    assert written["age_error"] == ["1.250", "-28.750", "", ""]
    assert written["covered"] == ["true", "false", "", ""]
    assert written["bin_correct"] == ["", "", "true", ""]
    assert written["gender_correct"] == ["false", "true", "", ""]
    assert written["group"] == ["one", "", "two", ""]
    assert written["reason"] == ["", "", "", "d.jpg is empty."]


def test_many_rows_are_judged_by_their_own_labels(tmp_path: Path) -> None:
    years = [float(i % 80) for i in range(200)]
    label = labels(age_low=years, age_high=years)
    predicted = [Prediction(f"{i}.jpg", y + i % 7, y, y, 0.5, True) for i, y in enumerate(years)]
    list(write_predictions(predicted, tmp_path / "out.csv", label))
    assert rows_of(tmp_path / "out.csv")["age_error"] == [f"{i % 7:.3f}" for i in range(200)]


def test_an_interrupted_run_keeps_what_was_judged_too(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Prediction]:
        yield from PREDICTED[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(write_predictions(interrupted(), tmp_path / "out.csv", LABELS))
    assert rows_of(tmp_path / "out.csv")["age_error"] == ["1.250", "-28.750"]


def test_stored_predictions_are_those_that_were_made(tmp_path: Path) -> None:
    predicted = [*PREDICTED, Prediction("e.jpg")]
    label = pd.concat([LABELS, labels(path=["e.jpg"])], ignore_index=True)
    list(write_predictions(predicted, tmp_path / "out.csv", label))
    assert list(map(repr, stored_predictions(tmp_path / "out.csv"))) == list(map(repr, predicted))


def test_a_table_of_any_model_will_do(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("path,age,age_low,age_high,p_female,detected\na.jpg,30,,,,true\n")
    [one] = stored_predictions(tmp_path / "out.csv")
    assert (one.age, one.detected, one.gender, math.isnan(one.p_female)) == (30, True, None, True)


@pytest.mark.parametrize(
    ("row", "named"), [("a.jpg,old,1,2,0.5,true", "age"), ("a.jpg,3,1,2,0.5,ja", "detected")]
)
def test_a_value_that_does_not_belong_is_named(tmp_path: Path, row: str, named: str) -> None:
    (tmp_path / "out.csv").write_text(f"path,age,age_low,age_high,p_female,detected\n{row}\n")
    with pytest.raises(DataError, match=f"has values in {named} that do not belong there"):
        read_predictions(tmp_path / "out.csv")
