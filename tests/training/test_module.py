import pytest
import torch

from mien.training.dataset import Batch
from mien.training.module import FaceMetrics, FaceModule, InputSpec


def batch_of(low: list[float], high: list[float], gender: list[int]) -> Batch:
    n = len(low)
    chips, race = torch.zeros(n, 2, 2, 3, dtype=torch.uint8), torch.full((n,), -1)
    return Batch(chips, torch.tensor(low), torch.tensor(high), torch.tensor(gender), race)


def test_normalising_scales_and_orders_channels() -> None:
    module = FaceModule(InputSpec(size=2, channel_order="BGR", mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1)))
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    normal = module.normalise(red)
    assert torch.allclose(normal[0, :, 0, 0], torch.tensor([-0.2, -0.8, 0.7]))


def test_the_expectation_survives_mixed_precision() -> None:
    module = FaceModule(InputSpec(size=2))
    probabilities = torch.rand(4, 117, generator=torch.Generator().manual_seed(0)).softmax(1)
    with torch.autocast("cpu", torch.bfloat16):
        years = module.expectation(probabilities)
    assert torch.allclose(years, probabilities @ torch.arange(117.0))


def test_metrics_are_of_exact_ages_of_bins_and_of_known_genders() -> None:
    metrics = FaceMetrics()
    batch = batch_of([20, 30, 40, 40], [20, 30, 49, 49], [1, -1, 0, -1])
    years, p_female = torch.tensor([21.0, 33.0, 99.0, 49.4]), torch.tensor([0.9, 0.9, 0.8, 0.9])
    updated = metrics.update(batch, years, p_female)
    assert {name: float(metric.compute()) for name, metric in updated.items()} == pytest.approx(
        {
            **{"age_mae": 2, "age_rmse": 5**0.5, "gender_accuracy": 0.5},
            **{"age_bin_distance": 25.2, "age_bin_accuracy": 0.5},
        }
    )


def test_metrics_without_labels_are_left_out() -> None:
    unknown = batch_of([float("nan")], [float("nan")], [-1])
    updated = FaceMetrics().update(unknown, torch.tensor([21.0]), torch.tensor([0.9]))
    assert updated == {}
