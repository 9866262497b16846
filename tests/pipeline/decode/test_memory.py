"""What photos in work may take of the memory, and what the process's settings must not change."""

import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from pictures import encode, portrait, sentence
from PIL import Image, ImageFile

from mien import Predictor
from mien.pipeline.decode.memory import MEMORY, MemoryBudget
from mien.pipeline.images import Pixels, read_photo, reading
from mien.predictor import LONGEST_SHAPE
from mien.results import Face

PHOTO = np.asarray(portrait())
JPEG = encode(portrait(), "JPEG", quality=95)


def in_a_thread(budget: MemoryBudget, size: int) -> tuple[threading.Thread, threading.Event]:
    """A thread that holds so many bytes for a moment, and the event of having done so."""
    done = threading.Event()

    def hold() -> None:
        with budget.hold(size):
            done.set()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    return thread, done


def test_what_does_not_fit_waits_until_there_is_room() -> None:
    budget = MemoryBudget(100)
    with budget.hold(70):
        fits, waits = in_a_thread(budget, 30), in_a_thread(budget, 31)
        assert fits[1].wait(10) and not waits[1].wait(0.1)
    assert waits[1].wait(10)
    waits[0].join(10)
    assert budget.used == 0


def test_what_is_larger_than_all_goes_alone() -> None:
    budget = MemoryBudget(100)
    with budget.hold(1):
        thread, done = in_a_thread(budget, 1000)
        assert not done.wait(0.1)
    assert done.wait(10)
    thread.join(10)


def test_room_is_given_back_after_a_failure() -> None:
    for source in (JPEG[:3000], b"nothing"):
        sentence(source)
    assert MEMORY.used == 0


def test_photo_in_work_counts_by_its_pixels() -> None:
    with reading(JPEG):
        used = MEMORY.used
    assert used >= 512 * 512 * 3 * 2
    with reading(encode(portrait().resize((1024, 1024)), "PNG")):
        assert MEMORY.used > 3 * used
    assert MEMORY.used == 0


def test_predictor_holds_a_photo_until_its_faces_are_found() -> None:
    held: list[int] = []

    class Watching:
        def detect(self, photo: Pixels) -> list[Face]:
            held.append(MEMORY.used)
            return []

    predictor = Predictor(detector=Watching(), rotate=False)
    predictor.predict(JPEG)
    list(predictor.predict_many([JPEG]))
    assert len(held) == 2 and min(held) > 0 and MEMORY.used == 0


def test_absurd_shapes_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor()
    monkeypatch.setattr(predictor.detector, "detect", None)
    assert not predictor.predict(np.zeros((10, 10 * LONGEST_SHAPE + 1, 3), np.uint8))


KINDS = ["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "AVIF", "JPEG2000", "HEIF"]


@pytest.mark.parametrize("kind", KINDS)
def test_settings_of_other_libraries_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(portrait(), kind)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_photo(data).width == 512
    assert "damaged or cut short" in sentence(data[: len(data) // 2])
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (True, 1000)


def test_settings_are_put_back_when_the_last_thread_is_done() -> None:
    filters, before = list(warnings.filters), (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
    threads = [threading.Thread(target=read_photo, args=(JPEG,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == filters
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_fork_while_another_thread_reads_does_not_hang() -> None:
    code = """
import io, os, signal, sys, threading
from PIL import Image
from mien.pipeline.decode.memory import MEMORY
from mien.pipeline.decode.settings import held
from mien.pipeline.images import read_photo
buffer = io.BytesIO()
Image.effect_noise((400, 400), 50).save(buffer, "TIFF", compression="tiff_lzw")
data = buffer.getvalue()
def work():
    while True:
        read_photo(data)
threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads: thread.start()
for _ in range(15):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        assert MEMORY.used == 0
        read_photo(data)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "the child hung or failed"
with held.__self__._lock:  # as another thread may have it in that moment
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        read_photo(data)
        os._exit(0)
assert os.waitpid(child, 0)[1] == 0, "the child waited for a lock"
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=300)


def test_tiffs_are_read_by_several_threads_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2)
    monkeypatch.setattr(
        "mien.pipeline.decode.picture.load_what_there_is",
        lambda image: (together.wait(20), (0, image.height))[1],
    )
    data = encode(portrait(), "TIFF")
    threads = [threading.Thread(target=read_photo, args=(data,), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not together.broken


def test_damaged_tiffs_leave_nothing_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    for compression in ("tiff_lzw", "jpeg", "tiff_deflate", "packbits"):
        data = bytearray(encode(portrait(), "TIFF", compression=compression))
        data[20:60] = bytes(40)
        data[len(data) // 2 : len(data) // 2 + 3000] = b"\xff" * 3000
        sentence(bytes(data))
    assert capfd.readouterr().err == ""
