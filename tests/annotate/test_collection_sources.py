"""What the sources of a command stand for."""

import io
import os
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from mien.annotate.items import Item
from mien.annotate.sources import FolderSource, find_sources
from mien.errors import DataError


def items(*texts: str | Path, separator: bytes = b"\n") -> list[Item]:
    sources = find_sources(map(str, texts), separator=separator)
    return [item for source in sources for item in source.items(lambda name: True)]


def names(*texts: str | Path, separator: bytes = b"\n") -> list[str]:
    return [item.name for item in items(*texts, separator=separator)]


def fill(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(file.encode())
    return folder


def relative(found: Iterable[str], folder: Path) -> list[str]:
    return [os.path.relpath(name, folder) for name in found]


def zipped(path: Path, *members: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, member)
    return path


def tarred(path: Path, *members: str) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        for member in members:
            info = tarfile.TarInfo(member)
            info.size = len(member.encode())
            archive.addfile(info, io.BytesIO(member.encode()))
    return path


def test_a_folder_stands_for_the_photos_in_it_and_below(tmp_path: Path) -> None:
    fill(tmp_path, "b.JPG", "a.heic", "notes.txt", "sub/c.png", "._b.jpg", ".thumbnails/d.jpg")
    assert relative(names(tmp_path), tmp_path) == ["a.heic", "b.JPG", "sub/c.png"]


def test_links_in_a_circle_are_survived(tmp_path: Path) -> None:
    fill(tmp_path, "sub/a.jpg")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "sub" / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "twin").symlink_to(tmp_path / "sub")
    assert relative(names(tmp_path), tmp_path) == ["sub/a.jpg", "sub/self.jpg"]


def test_a_linked_folder_is_read(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "a.jpg")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "elsewhere")
    assert relative(names(tmp_path / "here"), tmp_path) == ["here/link/a.jpg"]


def test_a_path_is_the_same_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fill(tmp_path, "photos/a.jpg"))
    assert names("photos") == names("./photos/") == names("photos/../photos") == ["photos/a.jpg"]


def test_a_file_is_looked_at_whatever_its_name(tmp_path: Path) -> None:
    assert len(names(fill(tmp_path, "photo") / "photo")) == 1


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg"]),
        ("**/*", ["a.jpg", "sub/b.png"]),
        ("su?", ["sub/b.png"]),
        ("[x].jpg", ["[x].jpg"]),
    ],
)
def test_patterns_are_expanded(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    fill(tmp_path, "a.jpg", "notes.txt", "sub/b.png", *(["[x].jpg"] if "[" in pattern else []))
    assert sorted(relative(names(tmp_path / pattern), tmp_path)) == expected


def test_a_list_has_a_path_on_each_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fill(tmp_path, "folder/a.jpg"))
    Path("list.txt").write_bytes(b"folder\n\nmissing.jpg\r\n@odd.jpg\nno*.jpg")
    assert names("@list.txt") == ["folder/a.jpg", "missing.jpg", "@odd.jpg", "no*.jpg"]


def test_standard_input_is_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb.jpg\0c.jpg\0")))
    assert names("-", separator=b"\0") == ["a\nb.jpg", "c.jpg"]


def test_names_that_are_no_text_can_be_written_to_tables(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with open(odd, "wb") as file:
        file.write(b"x")
    [item] = items(tmp_path)
    assert item.name.endswith("caf\\udce9.jpg") and item.place == os.fsdecode(odd)


@pytest.mark.parametrize("make", [zipped, tarred])
def test_archives_are_read_without_unpacking(tmp_path: Path, make: Callable[..., Path]) -> None:
    ending = ".zip" if make is zipped else ".tgz"
    archive = make(tmp_path / f"album{ending}", "./sub/a.jpg", "notes.txt", "__MACOSX/._a.jpg", "b.png")
    found = items(archive)
    assert [item.name for item in found] == [f"{archive}/sub/a.jpg", f"{archive}/b.png"]
    assert [item.data for item in found] == [b"./sub/a.jpg", b"b.png"]
    assert list(tmp_path.iterdir()) == [archive]


def test_members_that_are_done_are_not_read(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", "a.jpg", "b.jpg")
    [source] = find_sources([str(archive)])
    assert [item.name for item in source.items(lambda name: name.endswith("b.jpg"))] == [f"{archive}/b.jpg"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz", "a.parquet"])
@pytest.mark.parametrize("content", [b"", b"nonsense" * 99])
def test_a_broken_archive_is_one_item_with_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    [item] = items(tmp_path / name)
    assert item.name == str(tmp_path / name) and item.error is not None and "\n" not in item.error


def test_what_can_be_read_of_a_cut_archive_is(tmp_path: Path) -> None:
    archive = tarred(tmp_path / "a.tar", "a.jpg", "b.jpg")
    archive.write_bytes(archive.read_bytes()[:1538])
    first, last = items(archive)
    assert first.data == b"a.jpg" and last.error is not None


def test_a_table_holds_photos_as_hugging_face_writes_them(tmp_path: Path) -> None:
    image = [{"bytes": b"1", "path": None}, {"bytes": None, "path": "x.jpg"}, None]
    parquet.write_table(pa.table({"label": [1, 2, 3], "image": image}), tmp_path / "t.parquet")
    first, second, third = items(tmp_path / "t.parquet")
    assert (first.name, first.data) == (f"{tmp_path}/t.parquet/0", b"1")
    assert (second.name, second.place) == ("x.jpg", "x.jpg")
    assert third.error is not None


def test_a_table_may_hold_paths(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"id": [1], "file_name": ["a.jpg"]}), tmp_path / "t.parquet")
    assert names(tmp_path / "t.parquet") == ["a.jpg"]


def test_a_table_without_photos_is_named_with_its_columns(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"id": [1], "age": [3]}), tmp_path / "t.parquet")
    [item] = items(tmp_path / "t.parquet")
    assert item.error is not None and "id, age" in item.error


def test_addresses_are_read_by_fsspec() -> None:
    store = fsspec.filesystem("memory")
    store.pipe({"/album/a.jpg": b"a", "/album/sub/b.png": b"b", "/album/notes.txt": b"c"})
    [first, second] = items("memory://album")
    assert [first.name, second.name] == ["memory://album/a.jpg", "memory://album/sub/b.png"]
    assert getattr(first.source(), "data", None) == b"a"
    assert names("memory://album/*.png") == ["memory://album/sub/b.png"]


def test_file_addresses_are_paths(tmp_path: Path) -> None:
    fill(tmp_path, "a b.jpg")
    assert names(f"file://{tmp_path}/a%20b.jpg") == [f"{tmp_path}/a b.jpg"]


@pytest.mark.parametrize("text", ["nowhere", "nowhere/*.jpg", "@nowhere.txt", "nonsense://x/a", "a\0b"])
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(DataError) as refusal:
        items(text)
    assert str(refusal.value).endswith(".")


def test_a_folder_that_may_not_be_read_is_an_item_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "a.jpg", "closed/b.jpg")
    scan = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = items(tmp_path)
    assert [item.error for item in found] == [
        None,
        f"The folder {tmp_path}/closed cannot be read (Permission denied).",
    ]


part = st.from_regex(r"[.]?[a-zé _]{1,3}([.](jpg|JPEG|txt|png))?", fullmatch=True)
trees = st.sets(st.lists(part, min_size=1, max_size=3).map("/".join), max_size=12)


@given(trees)
def test_folders_and_archives_with_the_same_files_hold_the_same_photos(tree: set[str]) -> None:
    files = {name for name in tree if not any(other.startswith(name + "/") for other in tree)}
    expected = {
        name
        for name in files
        if name.lower().endswith((".jpg", ".jpeg", ".png"))
        and not any(p.startswith(".") for p in name.split("/"))
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fill(folder / "photos", *files)
        (folder / "photos").mkdir(exist_ok=True)
        archives = [zipped(folder / "a.zip", *files), tarred(folder / "a.tar", *files)]
        for source in (folder / "photos", *archives):
            found = relative(names(source), source)
            assert sorted(found) == sorted(expected)
        assert FolderSource(str(folder / "photos")).count() == len(expected)
