"""The predictor: photos in, estimates out, one by one and as a stream."""

import itertools
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_model import SIZE

from mien import Predictor
from mien.errors import DetectorError, ImageError, ModelError
from mien.pipeline import map_ahead
from mien.pipeline.align import extract_chip, transform_of_crop
from mien.pipeline.images import EncodedPhoto, PhotoSource, Pixels, read_photo
from mien.pipeline.intervals import median_age
from mien.pipeline.model import Model
from mien.processors import processors
from mien.results import Box, Face


class FakeDetector:
    """Gives the same boxes for every photo, and counts the photos it has seen."""

    def __init__(self, *boxes: Box) -> None:
        self.boxes = boxes
        self.seen = 0
        self._lock = threading.Lock()

    def detect(self, photo: Pixels) -> list[Face]:
        with self._lock:
            self.seen += 1
        return [Face(box, 1.0) for box in self.boxes]


class CountingModel(Model):
    """Notes how many chips each run was given."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.runs: list[int] = []

    def run(self, chips: Pixels) -> Any:
        self.runs.append(len(chips))
        return super().run(chips)


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return Predictor(tiny_model)


def grey(value: int = 100, width: int = 200, height: int = 150) -> Pixels:
    return np.full((height, width, 3), value, np.uint8)


def test_the_example_has_one_estimate(predictor: Predictor, astronaut: Path) -> None:
    (estimate,) = predictor.predict(astronaut)
    assert estimate.box.width == pytest.approx(90, abs=10)
    assert 0 <= estimate.age.low <= estimate.age.years <= estimate.age.high <= 100
    assert estimate.age.coverage == 0.9
    assert estimate.flags == ()


def test_every_kind_of_source_gives_the_same(predictor: Predictor, astronaut: Path) -> None:
    expected = predictor.predict(astronaut).faces
    with Image.open(astronaut) as image:
        data, pixels = astronaut.read_bytes(), np.asarray(image)
        sources: list[PhotoSource] = [str(astronaut), data, bytearray(data), memoryview(data), image, pixels]
        assert all(predictor.predict(source).faces == expected for source in sources)


def test_photo_without_a_face_gives_an_empty_result(predictor: Predictor) -> None:
    result = predictor.predict(grey())
    assert not result and len(result) == 0


def test_unreadable_photo_raises(predictor: Predictor) -> None:
    with pytest.raises(ImageError, match=r"no\.jpg does not exist"):
        predictor.predict("no.jpg")


def test_faces_come_largest_first(tiny_model: Path) -> None:
    boxes = Box(0, 0, 70, 70), Box(90, 0, 180, 90), Box(0, 80, 65, 145)
    estimates = Predictor(tiny_model, FakeDetector(*boxes)).predict(grey())
    assert [estimate.box for estimate in estimates] == [boxes[1], boxes[0], boxes[2]]


def test_years_are_the_median_of_the_distribution(tiny_model: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    (estimate,) = Predictor(tiny_model).predict(photo, faces="aligned")
    probabilities, p_female = Model(tiny_model).run(photo[None])
    assert estimate.age.years == pytest.approx(float(median_age(probabilities)[0]))
    assert estimate.gender.p_female == pytest.approx(float(p_female[0]))


def test_aligned_photo_is_one_face_that_fills_it(predictor: Predictor) -> None:
    (estimate,) = predictor.predict(grey(width=120, height=100), faces="aligned")
    assert estimate.box == Box(0, 0, 120, 100)
    assert estimate.detection_score == 1
    assert estimate.flags == ("blurred",)


def test_framing_changes_the_crop(predictor: Predictor, astronaut: Path) -> None:
    with Image.open(astronaut) as image:
        crop = np.asarray(image.crop((156, 56, 286, 186)))
    (utkface,) = predictor.predict(crop, faces="aligned")
    (padded,) = predictor.predict(crop, faces="aligned", framing="padded")
    assert utkface.box == padded.box
    assert utkface.age != padded.age


@pytest.mark.parametrize("choice", [{"faces": "all"}, {"framing": "loose"}])
def test_unknown_choices_are_refused_at_once(predictor: Predictor, choice: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        predictor.predict(grey(), **choice)
    with pytest.raises(ValueError, match="must be one of"):
        predictor.predict_many([], **choice)


def test_wider_coverage_gives_wider_intervals(tiny_model: Path, astronaut: Path) -> None:
    narrow, wide = (Predictor(tiny_model, coverage=c).predict(astronaut)[0].age for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.years == narrow.years


def test_coverage_outside_the_calibration_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ValueError, match=r"between 0\.5 and 0\.99"):
        Predictor(tiny_model, coverage=0.3)


def test_coverage_of_one_call_overrides_the_predictors(predictor: Predictor, astronaut: Path) -> None:
    [narrow] = predictor.predict(astronaut, coverage=0.5)
    [own] = predictor.predict(astronaut)
    assert narrow.age.coverage == 0.5 and own.age.coverage == 0.9
    assert own.age.low < narrow.age.low and narrow.age.high < own.age.high


def test_thresholds_are_answered_by_the_mass_from_each_age_on(tiny_model: Path, astronaut: Path) -> None:
    model = Model(tiny_model)
    photo = read_photo(astronaut)
    [face] = Predictor(model).predict(photo, faces="aligned", thresholds=[40, 18, 18])
    chip = extract_chip(photo.pixels, transform_of_crop(512, 512), SIZE)
    mass = model.run(chip[None])[0][0]
    assert [threshold for threshold, _ in face.age.at_least] == [18, 40]
    assert [p for _, p in face.age.at_least] == pytest.approx([mass[18:].sum(), mass[40:].sum()])


def test_streams_answer_thresholds_too(predictor: Predictor, astronaut: Path) -> None:
    [result] = predictor.predict_many([astronaut], coverage=0.6, thresholds=(21,))
    assert [*result.to_json()["faces"][0]["age"]] == ["years", "low", "high", "coverage", "at_least"]
    assert result.faces == tuple(predictor.predict(astronaut, coverage=0.6, thresholds=(21,)))


@pytest.mark.parametrize("question", [{"coverage": 1.5}, {"thresholds": [0]}, {"thresholds": [18.5]}])
def test_questions_that_cannot_be_answered_are_refused_at_once(
    predictor: Predictor, question: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"got (1\.5|0|18\.5)$"):
        predictor.predict_many([], **question)


def test_missing_model_and_detector_are_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError):
        Predictor("no.onnx")
    with pytest.raises(DetectorError):
        Predictor(tiny_model, "no-such")


def test_stream_keeps_order_and_reports_bad_photos(predictor: Predictor, astronaut: Path) -> None:
    photos = [astronaut, "no.jpg", grey(), b"text", EncodedPhoto("upload", astronaut.read_bytes()), 3]
    results = list(predictor.predict_many(photos))  # type: ignore[arg-type]  # 3 is no photo, on purpose
    assert [result.photo for result in results] == [
        str(astronaut),
        "no.jpg",
        "<image>",
        "<bytes>",
        "upload",
        "<int>",
    ]
    assert [len(result.faces) for result in results] == [1, 0, 0, 0, 1, 0]
    assert [result.error is None for result in results] == [True, False, True, False, True, False]
    assert (results[0].width, results[0].height) == (512, 512)


def test_stream_gives_what_single_photos_give_to_the_last_digit(tiny_model: Path) -> None:
    predictor = Predictor(tiny_model, FakeDetector(Box(0, 0, 100, 100), Box(20, 20, 80, 80)))
    photos = [grey(i) for i in range(0, 250, 5)]
    assert list(predictor.predict_many(photos)) == [predictor.predict(photo) for photo in photos]


def test_stream_looks_at_as_many_photos_at_once_as_there_are_processors(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Meeting:
        """A detector that answers only once three photos are there."""

        there = threading.Barrier(3, timeout=30)

        def detect(self, photo: Pixels) -> list[Face]:
            self.there.wait()
            return []

    monkeypatch.setattr(map_ahead, "processors", lambda: 3)
    predictor = Predictor(tiny_model, Meeting(), rotate=False)
    assert len(list(predictor.predict_many([grey()] * 6))) == 6


def test_the_faces_of_a_photo_go_through_the_model_at_once(tiny_model: Path) -> None:
    model = CountingModel(tiny_model)
    Predictor(model, FakeDetector(Box(0, 0, 100, 100), Box(20, 20, 80, 80))).predict(grey())
    assert model.runs == [2]


def test_stream_is_lazy(tiny_model: Path) -> None:
    detector = FakeDetector()
    predictor = Predictor(tiny_model, detector, rotate=False)
    stream = predictor.predict_many(itertools.repeat(grey()))
    assert detector.seen == 0
    next(stream)
    assert 1 <= detector.seen <= 2 * processors() + 1
    stream.close()  # type: ignore[attr-defined]  # it is a generator


def test_error_of_the_photos_own_iterator_is_passed_on(predictor: Predictor) -> None:
    def photos() -> Iterator[Pixels]:
        yield grey()
        raise OSError("camera unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(predictor.predict_many(photos()))


def test_answers_come_before_the_error_of_the_photos_own_iterator(
    predictor: Predictor, astronaut: Path
) -> None:
    def photos() -> Iterator[PhotoSource]:
        yield from (astronaut, "no.jpg", astronaut)
        raise OSError("camera unplugged")

    seen: list[int] = []
    with pytest.raises(OSError, match="unplugged"):
        for result in predictor.predict_many(photos()):
            seen.append(len(result.faces))
    assert seen == [1, 0, 1]


def frames() -> list[Pixels]:
    return [np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8) for seed in range(8)]


def ages(predictor: Predictor, photos: Iterable[PhotoSource]) -> list[float]:
    results = predictor.predict_many(photos, faces="aligned")
    return [result.faces[0].age.years for result in results]


@pytest.mark.parametrize("wrap", [lambda buffer: buffer, read_photo, Image.fromarray])
def test_buffer_that_is_used_again_gives_each_frame_its_own_answer(
    predictor: Predictor, wrap: Callable[[Pixels], PhotoSource]
) -> None:
    def reused() -> Iterator[PhotoSource]:
        buffer = np.empty((SIZE, SIZE, 3), np.uint8)
        for frame in frames():
            buffer[:] = frame
            yield wrap(buffer)
            buffer[:] = 0

    assert ages(predictor, reused()) == pytest.approx(ages(predictor, frames()), abs=1e-4)


def test_images_may_be_closed_as_soon_as_the_next_is_asked_for(predictor: Predictor, astronaut: Path) -> None:
    def closed() -> Iterator[PhotoSource]:
        for _ in range(6):
            with Image.open(astronaut) as image:
                yield image
            image.close()

    assert all(result.error is None for result in predictor.predict_many(closed()))


def test_one_image_that_is_not_loaded_yet_may_be_given_several_times(
    predictor: Predictor, tmp_path: Path
) -> None:
    path = tmp_path / "noise.png"
    Image.effect_noise((300, 300), 60).save(path)
    for _ in range(5):
        with Image.open(path) as image:
            results = list(predictor.predict_many([image] * 6, faces="aligned"))
        assert len({result.faces for result in results}) == 1


def test_no_photos_give_no_results(predictor: Predictor) -> None:
    assert list(predictor.predict_many([])) == []


@pytest.mark.parametrize("photo", ["family.jpg", b"bytes", Path("family.jpg")])
def test_a_single_photo_is_no_stream(predictor: Predictor, photo: Any) -> None:
    with pytest.raises(TypeError, match="put a single one into a list"):
        predictor.predict_many(photo)


def test_threads_share_a_predictor(predictor: Predictor, astronaut: Path) -> None:
    expected = predictor.predict(astronaut)
    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(predictor.predict, [astronaut] * 8))


def test_prediction_needs_no_network(
    tiny_model: Path, astronaut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert len(Predictor(tiny_model).predict(astronaut)) == 1


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )


def test_prediction_never_imports_training(tiny_model: Path, astronaut: Path) -> None:
    code = (
        "import sys, mien, mien.draw, mien.cli.predict\n"
        "assert len(mien.Predictor(sys.argv[1]).predict(sys.argv[2])) == 1\n"
        "banned = {'torch', 'lightning', 'pandas', 'sklearn', 'matplotlib', 'cv2', 'mien.training'}\n"
        "print(sorted(banned & set(sys.modules)))"
    )
    assert python(code, str(tiny_model), str(astronaut)).stdout == "[]\n"


def test_the_predictor_is_imported_without_what_only_its_model_needs() -> None:
    code = (
        "import sys; from mien import Predictor\n"
        "print(sorted({'onnxruntime', 'pydantic', 'rich', 'typer', 'PIL.ImageDraw'} & set(sys.modules)))"
    )
    assert python(code).stdout == "[]\n"


def test_one_photo_on_the_command_line_loads_no_server_and_no_progress_bar(
    tiny_model: Path, astronaut: Path
) -> None:
    code = (
        "import sys; import numpy; before = set(sys.modules)  # numpy 1 loads numpy.ma itself\n"
        "from mien.cli import app\n"
        "app(['predict', sys.argv[2], '--model', sys.argv[1]], standalone_mode=False)\n"
        "heavy = {'fastapi', 'uvicorn', 'rich.progress', 'numpy.ma', 'dlib'}\n"
        "print(sorted(heavy & set(sys.modules) - before))"
    )
    said = python(code, str(tiny_model), str(astronaut)).stdout.splitlines()
    assert "apparent age" in said[0] and said[1:] == ["[]"]


@pytest.mark.slow
def test_only_the_workshop_needs_opencv(yunet: Path, astronaut: Path) -> None:
    code = (
        "import importlib, pkgutil, sys; sys.modules['cv2'] = None; import mien\n"
        "workshop = {'training', 'evaluation', 'data', 'pyinstaller', '__main__'}\n"
        "for module in pkgutil.walk_packages(mien.__path__, 'mien.'):\n"
        "    if module.name.split('.')[1] not in workshop:\n"
        "        try:\n"
        "            importlib.import_module(module.name)\n"
        "        except ModuleNotFoundError as error:  # of an extra that is not installed, such as Ray\n"
        "            assert error.name != 'cv2', module.name\n"
        "for detector in ('mien', f'yunet:{sys.argv[1]}'):\n"
        "    print(len(mien.Predictor(detector=detector).predict(sys.argv[2])))"
    )
    assert python(code, str(yunet), str(astronaut)).stdout == "1\n1\n"


def test_import_prints_nothing_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, os; environment = dict(os.environ); import mien\n"
        "changed = dict(os.environ.items() - environment.items())\n"
        "assert changed in ({}, {'ORT_DISABLE_TELEMETRY': '1'}), changed\n"
        "heavy = {'numpy', 'cv2', 'dlib', 'onnxruntime', 'PIL', 'torch', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = python(code)
    assert done.stdout == done.stderr == ""


def test_public_names_exist() -> None:
    import mien

    assert all(getattr(mien, name) is not None for name in mien.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mien.nothing


def test_the_shipped_model_sees_a_woman_of_about_her_age(astronaut: Path) -> None:
    (estimate,) = Predictor().predict(astronaut)
    assert estimate.gender.label == "female"
    assert 22 <= estimate.age.years <= 48  # she was 35
    assert estimate.age.high - estimate.age.low < 45


def labels(predictor: Predictor, photo: Path, threshold: float | None) -> tuple[str, str]:
    """Of one photo, as a single one and as a stream."""
    [face] = predictor.predict(photo, gender_threshold=threshold)
    [result] = predictor.predict_many([photo], gender_threshold=threshold)
    return face.gender.label, result.faces[0].gender.label


def test_the_gender_threshold_of_one_call_overrides_the_predictors(tiny_model: Path, astronaut: Path) -> None:
    strict, lenient = (Predictor(tiny_model, gender_threshold=t) for t in (0.999, 0.5))
    likelier = labels(lenient, astronaut, None)
    assert set(likelier) <= {"female", "male"}
    assert labels(strict, astronaut, None) == labels(lenient, astronaut, 0.999) == ("uncertain",) * 2
    assert labels(strict, astronaut, 0.5) == likelier


@pytest.mark.parametrize("threshold", [0.4, 1.0, 1.5])
def test_gender_thresholds_out_of_range_are_refused_at_once(tiny_model: Path, threshold: float) -> None:
    with pytest.raises(ValueError, match="gender_threshold must lie between"):
        Predictor(tiny_model, gender_threshold=threshold)
    with pytest.raises(ValueError, match="gender_threshold must lie between"):
        Predictor(tiny_model).predict(grey(), gender_threshold=threshold)
