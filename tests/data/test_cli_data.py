import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from data_fakes import Draw, fairface_in, noise_in, utkface_in
from typer.testing import CliRunner, Result

from mien.cli.data import app
from mien.errors import DataError


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    return noise_in(tmp_path)


@pytest.fixture
def utkface(tmp_path: Path) -> Path:
    return utkface_in(tmp_path)


@pytest.fixture
def fairface(tmp_path: Path) -> Path:
    return fairface_in(tmp_path)


def mien_data(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def manifest(draw: Draw, tmp_path: Path) -> Path:
    for i in range(8):
        draw(f"{i}.png", i // 2)
    path = tmp_path / "faces.csv"
    rows = "".join(f"{i}.png,{20 + i},{('male', 'female')[i % 2]}\n" for i in range(8))
    path.write_text("path,age,gender\n" + rows)
    return path


def test_index_writes_a_manifest_and_names_what_it_left_out(utkface: Path, tmp_path: Path) -> None:
    result = mien_data("index", utkface, "--output", tmp_path / "m.csv")
    assert result.exit_code == 1
    assert list(pd.read_csv(tmp_path / "m.csv")["age"]) == [1, 24, 26, 39, 55]
    assert "3 misnamed, but indexed:" in result.stderr
    assert "1 left out:" in result.stderr and "holiday.jpg: no labels in its name" in result.stderr
    assert result.stdout.startswith("5 faces of utkface: ")


def test_index_names_ten_pictures_and_counts_the_rest(utkface: Path, draw: Draw, tmp_path: Path) -> None:
    for i in range(14):
        draw(f"UTKFace/stranger{i}.jpg", i)
    result = mien_data("index", utkface, "--output", tmp_path / "m.csv")
    assert "15 left out:" in result.stderr and "… and 5 more" in result.stderr
    assert result.stderr.count("no labels in its name") == 10


def test_index_takes_a_table_of_ones_own(manifest: Path, tmp_path: Path) -> None:
    rows = "".join(f"{i}.png;{20 + i};{i % 2}\n" for i in range(9))
    manifest.write_text("image_of;Age;Sex\n" + rows)
    options = ("--column", "path=image_of", "--value", "gender:0=male", "--value", "gender:1=female")
    result = mien_data("index", manifest, *options, "--output", tmp_path / "m.csv")
    assert result.exit_code == 1 and "8 faces of faces.csv" in result.stdout
    assert "8.png: missing" in result.stderr
    assert list(pd.read_csv(tmp_path / "m.csv")["gender"])[:2] == ["male", "female"]


def test_index_names_the_data_sets_it_knows(tmp_path: Path) -> None:
    result = mien_data("index", tmp_path, "--dataset", "list", "--output", tmp_path / "m.csv")
    assert result.stdout.split() == ["utkface", "fairface", "all-age-faces", "adience", "folders"]


def test_split_says_where_a_part_is_far_from_what_was_asked_for(manifest: Path, tmp_path: Path) -> None:
    table = pd.read_csv(manifest).assign(group=["one"] * 6 + ["other"] * 2)
    table.to_csv(manifest, index=False)
    result = mien_data("split", manifest, "--validation", 0.5, "--output", tmp_path / "m.csv")
    assert "faces where 50 % were asked for" in result.stderr and "the largest of 6 faces" in result.stderr


def test_audit_writes_a_manifest_without_what_cannot_be_read(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "3.png").write_bytes(b"no picture")
    result = mien_data("audit", manifest, "--output", tmp_path / "clean.csv")
    assert result.exit_code == 1 and "7 of 8 faces" in result.stderr
    assert "3.png" not in list(pd.read_csv(tmp_path / "clean.csv")["path"])
    assert mien_data("split", tmp_path / "clean.csv", "--output", tmp_path / "m.csv").exit_code == 0


def test_split_names_a_group_that_is_suspiciously_large(draw: Draw, tmp_path: Path) -> None:
    for i in range(30):
        draw(f"{i}.png", max(0, i - 22))
    rows = "".join(f"{i}.png,{20 + i}\n" for i in range(30))
    (tmp_path / "m.csv").write_text("path,age\n" + rows)
    result = mien_data("split", tmp_path / "m.csv", "--output", tmp_path / "split.csv")
    assert "23 of 30 faces are in one group" in result.stderr


def test_index_exits_with_0_where_nothing_is_left_out(utkface: Path, tmp_path: Path) -> None:
    (utkface / "holiday.jpg").unlink()
    assert mien_data("index", utkface, "--output", tmp_path / "m.csv").exit_code == 0


def test_index_takes_the_data_sets_name(fairface: Path, tmp_path: Path) -> None:
    result = mien_data("index", fairface, "--dataset", "fairface", "--output", tmp_path / "m.csv")
    assert "2 faces of fairface" in result.stdout
    assert list(pd.read_csv(tmp_path / "m.csv")["age_low"]) == [3, 70]


def test_audit_prints_a_report(manifest: Path) -> None:
    result = mien_data("audit", manifest)
    assert result.exit_code == 0
    assert "Byte-identical files: 4 groups of 8 faces; 4 disagree in age, 4 in gender" in result.stdout


def test_audit_json_is_clean(manifest: Path) -> None:
    result = mien_data("audit", manifest, "--json")
    assert json.loads(result.stdout)["identical"]["groups"] == 4 and result.stderr == ""


def test_audit_exits_with_1_where_a_picture_is_unreadable(manifest: Path) -> None:
    (manifest.parent / "0.png").write_bytes(b"")
    result = mien_data("audit", manifest)
    assert result.exit_code == 1 and "Unreadable pictures: 1\n  0.png: " in result.stdout


def test_audit_prints_names_that_are_not_utf8(draw: Draw, tmp_path: Path) -> None:
    try:
        draw("raw/26_1_0_20170116184024662\udce9.jpg", 1)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    draw("raw/26_1_0_20170116184024662.jpg", 1)
    assert r"\udce9.jpg: no labels in its name" in mien_data("audit", tmp_path / "raw").stdout


def test_show_draws_a_sheet_of_chosen_faces(manifest: Path, tmp_path: Path) -> None:
    result = mien_data(
        "show", manifest, "--output", tmp_path / "s.png", "--age", "20-25", "--gender", "female"
    )
    assert result.exit_code == 0 and (tmp_path / "s.png").stat().st_size > 0
    assert result.stdout.startswith("faces.csv · age 20-25 · female · 3 faces: ")


def test_show_names_unreadable_pictures_and_draws_the_rest(manifest: Path, tmp_path: Path) -> None:
    (manifest.parent / "0.png").unlink()
    result = mien_data("show", manifest, "--output", tmp_path / "s.png")
    assert result.exit_code == 1 and (tmp_path / "s.png").exists()
    assert "1 unreadable:" in result.stderr and "0.png" in result.stderr


def test_show_plots_ages_and_genders(manifest: Path, tmp_path: Path) -> None:
    assert mien_data("show", manifest, "--plots", "--output", tmp_path / "p.svg").exit_code == 0
    assert "<svg" in (tmp_path / "p.svg").read_text()


def test_split_carves_a_validation_part_out_of_any_manifest(manifest: Path, tmp_path: Path) -> None:
    result = mien_data("split", manifest, "--validation", 0.5, "--output", tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv")
    assert result.exit_code == 0
    assert set(table["split"]) == {"train", "validation"}
    assert (table.groupby("group")["split"].nunique() == 1).all()


def test_split_writes_folds(manifest: Path, tmp_path: Path) -> None:
    result = mien_data("split", manifest, "--folds", 2, "--stratify", "--output", tmp_path / "s.csv")
    assert result.exit_code == 0
    parts = [pd.read_csv(tmp_path / f"s-{i}.csv")["split"] == "test" for i in (1, 2)]
    assert (parts[0] != parts[1]).all()
    assert result.stdout.count("test 4") == 2 and not (tmp_path / "s.csv").exists()


def test_folds_have_no_other_test_part(manifest: Path, tmp_path: Path) -> None:
    result = mien_data("split", manifest, "--folds", 2, "--test", 0.2, "--output", tmp_path / "s.csv")
    assert result.exit_code == 2 and "leave out" in result.stderr


def test_genders_alone_are_audited_and_shown(manifest: Path, tmp_path: Path) -> None:
    table = pd.read_csv(manifest).drop(columns="age")
    table.to_csv(manifest, index=False)
    assert "unknown 8" in mien_data("audit", manifest).stdout
    for options in ((), ("--plots",)):
        assert mien_data("show", manifest, *options, "--output", tmp_path / "s.png").exit_code == 0


def test_an_audit_names_a_group_that_is_suspiciously_large(draw: Draw, tmp_path: Path) -> None:
    for i in range(30):
        draw(f"{i}.png", 0 if i < 23 else i, size=64 + i)
    (tmp_path / "m.csv").write_text("path,age\n" + "".join(f"{i}.png,{20 + i}\n" for i in range(30)))
    assert (
        "23 of 30 faces count as one near-identical picture" in mien_data("audit", tmp_path / "m.csv").stdout
    )


def test_split_reports_training_pictures_that_are_test_pictures(manifest: Path, tmp_path: Path) -> None:
    table = pd.read_csv(manifest).assign(split=["test"] + [""] * 7)
    table.to_csv(manifest, index=False)
    result = mien_data("split", manifest, "--output", tmp_path / "s.csv")
    assert "1 in train or validation, byte-identical to a test picture:" in result.stderr
    assert "test 1" in result.stdout


def test_split_classic_refuses_a_part_without_names(utkface: Path, tmp_path: Path) -> None:
    result = mien_data("split", utkface, "--protocol", "classic", "--output", tmp_path / "s.csv")
    assert isinstance(result.exception, DataError) and "--names" in str(result.exception)
    assert not (tmp_path / "s.csv").exists()


def test_split_classic_takes_a_list_of_names(utkface: Path, tmp_path: Path) -> None:
    own = [path.name for path in utkface.iterdir() if path.name != "holiday.jpg"]
    others = [f"{i % 90}_0_0_{20170116000000000 + i}.jpg.chip.jpg" for i in range(23_708 - len(own))]
    (tmp_path / "names.txt").write_text("\n".join(own + others))
    arguments = ("--protocol", "classic", "--names", tmp_path / "names.txt", "--output", tmp_path / "s.csv")
    assert "holiday.jpg: no labels" in mien_data("split", utkface, *arguments).stderr
    assert len(pd.read_csv(tmp_path / "s.csv")) == 5


def test_the_commands_help_does_without_pandas() -> None:
    heavy = {"pandas", "sklearn", "scipy", "matplotlib", "cv2"}
    code = f"import sys, mien, mien.cli.data; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
