from pathlib import Path

import numpy as np
import pytest
from data_fakes import Draw, fairface_in, noise_in, utkface_in
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.data.layout import Layout
from mien.data.manifest import GENDERS, MAX_AGE
from mien.data.sources import RACES, index_folder, index_table, load_faces, parse_utkface_name
from mien.errors import DataError


@pytest.fixture
def utkface(tmp_path: Path) -> Path:
    return utkface_in(tmp_path)


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    return noise_in(tmp_path)


@pytest.fixture
def fairface(tmp_path: Path) -> Path:
    return fairface_in(tmp_path)


@settings(deadline=None)
@given(st.integers(0, MAX_AGE), st.integers(0, 1), st.integers(0, 4), st.integers(10**15, 10**18 - 1))
def test_a_regular_name_gives_its_labels(age: int, gender: int, race: int, stamp: int) -> None:
    name = f"{age}_{gender}_{race}_{stamp}.jpg.chip.jpg"
    assert parse_utkface_name(name) == (age, GENDERS[gender], RACES[race], "")


@settings(deadline=None)
@given(st.text())
def test_any_name_is_parsed_or_refused(name: str) -> None:
    labels = parse_utkface_name(name)
    assert labels is None or 0 <= labels[0] <= MAX_AGE


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("24_0_1_20170116220224657 .jpg.chip.jpg", (24, "male", "Black", "misspelt extension")),
        ("55_0_0_20170116232725357jpg.chip.jpg", (55, "male", "White", "misspelt extension")),
    ],
)
def test_a_misspelt_extension_keeps_all_labels(name: str, labels: tuple[int, str, str, str]) -> None:
    assert parse_utkface_name(name) == labels


@pytest.mark.parametrize(
    "name", ["39_1_20170116174525125", "61_1_20170109142408075", "61_1_20170109150557335"]
)
def test_a_name_one_field_short_keeps_the_age_alone(name: str) -> None:
    labels = parse_utkface_name(f"{name}.jpg.chip.jpg")
    assert labels == (int(name[:2]), "", "", "one field short, gender and race unknown")


@pytest.mark.parametrize(
    "name", ["holiday.jpg", "200_0_0_20170116232725357.jpg", "30_2_0_20170116232725357.jpg"]
)
def test_a_name_without_labels_gives_none(name: str) -> None:
    assert parse_utkface_name(name) is None


def test_every_utkface_picture_is_indexed_or_left_out_by_name(utkface: Path) -> None:
    faces = index_folder(utkface)
    assert list(faces.table["age"]) == [1, 24, 26, 39, 55]
    assert faces.left_out == {str(utkface / "holiday.jpg"): "no labels in its name"}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("26_1_2_20170116184024662.png", (26, "female", "Asian", "")),
        ("26_1_2_20170116184024662.jpg.chip.webp", (26, "female", "Asian", "")),
        ("26_1_2_20170116184024662.JPG", (26, "female", "Asian", "")),
        ("26_1_2_20170116184024662.jpg.chip (1).jpg", (26, "female", "Asian", "")),
        ("26_1_2_20170116184024662 (1).jpg", (26, "female", "Asian", "")),
        ("53__0_20170116184024662.jpg", (53, "", "White", "gender missing")),
    ],
)
def test_converted_copied_and_in_the_wild_pictures_keep_their_labels(
    name: str, labels: tuple[int, str, str, str]
) -> None:
    assert parse_utkface_name(name) == labels


def test_links_to_folders_are_followed(utkface: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "faces").symlink_to(utkface)
    assert len(index_folder(tmp_path / "data").table) == 5


def test_links_that_go_round_are_survived_and_named(utkface: Path) -> None:
    for name, target in (("round", utkface), ("up", utkface.parent)):
        (utkface / name).symlink_to(target)
    (utkface.parent / "more").mkdir()
    (utkface / "more").symlink_to(utkface.parent / "more")
    faces = index_folder(utkface)
    assert len(faces.table) == 5
    assert faces.left_out[str(utkface / "round")] == "a link to a folder that is read already"


def test_a_folder_and_a_link_to_it_are_read_once(utkface: Path) -> None:
    (utkface.parent / "again").symlink_to(utkface)
    faces = index_folder(utkface.parent)
    assert len(faces.table) == 5 and "read already" in " ".join(faces.left_out.values())


def test_fairface_is_read_as_it_was_published(draw: Draw, tmp_path: Path) -> None:
    for seed, name in enumerate(("train/1.jpg", "train/2.jpg", "val/1.jpg")):
        draw(name, seed)
    head = "file,age,gender,race,service_test\n"
    (tmp_path / "fairface_label_train.csv").write_text(
        f"{head}train/1.jpg,50-59,Male,East Asian,True\ntrain/2.jpg,more than 70,Female,Indian,False\n"
    )
    (tmp_path / "fairface_label_val.csv").write_text(f"{head}val/1.jpg,3-9,Male,Black,True\n")
    faces = index_folder(tmp_path)
    assert not faces.left_out and set(faces.table["dataset"]) == {"fairface"}
    assert list(faces.table["split"]) == ["train", "train", "validation"]
    assert list(faces.table["age_low"]) == [50, 70, 3] and list(faces.table["age_high"]) == [59, 116, 9]


def test_all_age_faces_is_read_as_it_was_published(draw: Draw, tmp_path: Path) -> None:
    for seed, name in enumerate(("00000A02.jpg", "07380A80.jpg", "07381A02.jpg")):
        draw(f"original images/{name}", seed)
    table = index_folder(tmp_path).table
    assert list(table["age"]) == [2, 80, 2] and list(table["gender"]) == ["female", "female", "male"]
    assert set(table["framing"]) == {"photo"} and set(table["dataset"]) == {"all-age-faces"}


def test_adience_is_read_as_it_was_published(draw: Draw, tmp_path: Path) -> None:
    user = "30601258@N03"
    for seed, face in enumerate((1, 2, 3, 5)):
        draw(f"faces/{user}/coarse_tilt_aligned_face.{face}.1040_o.jpg", seed)
    rows = ["user_id\toriginal_image\tface_id\tage\tgender\tx\ty"]
    rows += [f"{user}\t1040_o.jpg\t1\t(25, 32)\tf\t0\t414", f"{user}\t1040_o.jpg\t2\t35\tm\t301\t105"]
    rows += [f"{user}\t1040_o.jpg\t3\tNone\tu\t1\t1", f"{user}\t1040_o.jpg\t4\t(4, 6)\tf\t1\t1"]
    (tmp_path / "fold_0_data.txt").write_text("\n".join(rows) + "\n")
    faces = index_folder(tmp_path)
    assert list(zip(faces.table["age_low"], faces.table["age_high"], strict=True)) == [(25, 32), (35, 35)]
    assert list(faces.table["gender"]) == ["female", "male"] and set(faces.table["fold"]) == {"fold_0"}
    assert set(faces.table["framing"]) == {"photo"}
    assert sorted(faces.left_out.values()) == [
        "in no fold",
        "named in a fold but missing",
        "no age in its fold",
    ]


@pytest.mark.parametrize(
    ("name", "age", "gender"),
    [
        ("026/1.png", (26, 26), ""),
        ("female/20-29/1.png", (20, 29), "female"),
        ("60+/M/1.png", (60, 116), "male"),
    ],
)
def test_folders_named_after_labels_are_read(
    draw: Draw, tmp_path: Path, name: str, age: tuple[int, int], gender: str
) -> None:
    draw(f"data/{name}", 1), draw("data/other/2.png", 2)
    faces = index_folder(tmp_path / "data")
    row = faces.table.iloc[0]
    assert (row["age_low"], row["age_high"], row["gender"]) == (*age, gender)
    assert faces.left_out == {str(tmp_path / "data/other/2.png"): "in no folder of an age or a gender"}


@pytest.mark.parametrize("name", ["UTKFace.tar.gz", "crop_part1.zip", "faces.tar"])
def test_an_archive_is_to_be_unpacked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="is an archive; unpack it and give the folder"):
        index_table(tmp_path / name, Layout())


PIXELS = """age,ethnicity,gender,img_name,pixels
1,2,0,1.jpg.chip.jpg,129 128 0 255
40,0,1,2.jpg.chip.jpg,1 2 3
30,4,1,3.jpg.chip.jpg,1 2 3 256
"""


def test_a_table_of_pixels_becomes_pictures(tmp_path: Path) -> None:
    (tmp_path / "age_gender.csv").write_text(PIXELS)
    faces = index_table(tmp_path / "age_gender.csv", Layout(), tmp_path / "pictures")
    [row] = faces.table.to_dict("records")
    assert (row["age"], row["gender"], row["race"], row["dataset"]) == (1, "male", "Asian", "utkface")
    assert np.asarray(Image.open(row["path"])).tolist() == [[129, 128], [0, 255]]
    assert list(faces.left_out) == ["row 3", "row 4"]
    assert "no square of numbers" in faces.left_out["row 3"]


def test_a_table_of_pixels_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "age_gender.csv").write_text(PIXELS)
    with pytest.raises(DataError, match="holds pixels and no pictures' paths"):
        index_table(tmp_path / "age_gender.csv", Layout())


@pytest.mark.parametrize("folder", ["female", "F"])
def test_a_folder_for_each_gender_is_enough(draw: Draw, tmp_path: Path, folder: str) -> None:
    draw(f"data/{folder}/1.png", 1)
    faces = index_folder(tmp_path / "data")
    assert (faces.table["gender"][0], faces.table["dataset"][0]) == ("female", "folders")
    assert np.isnan(faces.table["age_low"][0])


def test_a_table_of_ones_own_is_indexed_and_what_cannot_be_used_is_named(draw: Draw, tmp_path: Path) -> None:
    draw("faces/a.png", 1)
    lines = ["photo,years,sex", "faces/a.png,30,1", "faces/b.png,31,0", "faces/a.png,old,0", ",3,0"]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    layout = Layout.parse(["path=photo", "age=years"], ["gender:0=male", "gender:1=female"])
    faces = index_table(tmp_path / "own.csv", layout)
    assert faces.table[["age", "gender"]].to_numpy().tolist() == [[30, "female"]]
    assert list(faces.left_out.values()) == [
        "has a value in 'age' that is no number",
        "has no path",
        "missing",
    ]


def test_utkface_pictures_in_subfolders_are_found(utkface: Path) -> None:
    assert len(index_folder(utkface.parent).table) == 5


def test_hidden_files_of_other_systems_are_no_pictures(utkface: Path) -> None:
    (utkface / "._26_1_0_20170116184024662.jpg.chip.jpg").write_bytes(b"resource fork")
    assert len(index_folder(utkface).table) == 5


def test_fairface_bins_genders_and_races_take_the_manifests_form(fairface: Path) -> None:
    table = index_folder(fairface).table
    assert list(zip(table["age_low"], table["age_high"], strict=True)) == [(3, 9), (70, 116)]
    assert list(table["gender"]) == ["male", "female"]
    assert list(table["race"]) == ["Asian", "Others"]
    assert set(table["framing"]) == {"padded"} and set(table["dataset"]) == {"fairface"}


def test_unlabelled_and_missing_fairface_pictures_are_named(fairface: Path) -> None:
    assert index_folder(fairface).left_out == {
        str(fairface / "images/2.webp"): "no row in labels.csv",
        str(fairface / "images/9.webp"): "named in labels.csv but missing",
    }


def test_labels_without_race_are_all_age_faces(fairface: Path) -> None:
    (fairface / "labels.csv").write_text("file,age,gender\nimages/0.webp,12,female\n")
    table = index_folder(fairface).table
    assert (table["dataset"][0], table["age"][0], table["framing"][0]) == ("all-age-faces", 12, "padded")


def test_an_unknown_data_set_is_refused_with_the_known_ones(utkface: Path) -> None:
    with pytest.raises(DataError, match="choose from utkface, fairface, all-age-faces, adience, folders"):
        index_folder(utkface, "imdb")


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture with utkface labels"):
        index_folder(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        index_folder(tmp_path / "none")


def test_a_folder_without_labels_csv_is_no_fairface(utkface: Path) -> None:
    with pytest.raises(DataError, match=r"has no labels\.csv"):
        index_folder(utkface, "fairface")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("file,age,race\nimages/0.webp,3-9,White\n", "lacks the column 'gender'"),
        ("file,age,gender,race\nimages/0.webp,young,Male,White\n", "have 'young' where an age bin"),
        ("file,age,gender,race\nimages/0.webp,,Male,White\n", "have '' where an age bin"),
        ("", "is not a readable CSV file"),
    ],
)
def test_wrong_labels_are_refused_in_a_sentence(fairface: Path, labels: str, message: str) -> None:
    (fairface / "labels.csv").write_text(labels)
    with pytest.raises(DataError, match=message):
        index_folder(fairface)


def test_faces_load_from_a_folder_or_a_manifest(utkface: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "faces.csv"
    manifest.write_text("path,age\na.jpg,30\n")
    assert len(load_faces(utkface).table) == 5
    assert len(load_faces(manifest).table) == 1
