"""Ages that are rare among the labels get back what the frequent ones took from them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.pipeline.model import Model, model_path
from mien.training.logit_adjustment import adjust_ages, age_frequencies

AGES = 117


@given(st.lists(st.floats(-5, 130), max_size=50))
def test_frequencies_are_positive_and_sum_to_one(ages: list[float]) -> None:
    frequencies = age_frequencies(ages, AGES)
    assert frequencies.shape == (AGES,) and (frequencies > 0).all()
    assert frequencies.sum() == pytest.approx(1)


def test_labels_rounded_to_one_age_count_for_those_beside_it_too() -> None:
    frequencies = age_frequencies([26] * 1000, AGES)
    assert frequencies[26] > frequencies[24] > 10 * frequencies[60]


@pytest.mark.parametrize("name", ["open", "small"])  # the second was adjusted before: that stays
@pytest.mark.parametrize("strength", [0.0, 0.2, 1.0])
def test_an_adjusted_file_answers_with_probabilities_divided_by_a_power_of_the_frequencies(
    tmp_path: Path, strength: float, name: str
) -> None:
    frequencies = age_frequencies([26] * 90 + [70] * 10, AGES)
    model, graph = Model(name), onnx.load(model_path(name))
    adjust_ages(graph, frequencies, strength)
    onnx.checker.check_model(graph)
    onnx.save(graph, tmp_path / "adjusted.onnx")
    chips = np.random.default_rng(0).integers(0, 256, (3, *[model.metadata.input_size] * 2, 3), np.uint8)
    (before, female), (after, same) = model.run(chips), Model(tmp_path / "adjusted.onnx").run(chips)
    expected = before * frequencies**-strength
    assert after == pytest.approx(expected / expected.sum(1, keepdims=True), abs=1e-5)
    assert np.array_equal(female, same)
