"""Processes that look at photos, and photos that end them."""

import pytest
from annotate_fakes import NeverStarts, Trap

from mien.annotate.items import Item
from mien.annotate.local import batches, look_locally
from mien.annotate.worker import Worker
from mien.errors import MienError


def photos(*names: str) -> list[Item]:
    return [Item(name, name) for name in names]


def test_a_photo_that_ends_the_process_is_a_row_and_the_rest_goes_on() -> None:
    found = [
        row
        for rows in look_locally(photos("a", "b", "deadly", "c", "d", "broken", "e"), Trap, 2)
        for row in rows
    ]
    assert sorted(row.name for row in found) == ["a", "b", "broken", "c", "d", "deadly", "e"]
    errors = {row.name: row.photo["error"] for row in found if row.failed}
    assert errors["broken"] == "It is broken."
    assert errors["deadly"].startswith("deadly ended the process")


def test_a_photo_that_takes_too_long_is_a_row_and_the_rest_goes_on() -> None:
    worker = Worker(Trap, time_limit=1)
    found = worker.look(photos("a", "endless", "b", "deadly", "endless too", "c"))
    worker.close()
    assert [row.name for row in found] == ["a", "endless", "b", "deadly", "endless too", "c"]
    errors = {row.name: str(row.photo["error"]) for row in found if row.failed}
    assert sorted(errors) == ["deadly", "endless", "endless too"]
    assert errors["endless"] == "endless took longer than 1 s; save it anew, or leave it out."


def test_workers_that_cannot_start_blame_no_photo() -> None:
    worker = Worker(NeverStarts)
    with pytest.raises(MienError, match="cannot be started"):
        worker.look(photos("a"))
    worker.close()


def test_handfuls_are_bounded_in_photos_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.annotate.local.BYTES", 10)
    light, heavy = photos(*"abc"), [Item("x", data=b"x" * 9), Item("y", data=b"y" * 9), Item("z", data=b"z")]
    assert [len(batch) for batch in batches([*light, *heavy], 2)] == [2, 2, 2]
    assert [len(batch) for batch in batches(heavy, 9)] == [2, 1]
