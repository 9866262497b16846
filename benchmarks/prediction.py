"""Measure time and memory of prediction, each compared with a reference measured in the same run.

Run it on an idle machine with Linux: ``python benchmarks/prediction.py [--model FILE]``. Times are medians.
``--threads`` prints another table instead: the time per photo with one thread per run of the model, and with
one per core, where waiting threads sleep (mien's setting) or spin (ONNX Runtime's default).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import dlib
import numpy as np

from mien import MienError, Predictor
from mien.pipeline.images import Pixels, read_photo
from mien.pipeline.model import Model, default_model_path, normalise

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"

ROUNDS = 7
"""Number of repetitions when numbers of threads are compared, after a warm-up that is not counted."""

LIBRARIES = "import numpy, PIL.Image, pydantic, onnxruntime"
PREDICT = "import sys; from mien import Predictor; Predictor(sys.argv[1]).predict(sys.argv[2])"
COMMAND = "from mien.cli import main; main()"
MEMORY = "; print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"


@dataclass(frozen=True, slots=True)
class Row:
    """A measurement and its reference, in the same unit."""

    what: str
    value: float
    reference: str
    reference_value: float
    unit: str

    def __str__(self) -> str:
        """Format as a row of the table."""
        ratio = self.value / self.reference_value
        return (
            f"| {self.what} | {self.value:.1f} {self.unit} | {self.reference} | "
            f"{self.reference_value:.1f} {self.unit} | {ratio:.2f} |"
        )


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of one call, after a warm-up call that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return median(times)


def python(code: str, *arguments: str) -> str:
    """Run code in a new interpreter and return its output."""
    # An installed package has its bytecode; without it, every start would compile mien anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def start_rows(model: str) -> list[Row]:
    """Measure imports, and the time from process start to the first estimate."""
    bare = milliseconds(lambda: python("pass"), 7)
    numpy = milliseconds(lambda: python("import numpy"), 7)
    libraries = milliseconds(lambda: python(LIBRARIES), 7)
    load = milliseconds(lambda: python("import mien"), 7)
    load_all = milliseconds(lambda: python("from mien import Predictor"), 7)
    first = milliseconds(lambda: python(PREDICT, model, str(EXAMPLE)), 7)
    command = milliseconds(lambda: python(COMMAND, "predict", "--model", model, str(EXAMPLE)), 7)
    return [
        Row("`import mien`, less the interpreter's start", load - bare, "`import numpy`", numpy - bare, "ms"),
        Row("process start to `from mien import Predictor`", load_all, "to `import numpy`", numpy, "ms"),
        Row("process start to first estimate", first, "to its libraries", libraries, "ms"),
        Row(
            "`mien predict` of one photo, process start to end", command, "to its libraries", libraries, "ms"
        ),
    ]


def model_rows(predictor: Predictor, model: str) -> list[Row]:
    """Measure the model on chips, compared with the bare graph on prepared input."""
    size = predictor.model.metadata.input_size
    chips = np.random.default_rng(0).integers(0, 256, (32, size, size, 3), np.uint8)
    import onnxruntime  # after mien, which disables its telemetry

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    one = normalise(chips[:1], predictor.model.metadata)
    bare = milliseconds(lambda: session.run(None, {"chips": one}), 50)
    single = milliseconds(lambda: predictor.model.run(chips[:1]), 50)
    batch = milliseconds(lambda: predictor.model.run(chips), 10) / len(chips)
    reference = "bare ONNX Runtime, batch of 1"
    return [
        Row("a face through the model, batch of 1", single, reference, bare, "ms"),
        Row("a face through the model, batch of 32", batch, reference, bare, "ms"),
    ]


def scene() -> Pixels:
    """Make a picture of 640x480 pixels with one face."""
    photo = np.full((480, 640, 3), 128, np.uint8)
    photo[:, 80:560] = cv2.resize(read_photo(EXAMPLE).pixels, (480, 480), interpolation=cv2.INTER_AREA)
    return photo


def jpeg(photo: Pixels) -> bytes:
    """Encode a photo as JPEG."""
    return cv2.imencode(".jpg", photo[:, :, ::-1])[1].tobytes()


def photo_rows(predictor: Predictor) -> list[Row]:
    """Measure a 640x480 JPEG to JSON, compared with dlib's detector alone on the photo at twice the size."""
    photo = scene()
    data = jpeg(photo)
    view = np.asarray(cv2.resize(photo, (1280, 960), interpolation=cv2.INTER_LINEAR), np.uint8)
    detector = dlib.get_frontal_face_detector()
    bare = milliseconds(lambda: detector.run(view, 0, 0.25), 15)

    def stream(count: int) -> list[str]:
        return [json.dumps(result.to_json()) for result in predictor.predict_many([data] * count)]

    reference = "dlib's detector alone"
    one, many = milliseconds(lambda: stream(1), 15), milliseconds(lambda: stream(30), 3) / 30
    return [
        Row("640x480 photo to JSON, one", one, reference, bare, "ms"),
        Row("640x480 photo to JSON, of a stream", many, reference, bare, "ms"),
    ]


def thread_rows(model: str) -> list[str]:
    """Measure wall-clock and CPU milliseconds per photo, one at a time and in a stream."""
    data = jpeg(scene())
    predictors = {
        "1": Predictor(Model(model, threads=1)),
        "all": Predictor(Model(model, threads=0)),
        "all, waiting busily": Predictor(_waiting_busily(model)),
    }
    works: dict[str, Callable[[Predictor], object]] = {
        "one": lambda predictor: [predictor.predict(data) for _ in range(20)],
        "of a stream": lambda predictor: list(predictor.predict_many([data] * 20)),
    }
    seconds: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(ROUNDS + 1):  # in turn, so that other load on the machine affects all equally
        for threads, predictor in predictors.items():
            for photos, work in works.items():
                clock, cpu = time.perf_counter(), time.process_time()
                work(predictor)
                took = (time.perf_counter() - clock, time.process_time() - cpu)
                seconds.setdefault((threads, photos), []).append(took)
    rows = []
    for (threads, photos), times in seconds.items():
        clock, cpu = (50 * median(column) for column in zip(*times[1:], strict=True))  # ms per photo
        rows.append(f"| {threads} | {photos} | {clock:.1f} | {cpu:.1f} |")
    return rows


def _waiting_busily(path: str) -> Model:
    import onnxruntime

    model = Model(path)
    model._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return model


def memory_row(model: str) -> Row:
    """Measure the peak memory of a process that predicts the example."""
    full = float(python(PREDICT + MEMORY, model, str(EXAMPLE))) / 1024
    libraries = float(python(LIBRARIES + MEMORY)) / 1024
    return Row("peak memory of one prediction", full, "its libraries, imported", libraries, "MiB")


def main() -> None:
    """Measure everything and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, default=default_model_path(), help="model file (default: shipped)"
    )
    parser.add_argument("--threads", action="store_true", help="compare numbers of threads instead")
    arguments = parser.parse_args()
    model = str(arguments.model)
    try:
        predictor = Predictor(model)
    except MienError as error:
        parser.error(str(error))
    if arguments.threads:
        print("| threads a run | photo | ms | ms of CPU |\n| --- | --- | ---: | ---: |")
        print("\n".join(thread_rows(model)))
        return
    print("| what | mien | reference | | ratio |\n| --- | ---: | --- | ---: | ---: |")
    for row in [*start_rows(model), *model_rows(predictor, model), *photo_rows(predictor), memory_row(model)]:
        print(row, flush=True)


if __name__ == "__main__":
    main()
