"""A model file small enough to be built by a test: wrong about faces, right in form."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mien.pipeline.align import CANONICAL_GEOMETRY
from mien.pipeline.metadata import IntervalCalibration, ModelMetadata

SIZE, BINS = 48, 101


def tiny_metadata(**changes: Any) -> ModelMetadata:
    fields: dict[str, Any] = dict(
        name="tiny",
        version="0",
        licence="none",
        geometry=CANONICAL_GEOMETRY,
        input_size=SIZE,
        channel_order="RGB",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        age_min=0,
        age_max=BINS - 1,
        gender_order=("male", "female"),
        interval=IntervalCalibration(coverage=(0.5, 0.9, 0.99), half_mass=((0.2,), (0.45,), (0.49,)), n=100),
        training_data=("nothing",),
        metrics={},
    )
    return ModelMetadata(**fields | changes)


def build_model(
    path: Path,
    metadata: ModelMetadata | None,
    *,
    size: int = SIZE,
    bins: int = BINS,
    batch: int | str = "n",
    outputs: tuple[str, str] = ("age_probabilities", "p_female"),
    seed: int = 0,
) -> Path:
    """Softmax and sigmoid of fixed random weights on the mean colour: wrong about faces, but a model file."""
    weights = np.random.default_rng(seed).normal(size=(3, bins + 1)).astype(np.float32)
    age, gender = outputs
    nodes = [
        helper.make_node("GlobalAveragePool", ["chips"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["colour"]),
        helper.make_node("MatMul", ["colour", "weights"], ["both"]),
        helper.make_node("Split", ["both", "parts"], ["age", "gender"], axis=1),
        helper.make_node("Softmax", ["age"], [age], axis=1),
        helper.make_node("Sigmoid", ["gender"], ["column"]),
        helper.make_node("Reshape", ["column", "flat"], [gender]),
    ]
    constants = {"weights": weights, "parts": np.array([bins, 1]), "flat": np.array([-1])}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("chips", TensorProto.FLOAT, [batch, 3, size, size])],
        [
            helper.make_tensor_value_info(age, TensorProto.FLOAT, [batch, bins]),
            helper.make_tensor_value_info(gender, TensorProto.FLOAT, [batch]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if metadata is not None:
        helper.set_model_props(model, metadata.to_properties())
    onnx.save(model, path)
    return path
