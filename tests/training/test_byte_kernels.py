import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mien.training.byte_kernels import round_kernels, store_kernels, stored_weights


def rounded(kernel: torch.Tensor) -> torch.Tensor:
    weights = {"kernel": kernel}
    round_kernels(weights)
    return weights["kernel"]


def model_of(kernel: torch.Tensor) -> onnx.ModelProto:
    """A graph whose one output is its one tensor."""
    tensor = onnx.numpy_helper.from_array(kernel.numpy(), "kernel")
    shape = list(kernel.shape)
    output = onnx.helper.make_tensor_value_info("same", onnx.TensorProto.FLOAT, shape)
    node = onnx.helper.make_node("Identity", ["kernel"], ["same"])
    graph = onnx.helper.make_graph([node], "one", [], [output], [tensor])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


@given(seed=st.integers(0, 2**32), size=st.floats(1e-30, 1e30), side=st.integers(1, 5))
def test_rounded_kernels_are_read_and_computed_just_as_they_are(seed: int, size: float, side: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    kernel = rounded(torch.randn(16, 20, side, side, generator=generator) * size)
    model = model_of(kernel)
    store_kernels(model.graph)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert {t.data_type for t in model.graph.initializer} == {onnx.TensorProto.INT8, onnx.TensorProto.FLOAT}
    assert torch.equal(stored_weights(model.graph)["kernel"], kernel)
    np.testing.assert_array_equal(session.run(None, {})[0], kernel.numpy())


@given(seed=st.integers(0, 2**32))
def test_rounding_moves_no_weight_by_more_than_half_a_step_of_its_channel(seed: int) -> None:
    kernel = torch.randn(8, 30, generator=torch.Generator().manual_seed(seed))
    steps = kernel.abs().amax(1, keepdim=True) / 127
    assert bool(((rounded(kernel) - kernel).abs() <= 0.55 * steps).all())


def test_what_is_rounded_stays_as_it_is_when_rounded_again() -> None:
    kernel = rounded(torch.randn(64, 32, 3, 3, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(rounded(kernel), kernel)


def test_a_channel_of_zeros_stays_so() -> None:
    assert torch.equal(rounded(torch.zeros(4, 9)), torch.zeros(4, 9))


def test_rounding_leaves_the_tensor_itself_and_vectors_alone() -> None:
    kernel, vector = torch.full((2, 3), 0.3).cumsum(1), torch.rand(5)
    weights, before = {"kernel": kernel, "vector": vector}, kernel.clone()
    round_kernels(weights)
    assert torch.equal(kernel, before) and weights["vector"] is vector


@pytest.mark.parametrize("kernel", [torch.rand(64, 32, 3, 3), rounded(torch.rand(4, 3, 3, 3))])
def test_what_would_change_or_is_too_small_is_stored_in_single_precision(kernel: torch.Tensor) -> None:
    model = model_of(kernel)
    store_kernels(model.graph)
    assert [t.data_type for t in model.graph.initializer] == [onnx.TensorProto.FLOAT]


def test_kernels_of_earlier_files_in_half_precision_are_read() -> None:
    model = model_of(torch.ones(4, 4))
    half = onnx.numpy_helper.from_array(np.full((4, 4), 0.5, np.float16), "kernel.half")
    model.graph.initializer[0].CopyFrom(half)
    assert torch.equal(stored_weights(model.graph)["kernel"], torch.full((4, 4), 0.5))
