"""Quantization to eight bits: ONNX Runtime's static quantization, after folding batch norms into the kernels.

Kernels have one scale per output channel. Activations are unsigned and range from the smallest to the largest
value in the calibration set (Jacob et al., "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", CVPR 2018). Weights use seven of their eight bits: processors with AVX2
but without VNNI add pairs of products in 16 bits, which would otherwise saturate.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from mien.data.chips import read_chips
from mien.errors import TrainingError
from mien.evaluation.calibration import Answers, calibrated, draw_ages, must_judge_by_bins
from mien.pipeline.estimation import COVERAGE, calibrated_p_female
from mien.pipeline.intervals import age_interval, median_age
from mien.pipeline.metadata import ModelMetadata
from mien.pipeline.model import normalise
from mien.training.folding import fold_norms, is_quantized

OPERATORS = ["Conv", "Relu"]
"""Operators that are quantized. Sums of branches are not: in float they are as fast, and rounding them costs
the detector accuracy. Nor are linear layers and the operators after them, which take hardly any time."""

FACES, BATCH = 512, 32
"""Number of faces in the calibration set for value ranges, and batch size for them."""


def quantize(
    model: onnx.ModelProto,
    examples: Iterable[npt.NDArray[np.float32]],
    in_float: Sequence[str] = (),
) -> onnx.ModelProto:
    """Quantize the convolutions of a net to eight bits.

    Args:
        model: The net in single precision, with one input; not changed.
        examples: Some hundred inputs that give the ranges of values.
        in_float: Substrings of the names of kernels whose convolutions stay in single precision.

    Raises:
        TrainingError: If the net is quantized already, or has no convolution.
    """
    if is_quantized(model):
        raise TrainingError("the net is in eight bits already; quantize the file that it was made from.")
    if all(node.op_type != "Conv" for node in model.graph.node):
        raise TrainingError("the net has no convolution, and nothing to quantize.")
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    fold_norms(folded.graph)
    add_pre_process_metadata(folded)  # without it, ONNX Runtime warns
    with TemporaryDirectory() as folder:
        path = Path(folder) / "quantized.onnx"
        quantize_static(
            folded,
            path,
            _Examples(folded.graph.input[0].name, examples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            nodes_to_exclude=[
                node.name
                for node in folded.graph.node
                if node.op_type == "Conv" and any(part in node.input[1] for part in in_float)
            ],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        quantized: onnx.ModelProto = onnx.load(path)
    _pool_in_float(quantized.graph)
    _name_kernels(quantized.graph)
    return quantized


def quantize_model(graph: onnx.ModelProto, metadata: ModelMetadata, faces: pd.DataFrame) -> onnx.ModelProto:
    """Quantize a model file's graph to eight bits.

    Args:
        graph: The graph in single precision.
        metadata: Metadata of the model.
        faces: Rows of a manifest of training faces; at most :data:`FACES` of them give the ranges of values.

    Raises:
        TrainingError: As for :func:`quantize`.
        DataError: If a picture cannot be read.
    """
    chosen = faces.sample(min(FACES, len(faces)), random_state=0)
    batches = (
        np.stack(list(read_chips(chosen[start : start + BATCH], metadata.input_size)))
        for start in range(0, len(chosen), BATCH)
    )
    return quantize(graph, (normalise(chips, metadata) for chips in batches))


class Drift(NamedTuple):
    """Change caused by eight bits on validation faces; positive values are worse.

    Attributes:
        age_error: Increase of the mean absolute error of the age, or of the distance to its bin, in years.
        gender_accuracy: Decrease of the share of correct genders, in [-1, 1].
        coverage: Decrease of the share of ages within their intervals, with equal calibration, in [-1, 1].
    """

    age_error: float
    gender_accuracy: float
    coverage: float

    def __str__(self) -> str:
        """Describe the change, for the middle of a sentence."""
        return (
            f"{self.age_error:+.3f} years of error, {-100 * self.gender_accuracy:+.2f} points of gender "
            f"accuracy, {-100 * self.coverage:+.2f} points of coverage"
        )


BOUNDS = Drift(age_error=0.05, gender_accuracy=0.005, coverage=0.015)
"""Largest change that is accepted; it must be exceeded by more than two standard errors to be refused."""


def measure_drift(metadata: ModelMetadata, labels: pd.DataFrame, before: Answers, after: Answers) -> Drift:
    """Compare a model in eight bits with itself in single precision.

    Args:
        metadata: Metadata of either; its calibration is not used.
        labels: n rows of a manifest, some with an age.
        before: Outputs of the model in single precision.
        after: Outputs of the model in eight bits.

    Raises:
        TrainingError: If a change exceeds :data:`BOUNDS` by more than two standard errors.
    """
    metadata = calibrated(metadata, labels, before, by_bins=must_judge_by_bins(labels))
    aged = labels["age_low"].notna().to_numpy(bool)
    ages = draw_ages(before.age_probabilities[aged], labels[aged], age_min=metadata.age_min)
    low, high = (labels.loc[aged, end].to_numpy(np.float64) for end in ("age_low", "age_high"))
    known = (labels["gender"] != "").to_numpy(bool)
    female = (labels["gender"] == "female").to_numpy(bool)[known]

    def judge(answers: Answers) -> Iterator[npt.NDArray[np.float64]]:
        """Yield, per face, the error of the age, whether the gender is wrong, and whether the interval is."""
        mass = answers.age_probabilities[aged]
        years = median_age(mass, age_min=metadata.age_min)
        first, last = age_interval(mass, metadata.interval, COVERAGE, age_min=metadata.age_min)
        p_female = calibrated_p_female(answers.p_female[known], metadata.gender)
        yield np.abs(years - np.clip(years, low, high))
        yield ((p_female >= 0.5) != female).astype(np.float64)
        yield ((ages < first) | (ages > last)).astype(np.float64)

    losses = [other - one for one, other in zip(judge(before), judge(after), strict=True)]
    drift = Drift(*(float(loss.mean()) if len(loss) else 0.0 for loss in losses))
    doubt = [2 * float(loss.std()) / len(loss) ** 0.5 if len(loss) else 0.0 for loss in losses]
    # This form also refuses NaN.
    if not all(cost - unsure <= bound for cost, unsure, bound in zip(drift, doubt, BOUNDS, strict=True)):
        raise TrainingError(
            f"eight bits change too much ({drift}); nothing was written, leave out --quantize."
        )
    return drift


class _Examples(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Inputs in the form that ONNX Runtime requires."""

    def __init__(self, name: str, examples: Iterable[npt.NDArray[np.float32]]) -> None:
        self._feeds = ({name: example} for example in examples)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def _pool_in_float(graph: onnx.GraphProto) -> None:
    """Let average pools read the activations before they are quantized.

    OpenVINO (in onnxruntime-openvino 1.24.1) computes an average pool of quantized values wrongly, with ages
    off by years. ONNX Runtime takes a tenth longer this way.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type != "AveragePool":
            continue
        back = made_by.get(node.input[0])
        there = (
            made_by.get(back.input[0]) if back is not None and back.op_type == "DequantizeLinear" else None
        )
        if there is not None and there.op_type == "QuantizeLinear":
            node.input[0] = there.input[0]


def _name_kernels(graph: onnx.GraphProto) -> None:
    """Give decoded kernels and biases their original names, by which training finds them."""
    names = {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0].endswith("_quantized"):
            names[node.output[0]] = node.input[0].removesuffix("_quantized")
    for node in graph.node:
        for part in (node.input, node.output):
            for i, name in enumerate(part):
                part[i] = names.get(name, name)
