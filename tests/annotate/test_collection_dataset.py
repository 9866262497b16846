"""The tables of a collection: what is written when, and what a run that was killed leaves."""

import errno
import json
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from annotate_fakes import names, read, rows

from mien.annotate.dataset import Dataset
from mien.annotate.record import Record
from mien.annotate.schema import faces_schema, failed_rows
from mien.annotate.single_file import refuse_strangers, write_single
from mien.annotate.storage import storage_at
from mien.errors import AnnotationError, DataError, MienError

OPTIONS: dict[str, Any] = {"detector": "mien", "coverage": 0.9, "thresholds": [], "rotate": True}


def record(model: str = "abc", **options: Any) -> Record:
    return Record(OPTIONS | options, model, None, {"mien": "0"}, "cpu")


def collection(place: Path | str, made: Record | None = None) -> Dataset:
    return Dataset(storage_at(str(place)), made or record(), faces_schema())


def write(place: Path | str, *photos: str, **options: bool) -> Dataset:
    dataset = collection(place)
    with dataset.opened(**options):
        dataset.add([rows(photo) for photo in photos])
    return dataset


def test_rows_are_there_when_the_collection_is_closed(tmp_path: Path) -> None:
    write(tmp_path / "out", "a.jpg", "b.jpg")
    assert names(tmp_path / "out") == names(tmp_path / "out", "faces") == ["a.jpg", "b.jpg"]


def test_parts_are_written_while_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.annotate.dataset.MOST", 4)
    dataset = collection(tmp_path / "out")
    with dataset.opened():
        for i in range(5):
            dataset.add([rows(f"{i}.jpg")])
        assert names(tmp_path / "out") == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]


def test_what_was_looked_at_before_an_error_is_written(tmp_path: Path) -> None:
    dataset = collection(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt), dataset.opened():
        dataset.add([rows("a.jpg")])
        raise KeyboardInterrupt
    assert names(tmp_path / "out") == ["a.jpg"]


def test_nothing_is_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("out", "a.jpg")
    write("out", "a.jpg", "./a.jpg", str(tmp_path / "a.jpg"), "b.jpg", "b.jpg")
    assert names(tmp_path / "out") == names(tmp_path / "out", "faces") == ["a.jpg", "b.jpg"]


def test_photos_that_are_done_are_known_to_the_next_run(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    with collection(tmp_path).opened() as dataset:
        assert "a.jpg" in dataset.done and "b.jpg" not in dataset.done
        assert (dataset.counts.photos, dataset.counts.faces) == (1, 1)


def test_what_a_killed_run_left_half_done_is_removed(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    whole = tmp_path / "faces" / "part-000000.parquet"
    (tmp_path / "faces" / "part-000007.parquet").write_bytes(whole.read_bytes())
    (tmp_path / "photos" / ".part-000001.17.partial.parquet").write_bytes(b"PAR1")
    write(tmp_path, "b.jpg")
    assert names(tmp_path, "faces") == ["a.jpg", "b.jpg"]
    assert not list(tmp_path.rglob("*.partial*"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (record(coverage=0.8), "begun with --coverage 0.9, not with --coverage 0.8"),
        (record(thresholds=[18]), "begun with no --threshold, not with --threshold 18"),
        (record(rotate=False), "begun with --rotate, not with --no-rotate"),
        (record(model="xyz"), "another file of the model"),
    ],
)
def test_changed_options_are_refused_by_name(tmp_path: Path, changed: Record, words: str) -> None:
    write(tmp_path, "a.jpg")
    with pytest.raises(DataError, match=words), collection(tmp_path, changed).opened():
        pass
    write(tmp_path, "b.jpg")


@pytest.mark.parametrize("content", ["{}", "[]", "nonsense", '{"kind": "training"}'])
def test_a_record_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(DataError, match="something else"), collection(tmp_path).opened():
        pass


def test_a_folder_of_other_things_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(AnnotationError, match="not empty"), collection(tmp_path).opened():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(AnnotationError, match="is a file"), collection(tmp_path / "a.jpg").opened():
        pass


def test_a_second_run_is_refused_while_the_first_goes_on(tmp_path: Path) -> None:
    with (
        collection(tmp_path).opened(),
        pytest.raises(AnnotationError, match="Another run"),
        collection(tmp_path).opened(),
    ):
        pass
    write(tmp_path, "a.jpg")


def test_failed_photos_are_done_until_they_are_to_be_tried_again(tmp_path: Path) -> None:
    dataset = collection(tmp_path)
    with dataset.opened():
        dataset.add([rows("a.jpg"), failed_rows("b.jpg", "It is broken.")])
    assert list(dataset.failures(9)) == [("b.jpg", "It is broken.")]
    with collection(tmp_path).opened() as dataset:
        assert "b.jpg" in dataset.done
    write(tmp_path, "b.jpg", retry_failed=True)
    assert names(tmp_path) == names(tmp_path, "faces") == ["a.jpg", "b.jpg"]
    assert read(tmp_path, "photos")["error"].to_pylist() == [None, None]


def test_a_full_disk_is_said_and_the_rows_come_with_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", _full_after(tmp_path / "photos"))
        with pytest.raises(AnnotationError, match=r"No space left on device.*run the same command") as stop:
            write(tmp_path, "b.jpg")
    assert stop.value.exit_status == 1
    write(tmp_path, "b.jpg")
    assert names(tmp_path) == names(tmp_path, "faces") == ["a.jpg", "b.jpg"]


def _full_after(folder: Path) -> Any:
    """Write, but not into one folder."""
    ordinary = Path.write_bytes

    def write_bytes(path: Path, data: bytes) -> int:
        if path.parent == folder:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return ordinary(path, data)

    return write_bytes


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    (tmp_path / "photos" / "part-000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(MienError, match=r"photos/part-000000\.parquet is damaged"):
        write(tmp_path, "b.jpg")


def test_the_record_counts(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "b.jpg")
    counts = json.loads((tmp_path / "run.json").read_text())["counts"]
    assert counts == {"photos": 2, "failed": 0, "without_faces": 0, "faces": 2}


def test_the_record_says_whether_the_run_came_to_its_end(tmp_path: Path) -> None:
    def finished() -> bool:
        return bool(json.loads((tmp_path / "run.json").read_text())["finished"])

    write(tmp_path, "a.jpg")
    assert finished()
    with pytest.raises(KeyboardInterrupt), collection(tmp_path).opened() as dataset:
        dataset.add([rows("b.jpg")])
        raise KeyboardInterrupt
    assert not finished()
    write(tmp_path, "a.jpg", "b.jpg")
    assert finished()


def test_a_collection_in_a_store_is_the_same() -> None:
    write("memory://collections/one", "a.jpg")
    write("memory://collections/one", "a.jpg", "b.jpg")
    store = fsspec.filesystem("memory")
    assert len(store.glob("/collections/one/photos/part-*.parquet")) == 2
    assert not store.exists("/collections/one/.lock")


def test_a_lock_in_a_store_keeps_others_away() -> None:
    with (
        collection("memory://collections/two").opened(),
        pytest.raises(AnnotationError, match="Another run"),
        collection("memory://collections/two").opened(),
    ):
        pass


def test_a_lock_that_a_killed_run_left_in_a_store_gives_way() -> None:
    fsspec.filesystem("memory").pipe("/collections/three/.lock", b"1000.0")
    write("memory://collections/three", "a.jpg")


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_the_faces_as_one_file(tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"faces.{ending}"
    dataset = collection(f"{output}.run")
    for photo in ("a.jpg", "b.jpg"):
        with dataset.opened():
            dataset.add([rows(photo, faces=2)])
    write_single(str(output), dataset, faces_schema())
    readers: dict[str, Any] = {"parquet": _parquet, "csv": _csv, "jsonl": _json_lines}
    found = readers[ending](output)
    assert [(face["photo"], float(face["age"])) for face in found] == [
        (photo, age) for photo in ("a.jpg", "b.jpg") for age in (30, 31)
    ]


def _parquet(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.parquet.read_table(path).to_pylist()
    return rows


def _csv(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.csv.read_csv(path).to_pylist()
    assert all(json.loads(face["flags"]) == [] for face in rows)
    return rows


def _json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "faces.csv").mkdir()
    with pytest.raises(AnnotationError, match=r"faces\.csv is a folder"):
        refuse_strangers(str(tmp_path / "faces.csv"), collection(tmp_path / "faces.csv.run"))


def test_a_file_without_its_run_is_not_written_over(tmp_path: Path) -> None:
    output = tmp_path / "faces.csv"
    output.write_text("precious")
    with pytest.raises(AnnotationError, match=r"faces\.csv exists"):
        refuse_strangers(str(output), collection(f"{output}.run"))
