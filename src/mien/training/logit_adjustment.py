"""Logit adjustment: ages are estimated as if all were equally frequent among the training labels.

A net is biased towards ages that are frequent in its labels, and away from rare ones. Dividing its
probabilities by a power of the frequencies reduces this bias (Menon et al., "Long-tail learning via logit
adjustment", ICLR 2021, section 4.1). Rare ages then gain accuracy, and frequent ones lose some.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Floats = npt.NDArray[np.float64]

OUTPUT = "age_probabilities"
WEIGHTS = "age_weights"
SMOOTHING = 3.0
"""Standard deviation in years of the kernel that smooths the frequencies, since labels are often rounded."""


def age_frequencies(ages: Sequence[float] | Floats, support: int) -> Floats:
    """Compute the smoothed frequencies of the ages 0 to ``support - 1`` among labels.

    Args:
        ages: In years.
        support: Number of ages.

    Returns:
        (support,), summing to 1. Every age counts one label more than it has, so that none is 0.

    Example:
        >>> age_frequencies([30.0] * 90 + [60.0] * 9, 117).argmax()
        np.int64(30)
    """
    years = np.clip(np.round(np.asarray(ages, np.float64)), 0, support - 1).astype(int)
    counts = np.bincount(years, minlength=support) + 1.0
    reach = np.arange(-4 * int(SMOOTHING), 4 * int(SMOOTHING) + 1)
    kernel = np.exp(-((reach / SMOOTHING) ** 2) / 2)
    smooth = np.convolve(np.pad(counts, reach[-1], mode="symmetric"), kernel / kernel.sum(), "valid")
    return np.asarray(smooth / smooth.sum(), np.float64)


def adjust_ages(graph: onnx.ModelProto, frequencies: Floats, strength: float) -> None:
    """Divide a graph's age probabilities by a power of the frequencies, and renormalise them.

    Args:
        graph: Graph with the output ``age_probabilities`` (n, ages); changed in place.
        frequencies: (ages,), positive.
        strength: The exponent. 0 changes nothing; 1 corrects fully for the frequencies.
    """
    weights = frequencies**-strength
    for tensor in graph.graph.initializer:
        if tensor.name == WEIGHTS:  # the graph is already adjusted
            tensor.CopyFrom(_weights(weights * numpy_helper.to_array(tensor)[0]))
            return
    ones = numpy_helper.from_array(np.ones((len(weights), 1), np.float32), "age_ones")
    before, weighted, total = (f"{OUTPUT}_{part}" for part in ("unadjusted", "weighted", "total"))
    for node in graph.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == OUTPUT:
                    names[i] = before
    graph.graph.initializer.extend([_weights(weights), ones])
    graph.graph.node.extend(
        [
            helper.make_node("Mul", [before, WEIGHTS], [weighted]),
            helper.make_node("Gemm", [weighted, ones.name], [total]),  # OpenCV 4 lacks this ReduceSum
            helper.make_node("Div", [weighted, total], [OUTPUT]),
        ]
    )


def _weights(values: Floats) -> onnx.TensorProto:
    return numpy_helper.from_array((values / values.max()).astype(np.float32)[None], WEIGHTS)
