import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mien.errors import MienError
from mien.files import refuse_overwriting, written_beside


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "notes.txt"
    with written_beside(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
        assert partial.parent == path.parent and partial.suffix == ".txt"
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_half_way_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), written_beside(path) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_behind_a_link_is_replaced(tmp_path: Path) -> None:
    path, link = tmp_path / "notes.txt", tmp_path / "link.txt"
    link.symlink_to(path)
    with written_beside(link) as partial:
        partial.write_text("whole")
    assert link.is_symlink() and path.read_text() == "whole"


def test_a_device_is_written_to_as_it_is() -> None:
    with written_beside(Path(os.devnull)) as partial:
        assert partial == Path(os.devnull)


def test_a_files_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    with written_beside(tmp_path / "a") as partial:
        partial.write_text("")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_an_input_is_known_by_any_name(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    read, other = tmp_path / "faces.csv", tmp_path / "other.csv"
    read.write_text("labels")
    link(other, read)
    with pytest.raises(MienError, match=r"other\.csv is read as .*faces\.csv and would be overwritten"):
        refuse_overwriting([None, other], [None, tmp_path / "missing.csv", read])


def test_what_is_no_input_may_be_written_over(tmp_path: Path) -> None:
    for name in ("faces.csv", "other.csv"):
        (tmp_path / name).write_text("same")
    refuse_overwriting([tmp_path / "other.csv", tmp_path / "new.csv"], [tmp_path / "faces.csv"])
