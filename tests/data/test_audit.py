import json
from pathlib import Path

import pytest
from data_fakes import Draw, face_table, noise_in, utkface_in

from mien.data.audit import Audit, age_label, audit
from mien.data.report import report
from mien.data.sources import FaceSet, load_faces


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    return noise_in(tmp_path)


@pytest.fixture
def utkface(tmp_path: Path) -> Path:
    return utkface_in(tmp_path)


@pytest.fixture
def found(draw: Draw, tmp_path: Path) -> Audit:
    """Of seven pictures two are byte-identical, two near-identical and two unreadable."""
    paths = [
        draw("a.png", 1),
        draw("a-copy.png", 1),
        draw("b.png", 2),
        draw("b.jpg", 2, quality=50),
        draw("c.png", 3),
        tmp_path / "none.png",
        tmp_path / "broken.png",
    ]
    paths[6].write_bytes(b"no picture")
    return audit(
        FaceSet(
            face_table(
                paths,
                age=[20.0, 24.0, 30.0, 30.0, 20.0, 40.0, 40.0],
                gender=["male", "male", "female", "male", "", "male", "male"],
                split=["train", "train", "train", "test", "test", "train", "train"],
            )
        )
    )


def test_byte_identical_files_are_found_with_their_conflicting_ages(found: Audit) -> None:
    (group,) = found.identical
    assert [face["path"] for face in group.faces] == ["a.png", "a-copy.png"]
    assert group.conflicts == ("age",) and group.splits == ()


def test_near_identical_pictures_are_found_across_splits(found: Audit) -> None:
    (group,) = found.near_identical
    assert [face["path"] for face in group.faces] == ["b.png", "b.jpg"]
    assert group.conflicts == ("gender",) and group.splits == ("test", "train")


def test_unreadable_pictures_are_listed_with_the_reason(found: Audit) -> None:
    assert list(found.unreadable) == ["none.png", "broken.png"]
    assert "does not exist" in found.unreadable["none.png"]


def test_faces_are_counted_by_label(found: Audit) -> None:
    assert found.faces == 7
    assert found.counts["gender"] == {"female": 1, "male": 5, "unknown": 1}
    assert found.counts["split"] == {"test": 2, "train": 5}
    assert found.counts["age"] == {"20-29": 3, "30-39": 2, "40-49": 2}
    assert found.common_ages[0] == ("20", 2)


def test_age_bins_conflict_only_where_they_do_not_overlap(draw: Draw) -> None:
    bins = {"age_low": [20.0, 25.0, 30.0, 40.0], "age_high": [29.0, 25.0, 39.0, 49.0]}
    paths = [draw("a.png", 1), draw("b.png", 1), draw("c.png", 2), draw("d.png", 2)]
    table = face_table(paths).drop(columns="age").assign(age=float("nan"), **bins)
    overlapping, apart = audit(FaceSet(table)).identical
    assert overlapping.conflicts == () and apart.conflicts == ("age",)


def test_an_unknown_gender_conflicts_with_none(draw: Draw) -> None:
    table = face_table([draw("a.png", 1), draw("b.png", 1)], gender=["male", ""])
    assert audit(FaceSet(table)).identical[0].conflicts == ()


def test_misnamed_and_left_out_pictures_are_listed(utkface: Path) -> None:
    found = audit(load_faces(utkface))
    assert found.misnamed == {
        "24_0_1_20170116220224657 .jpg.chip.jpg": "misspelt extension",
        "39_1_20170116174525125.jpg.chip.jpg": "one field short, gender and race unknown",
        "55_0_0_20170116232725357jpg.chip.jpg": "misspelt extension",
    }
    assert found.left_out == {"holiday.jpg": "no labels in its name"}


def test_the_json_form_holds_summaries_and_members(found: Audit) -> None:
    data = json.loads(json.dumps(found.to_json()))
    assert data["faces"] == 7 and list(data["unreadable"]) == ["none.png", "broken.png"]
    identical = data["identical"]
    assert (identical["groups"], identical["faces"], identical["age_conflicts"]) == (1, 2, 1)
    assert identical["members"][0]["faces"][0] == {
        "path": "a.png",
        "age": "20",
        "gender": "male",
        "split": "train",
    }
    assert data["near_identical"]["across_splits"] == 1


def test_the_report_names_every_finding(found: Audit) -> None:
    text = report(found)
    assert "7 faces in " in text and "Unreadable pictures: 2\n  none.png: " in text
    assert "1 groups of 2 faces; 1 disagree in age, 0 in gender, 0 lie across splits" in text
    assert "  b.png (30, female, train) = b.jpg (30, male, test)" in text


def test_the_report_cuts_a_long_list_of_conflicts_and_says_so(draw: Draw) -> None:
    paths = [draw(f"{i}.png", i // 2) for i in range(14)]
    text = report(audit(FaceSet(face_table(paths, age=[float(i) for i in range(14)]))))
    assert text.count(" = ") == 5 and "… and 2 more (--json lists all)" in text


@pytest.mark.parametrize(("bounds", "text"), [((26, 26), "26"), ((20, 29), "20-29"), ((0.5, 0.5), "0.5")])
def test_ages_are_written_as_people_do(bounds: tuple[float, float], text: str) -> None:
    assert age_label(*bounds) == text
