from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import affine_transform

from mien.training.dataset import Batch
from mien.training.recipes import classic
from mien.training.recipes.classic import ClassicModule, KerasAugmentation, age_distribution, warp

Doubles = npt.NDArray[np.float64]
AGES = torch.arange(117.0)


@pytest.fixture(scope="module")
def module() -> ClassicModule:
    torch.manual_seed(0)
    return ClassicModule().eval()


def batch_of(n: int, low: list[float], high: list[float], gender: list[int]) -> Batch:
    chips = torch.randint(0, 256, (n, 32, 32, 3), dtype=torch.uint8)
    return Batch(chips, torch.tensor(low), torch.tensor(high), torch.tensor(gender), torch.full((n,), -1))


@pytest.mark.parametrize("sigma", [1.0, 6.0, 15.0])
def test_the_distribution_has_the_estimate_for_its_mean(sigma: float) -> None:
    years = torch.linspace(0, 116, 1161)
    probabilities = age_distribution(years, torch.tensor(sigma), AGES)
    assert torch.allclose(probabilities.sum(1), torch.ones(len(years)))
    assert float((probabilities @ AGES - years).abs().max()) < 0.2


def test_the_distribution_is_as_wide_as_the_error_in_mid_range() -> None:
    [probabilities] = age_distribution(torch.tensor([50.0]), torch.tensor(6.0), AGES)
    assert float((probabilities * (AGES - 50) ** 2).sum() ** 0.5) == pytest.approx(6, abs=0.01)


def test_estimates_outside_the_range_are_clipped() -> None:
    means = age_distribution(torch.tensor([-40.0, 300.0]), torch.tensor(6.0), AGES) @ AGES
    assert means.tolist() == pytest.approx([0, 116], abs=0.2)


def keras(image: Doubles, theta: float, shift: list[float], shear: float, zoom: list[float]) -> Doubles:
    """What ``ImageDataGenerator`` did, with SciPy as it had it, in (row, column) about the centre."""
    rotation = [[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0], [0, 0, 1]]
    shifting = [[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]]
    shearing = [[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]]
    centre = image.shape[0] / 2 - 0.5
    to, back = np.eye(3), np.eye(3)
    to[:2, 2], back[:2, 2] = centre, -centre
    matrix = to @ rotation @ shifting @ shearing @ np.diag([*zoom, 1]) @ back
    return np.asarray(affine_transform(image, matrix[:2, :2], matrix[:2, 2], order=1, mode="nearest"))


def test_warping_is_keras_own() -> None:
    image = np.random.default_rng(0).random((21, 21))
    theta, shift, shear, zoom = 0.15, [3.2, -2.1], 0.4, [0.85, 1.2]
    got = warp(
        torch.from_numpy(image)[None, None],
        torch.tensor([theta], dtype=torch.double),
        torch.tensor([shift], dtype=torch.double),
        torch.tensor([shear], dtype=torch.double),
        torch.tensor([zoom], dtype=torch.double),
    )
    np.testing.assert_allclose(got[0, 0], keras(image, theta, shift, shear, zoom), atol=1e-9)


def test_augmentation_stays_within_the_notebooks_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.Tensor, ...]] = []

    def note(images: torch.Tensor, *settings: torch.Tensor) -> torch.Tensor:
        seen.append(settings)
        return images

    monkeypatch.setattr(classic, "warp", note)
    torch.manual_seed(0)
    KerasAugmentation()(torch.zeros(4000, 3, 10, 10))
    angle, shift, shear, zoom = seen[0]
    assert float(angle.abs().max()) == pytest.approx(np.deg2rad(10), rel=0.01)
    assert float(shift.abs().max()) == pytest.approx(2, rel=0.01)
    assert float(shear.abs().max()) == pytest.approx(np.deg2rad(0.2), rel=0.01)
    assert (float(zoom.min()), float(zoom.max())) == pytest.approx((0.8, 1.2), rel=0.01)
    assert not torch.equal(zoom[:, 0], zoom[:, 1])


def test_half_of_the_images_are_flipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classic, "warp", lambda images, *settings: images)
    torch.manual_seed(0)
    ramp = torch.arange(4.0).expand(1000, 3, 4, 4)
    flipped = (KerasAugmentation()(ramp)[:, 0, 0, 0] == 3).float().mean()
    assert 0.45 < float(flipped) < 0.55


def test_each_net_is_as_large_as_the_notebooks(module: ClassicModule) -> None:
    sizes = {sum(p.numel() for p in net.parameters()) for net in (module.age_net, module.gender_net)}
    assert sizes == {15_141_697}


def test_outputs_are_what_an_export_needs(module: ClassicModule) -> None:
    with torch.no_grad():
        images = module.normalise(torch.rand(2, 3, 32, 32))
        ages, p_female = module(images)
        years = module.age_net(images)
    assert ages.shape == (2, 117) and p_female.shape == (2,)
    assert torch.allclose(module.expectation(ages), years.clamp(0, 116), atol=0.2)


def test_the_width_of_the_distribution_is_kept_in_checkpoints(module: ClassicModule) -> None:
    assert "age_sigma" in module.state_dict()


def test_only_exact_ages_and_known_genders_cost_anything(module: ClassicModule) -> None:
    images = module.normalise(torch.rand(3, 3, 32, 32))
    with torch.no_grad():
        labelled = module.judge(images, batch_of(3, [20, 30, 40], [20, 39, 40], [1, 0, -1]))
        years, female = module.age_net(images), module.gender_net(images)
    expected = ((years[0] - 20) ** 2 + (years[2] - 40) ** 2) / 2
    assert labelled.losses["age_loss"] == pytest.approx(expected)
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits(female[:2], torch.tensor([1.0, 0]))
    assert labelled.losses["gender_loss"] == pytest.approx(cross_entropy)
    assert labelled.losses["loss"] == pytest.approx(expected + cross_entropy)


def test_last3_freezes_all_but_the_last_three_convolutions() -> None:
    net = ClassicModule("last3").age_net
    learning = {name for name, p in net.trunk.named_parameters() if p.requires_grad}
    assert learning == {f"conv5_{i}.{kind}" for i in (1, 2, 3) for kind in ("weight", "bias")}
    assert all(p.requires_grad for p in net.head.parameters())


def test_the_gender_net_stops_after_25_of_30_epochs(
    module: ClassicModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClassicModule, "trainer", SimpleNamespace(estimated_stepping_batches=60))
    configured: dict[str, Any] = module.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(60):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert rates == [[1e-3, 1e-4]] * 50 + [[1e-3, 0]] * 10
