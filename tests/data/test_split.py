import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_fakes import Draw, face_table, noise_in
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.manifest import GENDERS
from mien.data.protocols import UTKFACE_SIZE, classic_test_names, get_protocol, read_names
from mien.data.split import assign_groups, divide, divide_into_folds, split_part, split_validation
from mien.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    return noise_in(tmp_path)


def utkface_names(count: int = UTKFACE_SIZE) -> list[str]:
    return [f"{i % 90}_{i % 2}_{i % 5}_{20170116000000000 + i}.jpg.chip.jpg" for i in range(count)]


def names_table(names: list[str]) -> pd.DataFrame:
    return face_table([Path("/faces") / name for name in names])


def grouped_table(groups: list[str], **columns: object) -> pd.DataFrame:
    return face_table([Path(f"/{i}.jpg") for i in range(len(groups))], group=groups, **columns)


# The classic protocol


def test_the_classic_test_side_has_4742_of_23708_names_whatever_their_order() -> None:
    names = utkface_names()
    test = classic_test_names(names)
    assert len(test) == 4742 and test == classic_test_names(names[::-1])


def test_the_classic_test_side_is_what_the_training_archive_lacks() -> None:
    listed, archive = SHARED / "utkface-names.txt", SHARED / "utkface-train.tar"
    if not (listed.is_file() and archive.is_file()):
        pytest.skip("the list of UTKFace names and the training archive are not at hand")
    names = read_names(listed)
    with tarfile.open(archive) as tar:
        at_hand = {Path(member.name).name for member in tar if member.isfile()}
    assert set(names) - at_hand == classic_test_names(names)
    assert at_hand <= set(names) and len(at_hand) == 18_966


def test_the_classic_split_of_a_whole_folder_needs_no_list() -> None:
    names = utkface_names()
    table = get_protocol("classic")(names_table(names), None)
    test = {Path(path).name for path in table["path"][table["split"] == "test"]}
    assert test == classic_test_names(names)


def test_the_classic_split_of_a_part_follows_the_list() -> None:
    names = utkface_names()
    table = get_protocol("classic")(names_table(names[:500]), names)
    test = classic_test_names(names)
    expected = ["test" if name in test else "train" for name in names[:500]]
    assert list(table["split"]) == expected


def test_the_classic_split_of_a_part_without_a_list_is_refused() -> None:
    with pytest.raises(DataError, match=r"23,708 names of UTKFace and the data has 500; .* \(--names\)"):
        get_protocol("classic")(names_table(utkface_names(500)), None)


def test_an_incomplete_list_of_names_is_refused() -> None:
    with pytest.raises(DataError, match="the list of names has 600; give the complete list"):
        get_protocol("classic")(names_table(utkface_names(500)), utkface_names(600))


def test_pictures_that_the_list_lacks_are_refused() -> None:
    with pytest.raises(DataError, match=r"mine.jpg .* is not in the list of names"):
        get_protocol("classic")(names_table(["mine.jpg"]), utkface_names())


def test_a_folder_with_two_copies_of_the_data_set_is_refused() -> None:
    with pytest.raises(DataError, match=r"holds the file name .* 2 times"):
        get_protocol("classic")(names_table(utkface_names(3) + utkface_names(3)), None)


def sided(table: pd.DataFrame, protocol: str) -> dict[str, set[str]]:
    """File names on each side."""
    table = get_protocol(protocol)(table, None)
    return {str(side): {Path(path).name for path in rows["path"]} for side, rows in table.groupby("split")}


def test_ages_21_to_60_are_taken_from_the_classic_sides() -> None:
    names = utkface_names()
    ages = pd.Series([float(name.split("_")[0]) for name in names])
    sides = sided(names_table(names).assign(age=ages, age_low=ages, age_high=ages), "ages-21-60")
    inside = {name for name in names if 21 <= int(name.split("_")[0]) <= 60}
    assert sides["test"] == classic_test_names(names) & inside
    assert sides["train"] == inside - sides["test"]


def test_folds_hold_the_classic_test_side_and_a_fifth_for_validation() -> None:
    names = utkface_names()
    sides = sided(names_table(names), "folds-60-20-20")
    assert sides["test"] == classic_test_names(names)
    assert {side: len(rows) for side, rows in sides.items()} == {
        "test": 4742,
        "train": 14_224,
        "validation": 4742,
    }


def test_a_protocol_keeps_its_own_validation_side(draw: Draw) -> None:
    paths = [draw(name, seed) for seed, name in enumerate(utkface_names(12))]
    names = utkface_names()
    table = divide(face_table(paths), protocol="folds-60-20-20", names=names, validation=0.9).table
    expected = get_protocol("folds-60-20-20")(face_table(paths), names)["split"]
    assert table["split"].tolist() == expected.tolist()


@pytest.mark.slow
def test_the_clean_test_side_lacks_what_lies_on_the_training_side(tmp_path: Path) -> None:
    names = utkface_names()
    test = sorted(classic_test_names(names))
    train = sorted(set(names) - set(test))
    twice = {test[0]: b"same", train[0]: b"same", test[1]: b"alone", test[2]: b"pair", test[3]: b"pair"}
    for name in names:
        (tmp_path / name).write_bytes(twice.get(name, name.encode()))
    table = get_protocol("classic-clean")(face_table([tmp_path / name for name in names]), None)
    kept = {Path(path).name for path in table["path"][table["split"] == "test"]}
    assert set(test) - kept == {test[0]}
    assert (table["split"] == "train").sum() == 18_966


def test_the_clean_test_side_cannot_be_told_from_a_part_of_the_pictures() -> None:
    with pytest.raises(DataError, match=r"compares the bytes of both sides, but 500 of UTKFace's 23,708"):
        get_protocol("classic-clean")(names_table(utkface_names(500)), utkface_names())


@pytest.mark.parametrize("protocol", ["classic-clean", "ages-21-60", "folds-60-20-20"])
def test_every_protocol_refuses_another_folder(protocol: str) -> None:
    with pytest.raises(DataError, match="has 500"):
        get_protocol(protocol)(names_table(utkface_names(500)), None)


def test_an_unknown_protocol_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="'random' is not a known protocol; choose from classic"):
        get_protocol("random")


def test_a_list_of_names_keeps_the_spaces_inside_them(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(b"a .jpg\r\nb.jpg\n\n")
    assert read_names(path) == ["a .jpg", "b.jpg"]


def test_a_missing_or_binary_list_of_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.txt cannot be read"):
        read_names(tmp_path / "none.txt")
    (tmp_path / "names.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="is not a text file"):
        read_names(tmp_path / "names.txt")


# Groups and validation


def test_same_pictures_share_a_group_and_others_do_not(draw: Draw) -> None:
    paths = [draw("a.png", 1), draw("copy.png", 1), draw("small.jpg", 1, quality=50), draw("b.png", 2)]
    groups = list(assign_groups(face_table(paths))["group"])
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_a_group_that_the_manifest_has_stays_together(draw: Draw) -> None:
    table = face_table([draw("a.png", 1), draw("b.png", 2), draw("c.png", 3)], group=["anna", "anna", ""])
    groups = list(assign_groups(table)["group"])
    assert groups[0] == groups[1] != groups[2]


def test_grouping_again_changes_nothing(draw: Draw) -> None:
    once = assign_groups(face_table([draw("a.png", 1), draw("a.jpg", 1), draw("b.png", 2)]))
    assert list(assign_groups(once)["group"]) == list(once["group"])


def test_the_validation_choice_is_a_hash_of_the_group() -> None:
    table = split_validation(grouped_table(["15b52fdfc03a1f9f", "04f61f80c5342508"]), 0.1)
    assert list(table["split"]) == ["train", "validation"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_a_group_never_straddles_train_and_validation(groups: list[str], share: float) -> None:
    table = split_validation(grouped_table(groups), share)
    assert (table.groupby("group")["split"].nunique() == 1).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(min_size=1, max_size=3), min_size=2, max_size=30, unique=True), st.floats(0.01, 0.99))
def test_taking_rows_away_moves_no_other_row(groups: list[str], share: float) -> None:
    whole = split_validation(grouped_table(groups), share)["split"]
    assert list(split_validation(grouped_table(groups[1:]), share)["split"]) == list(whole[1:])


def test_the_validation_part_is_about_the_share_asked_for() -> None:
    table = split_validation(grouped_table([f"{i:016x}" for i in range(4000)]), 0.25)
    assert (table["split"] == "validation").mean() == pytest.approx(0.25, abs=0.03)


def test_test_rows_stay_test_rows() -> None:
    table = split_validation(grouped_table(["a", "b", "c"], split=["test", "", "test"]), 0.99)
    assert list(table["split"]) == ["test", "validation", "test"]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(DataError, match="must lie between 0 and 1"):
        split_validation(grouped_table(["a"]), share)


def test_rows_without_a_group_are_refused() -> None:
    with pytest.raises(DataError, match="every row needs a group"):
        split_validation(grouped_table([""]), 0.1)


# Both together


def test_the_validation_part_is_the_same_with_and_without_the_test_pictures(draw: Draw) -> None:
    paths = [draw(f"{i}.png", i // 2) for i in range(20)]
    split = ["test" if i % 5 == 0 else "train" for i in range(20)]
    whole = divide(face_table(paths, split=split), validation=0.4).table
    part = face_table(paths, split=split)
    part = divide(part[part["split"] == "train"].reset_index(drop=True), validation=0.4).table
    rest = whole[whole["split"] != "test"]
    assert list(rest["split"]) == list(part["split"]) and list(rest["group"]) == list(part["group"])
    assert {"train", "validation"} == set(part["split"])


def test_training_pictures_that_are_test_pictures_are_reported(draw: Draw) -> None:
    paths = [draw("test.png", 1), draw("same.png", 1), draw("near.jpg", 1, quality=50), draw("other.png", 2)]
    division = divide(face_table(paths, split=["test", "", "", ""]), validation=0)
    assert division.identical_to_test == (str(paths[1]),)
    assert division.near_identical_to_test == (str(paths[2]),)


def test_no_validation_leaves_train_and_test(draw: Draw) -> None:
    table = face_table([draw("a.png", 1), draw("b.png", 2)], split=["test", "validation"])
    assert list(divide(table, validation=0, replace=True).table["split"]) == ["test", "train"]


@pytest.mark.parametrize("own", ["validation", "fold1"])
def test_a_division_is_replaced_only_when_told_to(draw: Draw, own: str) -> None:
    table = face_table([draw("a.png", 1), draw("b.png", 2)], split=["train", own])
    with pytest.raises(DataError, match=f"1 rows are of the splits {own} already.*--replace"):
        divide(table)


def test_a_test_part_is_made_of_whole_groups_and_stays_one(draw: Draw) -> None:
    paths = [draw(f"{i}.png", i // 2) for i in range(40)]
    table = divide(face_table(paths), test=0.3, validation=0.2).table
    assert set(table["split"]) == {"train", "validation", "test"}
    assert (table.groupby("group")["split"].nunique() == 1).all()
    again = divide(table, validation=0.2, replace=True).table
    assert list(again["split"] == "test") == list(table["split"] == "test")


def test_a_seed_draws_others(draw: Draw) -> None:
    table = face_table([draw(f"{i}.png", i) for i in range(30)])
    splits = [list(divide(table, validation=0.3, test=0.3, seed=seed).table["split"]) for seed in (1, 1, 2)]
    assert splits[0] == splits[1] != splits[2]


def mixed_table(count: int) -> pd.DataFrame:
    """Faces of which one in ten is old, one in five female; each pair of rows is one person."""
    people = [f"{i // 2:016x}" for i in range(count)]
    number = np.arange(count) // 2
    ages = np.where(number % 10 == 0, 71.0, 33.0)
    gender = np.where(number % 5 == 1, "female", "male")
    return grouped_table(people, age=ages, gender=gender)


def test_a_stratified_part_has_its_share_of_every_age_and_gender() -> None:
    table = split_part(mixed_table(2000), "test", 0.2, seed=3, stratify=True)
    kinds = table.groupby(["age_low", "gender"])["split"].agg(lambda part: (part == "test").mean())
    assert len(kinds) == 3 and kinds.tolist() == pytest.approx([0.2] * 3, abs=0.011)
    assert (table.groupby("group")["split"].nunique() == 1).all()
    other = split_part(mixed_table(2000), "test", 0.2, seed=4, stratify=True)
    assert list(other["split"]) != list(table["split"])


def test_both_parts_of_a_division_are_stratified(draw: Draw) -> None:
    paths = [draw(f"{i}.png", i) for i in range(20)]
    table = face_table(paths, gender=["male", "female"] * 10)
    parts = divide(table, validation=0.2, test=0.2, stratify=True).table
    counts = parts[["split", "gender"]].value_counts().to_dict()
    assert {counts[part, gender] for part in ("test", "validation") for gender in GENDERS} == {2}


@pytest.mark.parametrize("stratify", [False, True])
def test_each_face_is_for_testing_in_one_fold(draw: Draw, stratify: bool) -> None:
    paths = [draw(f"{i}.png", i // 2) for i in range(24)]
    table = face_table(paths, gender=["male", "male", "female", "female"] * 6)
    folds = divide_into_folds(table, 3, validation=0.2, stratify=stratify)
    tested = np.stack([(fold["split"] == "test").to_numpy() for fold in folds])
    assert tested.sum(0).tolist() == [1] * 24 and tested.sum(1).tolist() == [8] * 3
    assert all(set(fold["split"]) == {"train", "validation", "test"} for fold in folds)
    assert all((fold.groupby("group")["split"].nunique() == 1).all() for fold in folds)
    if stratify:
        female = (table["gender"] == "female").to_numpy()
        assert [(fold & female).sum() for fold in tested] == [4] * 3


def test_too_many_folds_are_refused(draw: Draw) -> None:
    table = face_table([draw("a.png", 1), draw("b.png", 1), draw("c.png", 2)])
    with pytest.raises(DataError, match="2 different faces are too few for 3 folds"):
        divide_into_folds(table, 3)
    with pytest.raises(DataError, match="leave nothing to train on"):
        divide_into_folds(table, 2, validation=0.5)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_few_faces_have_both_parts(draw: Draw, count: int) -> None:
    table = face_table([draw(f"{i}.png", i) for i in range(count)])
    assert set(divide(table, validation=0.1).table["split"]) == {"train", "validation"}


def test_three_faces_have_all_three_parts(draw: Draw) -> None:
    table = face_table([draw(f"{i}.png", i) for i in range(3)])
    assert set(divide(table, test=0.1, validation=0.1).table["split"]) == {"train", "validation", "test"}


def test_a_protocol_marks_the_test_side_before_validation_is_drawn(draw: Draw) -> None:
    names = utkface_names()
    paths = [draw(name, i) for i, name in enumerate(names[:12])]
    table = divide(face_table(paths), protocol="classic", names=names, validation=0.5).table
    test = classic_test_names(names)
    assert [split == "test" for split in table["split"]] == [name in test for name in names[:12]]
    assert {"train", "validation"} <= set(table["split"])


def test_names_without_a_protocol_are_refused() -> None:
    with pytest.raises(DataError, match="name one with --protocol"):
        divide(grouped_table(["a"]), names=["0.jpg"])


def test_unreadable_pictures_are_refused_with_their_number(draw: Draw, tmp_path: Path) -> None:
    table = face_table([draw("a.png", 1), tmp_path / "none.png"])
    with pytest.raises(DataError, match=r"1 of 2 pictures cannot be read, the first: .*none.png"):
        divide(table)
