import sys
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.manifest import GENDERS, MAX_AGE, check_manifest, read_manifest, relative_path, write_manifest
from mien.errors import DataError

WriteCsv = Callable[[str], Path]


@pytest.fixture
def write_csv(tmp_path: Path) -> WriteCsv:
    def write(text: str) -> Path:
        path = tmp_path / "faces.csv"
        path.write_text(text)
        return path

    return write


def test_paths_are_relative_to_the_manifest(write_csv: WriteCsv) -> None:
    manifest = write_csv("path,age\nfaces/a.jpg,30\n/elsewhere/b.jpg,31\n")
    paths = list(read_manifest(manifest)["path"])
    assert paths == [str(manifest.parent.resolve() / "faces/a.jpg"), "/elsewhere/b.jpg"]


def test_paths_are_written_with_slashes_on_every_system() -> None:
    folder = PureWindowsPath("C:/sets/faces")
    assert relative_path(r"C:\sets\faces\old\a.jpg", folder) == "old/a.jpg"
    assert relative_path(r"D:\b.jpg", folder) == "D:/b.jpg"


@pytest.mark.skipif(sys.platform == "win32", reason="a backslash is no part of a name on Windows")
def test_paths_that_windows_wrote_are_understood(write_csv: WriteCsv) -> None:
    manifest = write_csv("path,age\nfaces\\a.jpg,30\nb\\c.jpg,31\n")
    folder = manifest.parent.resolve()
    (folder / r"b\c.jpg").touch()  # here this is a name
    assert list(read_manifest(manifest)["path"]) == [str(folder / "faces/a.jpg"), str(folder / r"b\c.jpg")]


def test_an_exact_age_fills_its_bounds(write_csv: WriteCsv) -> None:
    row = read_manifest(write_csv("path,age\na.jpg,30\n")).iloc[0]
    assert (row["age"], row["age_low"], row["age_high"]) == (30, 30, 30)


def test_an_age_bin_leaves_the_age_open(write_csv: WriteCsv) -> None:
    row = read_manifest(write_csv("path,age_low,age_high\na.jpg,20,29\n")).iloc[0]
    assert np.isnan(row["age"]) and (row["age_low"], row["age_high"]) == (20, 29)


def test_exact_ages_and_bins_may_be_mixed(write_csv: WriteCsv) -> None:
    table = read_manifest(write_csv("path,age,age_low,age_high\na.jpg,25,,\nb.jpg,,20,29\n"))
    assert list(table["age_low"]) == [25, 20] and list(table["age_high"]) == [25, 29]


def test_genders_are_taken_in_any_case(write_csv: WriteCsv) -> None:
    table = read_manifest(write_csv("path,age,gender\na.jpg,1,Male\nb.jpg,2, FEMALE \nc.jpg,3,\n"))
    assert list(table["gender"]) == ["male", "female", ""]


def test_missing_optional_columns_are_empty_texts(write_csv: WriteCsv) -> None:
    row = read_manifest(write_csv("path,age\na.jpg,30\n")).iloc[0]
    assert all(row[column] == "" for column in ("gender", "race", "group", "split", "dataset"))
    assert row["framing"] == "utkface"


def test_empty_columns_are_empty_texts(write_csv: WriteCsv) -> None:
    row = read_manifest(write_csv("path,age,gender,split\na.jpg,30,,\n")).iloc[0]
    assert (row["gender"], row["split"]) == ("", "")


def test_a_gender_is_enough(write_csv: WriteCsv) -> None:
    table = read_manifest(write_csv("path,gender,age\na.jpg,male,\nb.jpg,,30\n"))
    assert table["age_low"].isna().tolist() == [True, False]


def test_a_group_of_digits_stays_a_text(write_csv: WriteCsv) -> None:
    assert read_manifest(write_csv("path,age,group\na.jpg,30,007\n"))["group"][0] == "007"


def test_unknown_columns_are_kept(write_csv: WriteCsv) -> None:
    assert read_manifest(write_csv("path,age,camera\na.jpg,30,Leica\n"))["camera"][0] == "Leica"


def test_spaces_around_column_names_do_not_matter(write_csv: WriteCsv) -> None:
    assert read_manifest(write_csv("path, age\na.jpg,30\n"))["age"][0] == 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("thing,age\na.jpg,30\n", "no column 'path'; it has thing, age"),
        ("path,race\na.jpg,White\n", "needs a column 'age'"),
        ("path,gender,age_low,age_high\na.jpg,male,3,\n", "one end of an age bin without the other"),
        ("path,age_low\na.jpg,3\n", "needs a column 'age'"),
        ("path,age\na.jpg,30\nb.jpg,-3\n", r"row 3, has an age outside 0 to 130 \(b.jpg\)"),
        ("path,age,age_low,age_high\na.jpg,-3,0,9\n", "row 2, has an age outside"),
        ("path,age\na.jpg,old\n", r"row 2, has a value in 'age' that is no number \(a.jpg\)"),
        ("path,age\na.jpg,\n", "row 2, has neither an age nor a gender"),
        ("path,age\na.jpg,inf\n", "row 2, has an age outside"),
        ("path,age_low,age_high\na.jpg,29,20\n", "an age_high below its age_low"),
        ("path,age\n,30\n", "row 2, has no path"),
        ("path,age,gender\na.jpg,30,both\n", "a gender other than male or female"),
        ("path,age,gender\na.jpg,30,1\n", "a number for a gender, whose meaning differs between data sets"),
        ("path,age,framing\na.jpg,30,tight\n", "a framing not in utkface, padded, photo"),
        ("path,age\n", "has no rows"),
        ("", "is not a CSV file"),
        ('path,age\n"a.jpg,30\n', "is not a CSV file"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_sentence(write_csv: WriteCsv, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(write_csv(text))
    assert "faces.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_a_picture_is_no_manifest(tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe" * 9)
    with pytest.raises(DataError, match="is not a CSV file"):
        read_manifest(path)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.csv does not exist; make a manifest with 'mien data index'"):
        read_manifest(tmp_path / "none.csv")


def test_a_folder_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder; make a manifest of it"):
        read_manifest(tmp_path)


def test_pictures_below_the_manifest_are_written_relative(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"path": [str(tmp_path.resolve() / "faces/a.jpg"), "/elsewhere/b.jpg"], "age": [1, 2]}
    )
    write_manifest(table, tmp_path / "m.csv")
    assert list(pd.read_csv(tmp_path / "m.csv")["path"]) == ["faces/a.jpg", "/elsewhere/b.jpg"]


def test_an_output_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be written .* choose another --output"):
        write_manifest(pd.DataFrame({"path": ["a.jpg"], "age": [1]}), tmp_path)


def test_a_file_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rename that picture"):
        path = pd.Series(["/a\udce9.jpg"], dtype=object)
        write_manifest(pd.DataFrame({"path": path, "age": [1]}), tmp_path / "m.csv")


_ages = st.integers(0, MAX_AGE)
_bins = st.tuples(_ages, _ages).map(sorted)
_names = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/\r", exclude_categories=["Cs"]), min_size=1
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(_names, _bins, st.sampled_from([*GENDERS, ""])), min_size=1, max_size=8))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, list[int], str]]
) -> None:
    path = tmp_path_factory.mktemp("manifest") / "m.csv"
    table = pd.DataFrame(
        {
            "path": [f"faces/{name}.jpg" for name, _, _ in rows],
            "age_low": [age[0] for _, age, _ in rows],
            "age_high": [age[1] for _, age, _ in rows],
            "gender": [gender for _, _, gender in rows],
        }
    )
    table = check_manifest(table, "test", path.parent)
    write_manifest(table, path)
    pd.testing.assert_frame_equal(read_manifest(path), table, check_like=True, check_dtype=False)
