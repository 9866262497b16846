from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_fakes import Draw, face_table, noise_in
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.explore import SIDE, face_sheet, parse_ages, save_sheet, select
from mien.data.plots import distribution_figure, faces_by_year, save_figure
from mien.errors import DataError

ages = st.integers(0, 130)


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    return noise_in(tmp_path)


@pytest.fixture
def table(draw: Draw) -> pd.DataFrame:
    return face_table(
        [draw(f"{i}.png", i) for i in range(6)],
        age=[5.0, 20.0, 25.0, 30.0, 61.0, 90.0],
        gender=["male", "female", "female", "male", "female", ""],
        split=["train", "train", "train", "test", "test", "test"],
    )


def binned(*bins: tuple[float, float]) -> pd.DataFrame:
    low, high = zip(*bins, strict=True)
    table = face_table([Path(f"/{i}.png") for i in range(len(bins))])
    return table.assign(age=np.nan, age_low=low, age_high=high)


@settings(deadline=None)
@given(ages, ages)
def test_a_range_of_ages_is_read_as_written(a: int, b: int) -> None:
    low, high = min(a, b), max(a, b)
    assert parse_ages(f"{low}-{high}") == parse_ages(f" {low} - {high} ") == (low, high)


@pytest.mark.parametrize("text", ["", "young", "-3", "20-", "20-30-40", "1e2", "30-20"])
def test_what_is_no_range_of_ages_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="write "):
        parse_ages(text)


def test_an_age_range_holds_both_its_ends(table: pd.DataFrame) -> None:
    assert list(select(table, age="20-30")["age"]) == [20, 25, 30]


def test_an_open_age_range_has_no_upper_end(table: pd.DataFrame) -> None:
    assert list(select(table, age="61+")["age"]) == [61, 90]


def test_an_age_bin_counts_if_it_lies_inside_the_range() -> None:
    assert len(select(binned((20, 29), (25, 35), (30, 39)), age="20-30")) == 1


def test_filters_work_together(table: pd.DataFrame) -> None:
    assert list(select(table, age="20-70", gender="Female", split="test")["age"]) == [61]


def test_nothing_left_to_show_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="choose a wider age range"):
        select(table, age="1")


def test_an_unknown_gender_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="choose male or female"):
        select(table, gender="f")


def test_a_sheet_shows_as_many_faces_as_asked_for(table: pd.DataFrame) -> None:
    one, _ = face_sheet(table, "one", count=1)
    six, _ = face_sheet(table, "six")
    assert SIDE < one.width < 2 * SIDE and 3 * SIDE < six.width < 4 * SIDE


def test_a_sheet_shows_the_face_itself(table: pd.DataFrame) -> None:
    sheet, _ = face_sheet(table, "faces", count=1)
    assert np.asarray(sheet)[60 : 60 + 100, 30:130].std() > 20


def test_a_seed_gives_the_same_sheet_again(table: pd.DataFrame) -> None:
    first, again, other = (face_sheet(table, "", count=2, seed=seed)[0] for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_an_unreadable_picture_is_an_empty_field_and_named(draw: Draw, tmp_path: Path) -> None:
    sheet, unreadable = face_sheet(face_table([draw("a.png", 1), tmp_path / "none.png"]), "faces")
    assert list(unreadable) == [str(tmp_path / "none.png")]
    assert sheet.width > SIDE


def test_a_sheet_is_written_as_its_name_says(table: pd.DataFrame, tmp_path: Path) -> None:
    save_sheet(face_sheet(table, "faces")[0], tmp_path / "new" / "sheet.jpg")
    assert (tmp_path / "new" / "sheet.jpg").read_bytes().startswith(b"\xff\xd8")


def test_plots_are_written_as_their_name_says(table: pd.DataFrame, tmp_path: Path) -> None:
    save_figure(distribution_figure(table, "faces"), tmp_path / "plots.svg")
    assert "<svg" in (tmp_path / "plots.svg").read_text()


@pytest.mark.parametrize("name", ["sheet.xyz", "sheet"])
def test_an_output_that_is_no_picture_is_refused(table: pd.DataFrame, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="does not end like a picture"):
        save_sheet(face_sheet(table, "faces")[0], tmp_path / name)


def test_a_plot_that_is_no_picture_is_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not end like a picture"):
        save_figure(distribution_figure(table, "faces"), tmp_path / "plots.xyz")


def test_an_output_that_cannot_be_written_is_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "sheet.png").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        save_sheet(face_sheet(table, "faces")[0], tmp_path / "sheet.png")
    with pytest.raises(DataError, match="cannot be written"):
        save_figure(distribution_figure(table, "faces"), tmp_path / "sheet.png")


def test_parts_are_plotted_only_where_there_are_several(table: pd.DataFrame) -> None:
    assert len(distribution_figure(table, "two parts").axes) == 4
    assert len(distribution_figure(select(table, split="test"), "one part").axes) == 2


def test_the_age_histogram_counts_every_face_at_its_age(table: pd.DataFrame) -> None:
    years = faces_by_year(table)
    assert np.flatnonzero(years).tolist() == [5, 20, 25, 30, 61, 90]


@settings(deadline=None)
@given(st.lists(st.tuples(ages, ages).map(lambda pair: (min(pair), max(pair))), min_size=1, max_size=9))
def test_the_age_histogram_sums_to_the_number_of_faces(bins: list[tuple[int, int]]) -> None:
    years = faces_by_year(binned(*bins))
    assert len(years) == max(high for _, high in bins) + 1
    assert years.sum() == pytest.approx(len(bins))


def test_a_dollar_in_a_title_is_no_formula(draw: Draw, tmp_path: Path) -> None:
    table = face_table([draw("a.png", 1)])
    save_figure(distribution_figure(table, "my$faces · under 5 $ · {x}$"), tmp_path / "plots.png")
