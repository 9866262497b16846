import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.layout import SYNONYMS, Layout, parse_age, understand_columns
from mien.data.manifest import GENDERS, MAX_AGE, read_manifest
from mien.errors import DataError

WriteCsv = Callable[..., Path]


@pytest.fixture
def write_csv(tmp_path: Path) -> WriteCsv:
    def write(text: str, name: str = "own.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "header",
    ["path,age,gender", "Path,Age,Gender", "image,AGE,Sex", "File Name,age,gender", "\ufefffile,age,sex"],
)
def test_columns_are_understood_by_other_names_cases_and_separators(
    write_csv: WriteCsv, header: str, separator: str
) -> None:
    text = f"{header}\nfaces/a.jpg,30,F\nb.jpg,8,man\n".replace(",", separator)
    table = read_manifest(write_csv(text))
    assert [Path(path).name for path in table["path"]] == ["a.jpg", "b.jpg"]
    assert list(table["age"]) == [30, 8] and list(table["gender"]) == ["female", "male"]


def test_what_was_understood_is_said_once(write_csv: WriteCsv, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv("image;Age;sex\na.jpg;25-32;m\n")
    read_manifest(path), read_manifest(path)
    said = capsys.readouterr().err
    assert (
        said.count("understood semicolons between fields, 'image' as path, 'Age' as age, 'sex' as gender")
        == 1
    )
    assert "gender 'm' as male" in said and "1 age ranges such as '25-32' as 25 to 32" in said


def test_a_manifest_as_mien_writes_it_needs_no_words(
    write_csv: WriteCsv, capsys: pytest.CaptureFixture[str]
) -> None:
    read_manifest(write_csv("path,age,gender,split\na.jpg,30,female,train\n"))
    assert not capsys.readouterr().err


@pytest.mark.parametrize("age", ["25-32", "(25, 32)", "[25,32]", "25 – 32", "25 to 32", "25_32"])
def test_a_range_is_a_bin(write_csv: WriteCsv, age: str) -> None:
    row = read_manifest(write_csv(f'path,age\na.jpg,"{age}"\nb.jpg,4\n')).iloc[0]
    assert (row["age_low"], row["age_high"]) == (25, 32) and row["age"] != row["age"]


@pytest.mark.parametrize("age", ["60+", "more than 60", "over 60", ">=60"])
def test_an_open_range_ends_at_the_last_age(write_csv: WriteCsv, age: str) -> None:
    row = read_manifest(write_csv(f"path,age\na.jpg,{age}\n")).iloc[0]
    assert (row["age_low"], row["age_high"]) == (60, 116)


def test_a_range_that_ends_before_it_begins_is_refused(write_csv: WriteCsv) -> None:
    with pytest.raises(DataError, match="row 2, has a value in 'age' that is no number"):
        read_manifest(write_csv("path,age\na.jpg,32-25\n"))


def test_decimal_commas_are_read_beside_semicolons(write_csv: WriteCsv) -> None:
    assert read_manifest(write_csv("path;age\na.jpg;25,5\n"))["age"][0] == 25.5


@pytest.mark.parametrize(
    ("own", "meant"),
    [
        ("val", "validation"),
        ("Valid", "validation"),
        ("dev", "validation"),
        ("Train", "train"),
        ("TEST", "test"),
    ],
)
def test_parts_are_known_by_their_common_names(write_csv: WriteCsv, own: str, meant: str) -> None:
    assert read_manifest(write_csv(f"path,age,split\na.jpg,3,{own}\n"))["split"][0] == meant


def test_a_part_of_another_name_keeps_it(write_csv: WriteCsv) -> None:
    assert read_manifest(write_csv("path,age,split\na.jpg,3,fold1\n"))["split"][0] == "fold1"


@pytest.mark.parametrize("word", ["NA", "None", "null"])
def test_a_person_or_race_may_be_called_what_else_means_missing(write_csv: WriteCsv, word: str) -> None:
    row = read_manifest(write_csv(f"path,age,group,race,gender\na.jpg,3,{word},{word},{word}\n")).iloc[0]
    assert (row["group"], row["race"], row["gender"]) == (word, word, "")


def test_two_columns_that_may_be_one_are_for_the_user_to_tell(write_csv: WriteCsv) -> None:
    path = write_csv("image,file,age\na.jpg,b.jpg,30\n")
    with pytest.raises(DataError, match=r"image and file; say which with .*--column path=image"):
        read_manifest(path)
    table = read_manifest(path, Layout(columns={"path": "file"}))
    assert Path(table["path"][0]).name == "b.jpg"


def test_an_exact_name_goes_before_its_likes(write_csv: WriteCsv) -> None:
    table = read_manifest(write_csv("path,image,age,Age\na.jpg,b.jpg,30,31\n"))
    assert Path(table["path"][0]).name == "a.jpg" and table["age"][0] == 30 and table["Age"][0] == "31"


def test_numbers_for_genders_need_their_meaning(write_csv: WriteCsv) -> None:
    path = write_csv("path,age,gender\na.jpg,30,0\nb.jpg,31,1\n")
    with pytest.raises(DataError, match=r"a number for a gender.*--value gender:0=male"):
        read_manifest(path)
    layout = Layout.parse([], ["gender:0=male", "gender:1=female"])
    assert list(read_manifest(path, layout)["gender"]) == ["male", "female"]


def test_values_of_every_column_can_be_explained(write_csv: WriteCsv) -> None:
    layout = Layout.parse(["age=class"], ["age:A=20-29", "race:1=Black", "split:held=test"])
    row = read_manifest(write_csv("path,class,race,split\na.jpg,A,1,held\n"), layout).iloc[0]
    assert (row["age_low"], row["age_high"], row["race"], row["split"]) == (20, 29, "Black", "test")


@pytest.mark.parametrize(
    ("columns", "values"), [(["path"], []), (["mood=x"], []), ([], ["gender=male"]), ([], ["mood:1=2"])]
)
def test_a_layout_that_says_nothing_is_refused(columns: list[str], values: list[str]) -> None:
    with pytest.raises(DataError, match=r"write it like|is not a column of a manifest"):
        Layout.parse(columns, values)


def test_a_column_that_is_not_there_is_named(write_csv: WriteCsv) -> None:
    with pytest.raises(DataError, match=r"has no column 'picture'; it has image, age"):
        read_manifest(write_csv("image,age\na.jpg,3\n"), Layout(columns={"path": "picture"}))


def test_a_birth_and_a_photos_date_give_the_age(write_csv: WriteCsv) -> None:
    text = "path,dob,photo_taken\na.jpg,1980-09-24,2010-09-23\nb.jpg,1980-09-24,2010-09-24\nc.jpg,1980,2010\n"
    assert list(read_manifest(write_csv(text))["age"]) == [29, 30, 30]


@pytest.mark.parametrize("name", ["own.zip", "own.csv.gz", "own.csv.bz2", "own.csv.xz"])
def test_a_file_that_is_not_compressed_as_named_is_one_sentence(write_csv: WriteCsv, name: str) -> None:
    with pytest.raises(DataError, match="is not compressed as its name says") as caught:
        read_manifest(write_csv("path,age\na.jpg,3\n", name))
    assert "\n" not in str(caught.value) and "None" not in str(caught.value)


def test_a_compressed_table_is_read(tmp_path: Path) -> None:
    (tmp_path / "own.csv.gz").write_bytes(gzip.compress(b"path,age\na.jpg,3\n"))
    assert read_manifest(tmp_path / "own.csv.gz")["age"][0] == 3


def test_rows_longer_than_the_header_are_refused(write_csv: WriteCsv) -> None:
    with pytest.raises(DataError, match="rows with more fields than its header"):
        read_manifest(write_csv("path,age\na.jpg,3,x\n"))


@settings(max_examples=60)
@given(
    st.integers(0, MAX_AGE),
    st.integers(0, MAX_AGE),
    st.sampled_from(["{}-{}", "({}, {})", "{} – {}", "{} to {}"]),
)
def test_ranges_are_read_as_written(one: int, other: int, form: str) -> None:
    assert parse_age(form.format(one, other)) == (one, other)


@given(st.text(max_size=12))
def test_any_text_is_an_age_or_none(text: str) -> None:
    low, high = parse_age(text)
    assert (low != low and high != high) or isinstance(low, float)


_headers = st.lists(
    st.sampled_from([name for known in SYNONYMS.items() for name in (known[0], *known[1])]), unique=True
)


@given(_headers, st.sampled_from([str.upper, str.title, str.lower]))
def test_a_column_is_never_taken_twice(header: list[str], case: Callable[[str], str]) -> None:
    own = list(dict.fromkeys(map(case, header)))
    try:
        names = understand_columns(own, Layout(), "own.csv")
    except DataError as error:
        assert "say which" in str(error)
        return
    assert len(set(names.values())) == len(names) and set(names) <= set(own)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, MAX_AGE), st.sampled_from([*GENDERS, ""])), min_size=1, max_size=6),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from([str.upper, str.title, str.lower]),
)
def test_a_table_is_the_same_however_it_is_written(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, str]],
    separator: str,
    case: Callable[[str], str],
) -> None:
    folder = tmp_path_factory.mktemp("table")
    lines = [
        ["path", "age", "gender"],
        *([f"{i}.jpg", str(age), gender] for i, (age, gender) in enumerate(rows)),
    ]
    (folder / "plain.csv").write_text("\n".join(",".join(line) for line in lines))
    other = [
        [case(name) for name in lines[0]],
        *([path, age, case(gender)] for path, age, gender in lines[1:]),
    ]
    (folder / "other.csv").write_text("\n".join(separator.join(line) for line in other))
    plain, understood = read_manifest(folder / "plain.csv"), read_manifest(folder / "other.csv")
    assert plain[["path", "age", "gender"]].equals(understood[["path", "age", "gender"]])
