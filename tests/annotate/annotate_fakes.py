"""Rows, photos and lookers for the tests of annotation."""

import os
import shutil
import signal
import time
from pathlib import Path

import pyarrow as pa
from pyarrow import dataset

from mien.annotate.items import Item
from mien.annotate.schema import Rows, failed_rows

PHOTOS = Path(__file__).parents[1] / "photos"
"""Official portraits, in the public domain."""


def rows(name: str, faces: int = 1) -> Rows:
    """Rows of a photo with some faces."""
    photo = {"photo": name, "width": 64, "height": 48, "faces": faces, "error": None, "seconds": 0.5}
    return Rows(photo, [{"photo": name, "index": i, "age": 30.0 + i, "flags": []} for i in range(faces)])


def copies(folder: Path, number: int) -> Path:
    """A folder with so many portraits."""
    portraits = sorted(PHOTOS.glob("*.jpg"))
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(number):
        shutil.copy(portraits[i % len(portraits)], folder / f"{i:04}.jpg")
    return folder


def read(folder: Path, table: str) -> pa.Table:
    """A table of a collection, without what differs from run to run, in the order of the photos."""
    found = dataset.dataset(folder / table, format="parquet").to_table()
    if table == "photos":
        return found.drop(["seconds"]).sort_by("photo")
    return found.sort_by([("photo", "ascending"), ("index", "ascending")])


def names(folder: Path, table: str = "photos") -> list[str]:
    """The photos in a table, in their order."""
    return list(read(folder, table)["photo"].to_pylist())


class Trap:
    """A looker whose process ends, or hangs, at photos that say so."""

    def look(self, item: Item) -> Rows:
        if "endless" in item.name:
            time.sleep(600)
        if "deadly" in item.name:
            os.kill(os.getpid(), signal.SIGKILL)
        if "broken" in item.name:
            return failed_rows(item.name, "It is broken.")
        return rows(item.name)


class NeverStarts:
    """A looker that cannot be loaded."""

    def __init__(self) -> None:
        os._exit(1)

    def look(self, item: Item) -> Rows:
        raise AssertionError("was never loaded")
