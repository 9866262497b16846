"""How long prediction takes and how much memory, each beside a reference measured in the same run.

Run it on a quiet machine, with Linux: ``python benchmarks/prediction.py [--model FILE]``. Times are medians.
"""

import argparse
import json
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
from mien.pipeline.images import read_photo
from mien.pipeline.model import default_model_path, normalise

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"

LIBRARIES = "import numpy, cv2, dlib, onnxruntime"
PREDICT = "import sys; from mien import Predictor; Predictor(sys.argv[1]).predict(sys.argv[2])"
MEMORY = "; print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"


@dataclass(frozen=True, slots=True)
class Row:
    """A measurement beside its reference, in the same unit."""

    what: str
    value: float
    reference: str
    reference_value: float
    unit: str

    def __str__(self) -> str:
        """As a row of the table."""
        ratio = self.value / self.reference_value
        return (
            f"| {self.what} | {self.value:.1f} {self.unit} | {self.reference} | "
            f"{self.reference_value:.1f} {self.unit} | {ratio:.2f} |"
        )


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of one call, after a first one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return median(times)


def python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


def start_rows(model: str) -> list[Row]:
    """Importing, and the way from nothing to the first estimate."""
    bare = milliseconds(lambda: python("pass"), 7)
    numpy = milliseconds(lambda: python("import numpy"), 7)
    libraries = milliseconds(lambda: python(LIBRARIES), 7)
    load = milliseconds(lambda: python("import mien"), 7)
    load_all = milliseconds(lambda: python("from mien import Predictor"), 7)
    first = milliseconds(lambda: python(PREDICT, model, str(EXAMPLE)), 7)
    return [
        Row("`import mien`, less the interpreter's start", load - bare, "`import numpy`", numpy - bare, "ms"),
        Row("`from mien import Predictor`", load_all - bare, "its libraries", libraries - bare, "ms"),
        Row("process start to first estimate", first, "process start to those libraries", libraries, "ms"),
    ]


def model_rows(predictor: Predictor, model: str) -> list[Row]:
    """The model alone, from chips, beside the bare graph from prepared input."""
    size = predictor.model.metadata.input_size
    chips = np.random.default_rng(0).integers(0, 256, (32, size, size, 3), np.uint8)
    import onnxruntime  # after mien, which switches its telemetry off

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


def photo_rows(predictor: Predictor) -> list[Row]:
    """A 640x480 JPEG to JSON, beside dlib's detector alone on the photo as mien shows it to it."""
    photo = np.full((480, 640, 3), 128, np.uint8)
    photo[:, 80:560] = cv2.resize(read_photo(EXAMPLE).pixels, (480, 480), interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", photo[:, :, ::-1])[1].tobytes()
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


def memory_row(model: str) -> Row:
    """The most memory a process has held that estimates the example."""
    full = float(python(PREDICT + MEMORY, model, str(EXAMPLE))) / 1024
    libraries = float(python(LIBRARIES + MEMORY)) / 1024
    return Row("peak memory of one prediction", full, "its libraries, imported", libraries, "MiB")


def main() -> None:
    """Measure everything and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, default=default_model_path(), help="model file (default: shipped)"
    )
    model = str(parser.parse_args().model)
    try:
        predictor = Predictor(model)
    except MienError as error:
        parser.error(str(error))
    print("| what | mien | reference | | ratio |\n| --- | ---: | --- | ---: | ---: |")
    for row in [*start_rows(model), *model_rows(predictor, model), *photo_rows(predictor), memory_row(model)]:
        print(row, flush=True)


if __name__ == "__main__":
    main()
