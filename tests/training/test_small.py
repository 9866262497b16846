from types import SimpleNamespace

import pytest
import torch

from mien.training.dataset import Batch
from mien.training.module import Outcome
from mien.training.recipes import get_recipe
from mien.training.recipes.small import ResidualBlock, SmallModule, SmallNet


@pytest.fixture(scope="module")
def module() -> SmallModule:
    torch.manual_seed(0)
    return SmallModule().eval()


def test_outputs_are_distributions(module: SmallModule) -> None:
    with torch.no_grad():
        ages, p_female = module(torch.randn(2, 3, module.spec.size, module.spec.size))
    assert ages.shape == (2, 117) and p_female.shape == (2,)
    assert torch.allclose(ages.sum(1), torch.ones(2))
    assert ((p_female > 0) & (p_female < 1)).all()


def test_checkpoints_of_earlier_versions_still_fit(module: SmallModule) -> None:
    names = module.state_dict().keys()
    assert {name.split(".")[0] for name in names} == {"net"}
    assert {"net.trunk.0.weight", "net.trunk.3.conv1.weight", "net.heads.weight"} <= names


def test_training_images_grow_with_the_epochs(module: SmallModule, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = []
    monkeypatch.setattr(SmallModule, "trainer", SimpleNamespace(max_epochs=20))
    for epoch in range(20):
        monkeypatch.setattr(SmallModule, "current_epoch", epoch)
        sides.append(module.side())
    assert sides == [64] * 6 + [80] * 7 + [96] * 7


def test_its_chips_are_resampled_once_as_those_of_prediction(module: SmallModule) -> None:
    assert get_recipe("small").chip_side == module.spec.size


def test_the_last_fifth_of_the_epochs_is_augmented_gently(
    module: SmallModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = torch.zeros(8, 64, 64, 3, dtype=torch.uint8)
    chips[:, :, 32:] = 255
    changes = []
    monkeypatch.setattr(SmallModule, "trainer", SimpleNamespace(max_epochs=20))
    for epoch in (15, 16):
        monkeypatch.setattr(SmallModule, "current_epoch", epoch)
        torch.manual_seed(0)
        images = module.augmented(chips)
        changes.append(float(torch.minimum(images, 1 - images).mean()))
    assert changes[1] < changes[0] / 2


def test_a_face_and_its_mirror_image_are_answered_alike(module: SmallModule) -> None:
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (ages, female), (ages_mirrored, female_mirrored) = module(images), module(images.flip(3))
    assert torch.allclose(ages, ages_mirrored, atol=1e-6)
    assert torch.allclose(female, female_mirrored, atol=1e-6)


def test_faces_of_a_group_that_is_often_mistaken_count_more() -> None:
    module = SmallModule().train()
    n = torch.arange(400)
    race, gender = n % 2, torch.ones(400, dtype=torch.long)
    ages = torch.full((400,), 30.0)
    batch = Batch(torch.zeros(400, 1, 1, 3, dtype=torch.uint8), ages, ages, gender, race)
    mistaken = torch.where(race == 1, -3.0, 3.0)
    for _ in range(20):
        weights = module._group_weights(mistaken, batch)
    assert weights[race == 1].min() > 5 * weights[race == 0].max()
    assert float(weights.mean()) == pytest.approx(1)


def test_the_loss_of_mixed_faces_lies_between_those_of_their_labels(
    module: SmallModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = SmallModule().train()
    images = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ages, gender = torch.linspace(1, 90, 16), torch.arange(16) % 2
    batch = Batch(torch.zeros(16, 1, 1, 3, dtype=torch.uint8), ages, ages, gender, gender)
    monkeypatch.setattr(SmallModule, "trainer", SimpleNamespace(max_epochs=10))
    monkeypatch.setattr("mien.training.recipes.multitask.MIXED", 1.0)
    judged: list[dict[str, float]] = []
    compare = module._compare

    def watch(answers: tuple[torch.Tensor, torch.Tensor, torch.Tensor], batch: Batch) -> Outcome:
        outcome = compare(answers, batch)
        judged.append({name: float(loss.detach()) for name, loss in outcome.losses.items()})
        return outcome

    monkeypatch.setattr(module, "_compare", watch)
    mixed = float(module.judge(images, batch).losses["age_loss"].detach())
    own, other = (losses["age_loss"] for losses in judged)
    assert min(own, other) < mixed < max(own, other)


def test_faces_are_not_mixed_when_they_are_judged_or_augmented_gently(
    module: SmallModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SmallModule, "trainer", SimpleNamespace(max_epochs=10))
    monkeypatch.setattr("mien.training.recipes.multitask.MIXED", 1.0)
    monkeypatch.setattr(Batch, "reordered", lambda *_: pytest.fail("faces were mixed"))
    ages, gender = torch.linspace(1, 90, 4), torch.arange(4) % 2
    batch = Batch(torch.zeros(4, 1, 1, 3, dtype=torch.uint8), ages, ages, gender, gender)
    module.eval().judge(torch.rand(4, 3, 32, 32), batch)
    monkeypatch.setattr(SmallModule, "current_epoch", 9)
    SmallModule().train().judge(torch.rand(4, 3, 32, 32), batch)


def test_a_block_may_halve_odd_maps() -> None:
    assert ResidualBlock(4, 8, 2)(torch.zeros(1, 4, 7, 7)).shape == (1, 8, 4, 4)


def test_every_head_has_its_logits() -> None:
    ages, female, races = SmallNet((8, 8, 8, 8), (1, 1, 1, 1))(torch.zeros(2, 3, 32, 32))
    assert ages.shape == (2, 117) and female.shape == (2,) and races.shape == (2, 5)
