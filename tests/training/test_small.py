from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mien.training.dataset import Batch
from mien.training.joined import JoinedNets
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
    monkeypatch.setattr(module, "mixed", 1.0)
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
    monkeypatch.setattr(module, "mixed", 1.0)
    monkeypatch.setattr(Batch, "reordered", lambda *_: pytest.fail("faces were mixed"))
    ages, gender = torch.linspace(1, 90, 4), torch.arange(4) % 2
    batch = Batch(torch.zeros(4, 1, 1, 3, dtype=torch.uint8), ages, ages, gender, gender)
    module.eval().judge(torch.rand(4, 3, 32, 32), batch)
    monkeypatch.setattr(SmallModule, "current_epoch", 9)
    gentle = SmallModule().train()
    gentle.mixed = 1.0
    gentle.judge(torch.rand(4, 3, 32, 32), batch)


def test_a_block_may_halve_odd_maps() -> None:
    assert ResidualBlock(4, 8, 2)(torch.zeros(1, 4, 7, 7)).shape == (1, 8, 4, 4)


def test_every_head_has_its_logits() -> None:
    ages, female, races = SmallNet((8, 8, 8, 8), (1, 1, 1, 1))(torch.zeros(2, 3, 32, 32))
    assert ages.shape == (2, 117) and female.shape == (2,) and races.shape == (2, 5)


class OneSided(torch.nn.Module):
    """Says one age of images that are bright on the left, another of others; the age says p(female)."""

    def __init__(self, bright: int, dark: int) -> None:
        super().__init__()
        self.answers = torch.tensor([dark, bright])

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        left, right = (half.mean((1, 2, 3)) for half in images.chunk(2, dim=3))
        age = self.answers[(left > right).long()]
        logits = 100 * torch.nn.functional.one_hot(age, 117).float()
        return logits, (age - 50.0), torch.zeros(len(images), 5)


def test_the_first_net_sees_the_face_and_the_second_its_mirror_image() -> None:
    module, other = SmallModule(), SmallModule()
    module.net, other.net = OneSided(10, 20), OneSided(30, 40)  # type: ignore[assignment]  # stand-ins
    bright_on_the_left = torch.zeros(1, 3, 4, 4)
    bright_on_the_left[..., :2] = 1
    ages, p_female = JoinedNets(module, other)(bright_on_the_left)
    assert (ages[0] > 0.1).nonzero().flatten().tolist() == [10, 40]
    assert float(p_female) == pytest.approx((torch.tensor([-40.0, -10.0]).sigmoid()).mean())


def test_a_single_net_sees_both() -> None:
    module = SmallModule()
    module.net = OneSided(10, 20)  # type: ignore[assignment]  # a stand-in
    bright_on_the_left = torch.zeros(1, 3, 4, 4)
    bright_on_the_left[..., :2] = 1
    assert (module(bright_on_the_left)[0][0] > 0.1).nonzero().flatten().tolist() == [10, 20]


@pytest.mark.parametrize("share", [0.9, 0.2])
def test_losses_are_mixed_by_the_shares_of_the_faces(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    module, order = SmallModule().train(), torch.tensor([1, 2, 3, 0])
    monkeypatch.setattr(SmallModule, "trainer", SimpleNamespace(max_epochs=10))
    module.mixed = 1.0
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda _: torch.tensor(share))
    monkeypatch.setattr(torch, "randperm", lambda *_, **__: order)
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(module.net, "forward", lambda images: seen.append(images))
    years = torch.tensor([10.0, 20, 40, 80])

    def compare(answers: object, batch: Batch) -> Outcome:
        loss = batch.age_low @ torch.tensor([1.0, 10, 100, 1000])
        return Outcome({"loss": loss, "age_loss": 2 * loss}, years, years)

    monkeypatch.setattr(module, "_compare", compare)
    images, gender = torch.rand(4, 3, 8, 8), torch.zeros(4, dtype=torch.long)
    batch = Batch(torch.zeros(4, 1, 1, 3, dtype=torch.uint8), years, years, gender, gender)
    losses = module.judge(images, batch).losses
    assert torch.allclose(seen[0], share * images + (1 - share) * images[order])
    own, other = 84_210.0, 20 + 400 + 8_000 + 10_000.0
    assert float(losses["loss"]) == pytest.approx(share * own + (1 - share) * other, rel=1e-5)
    assert float(losses["age_loss"]) == pytest.approx(2 * float(losses["loss"]), rel=1e-5)


def test_half_of_the_training_batches_are_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    module, mixed = SmallModule().train(), []
    monkeypatch.setattr(SmallModule, "trainer", SimpleNamespace(max_epochs=10))
    monkeypatch.setattr(module.net, "forward", lambda images: None)
    outcome = Outcome({"loss": torch.zeros(())}, torch.zeros(2), torch.zeros(2))
    monkeypatch.setattr(module, "_compare", lambda *_: outcome)

    def note(batch: Batch, order: torch.Tensor) -> Batch:
        mixed.append(order)
        return batch

    monkeypatch.setattr(Batch, "reordered", note)
    gender = torch.zeros(2, dtype=torch.long)
    batch = Batch(torch.zeros(2, 1, 1, 3, dtype=torch.uint8), torch.ones(2), torch.ones(2), gender, gender)
    torch.manual_seed(0)
    for _ in range(400):
        module.judge(torch.zeros(2, 3, 4, 4), batch)
    assert 160 < len(mixed) < 240


def test_the_loss_is_the_ages_and_three_times_the_genders_and_less_of_the_races(module: SmallModule) -> None:
    years, gender, race = torch.tensor([10.0, 60]), torch.tensor([0, 1]), torch.tensor([2, 4])
    batch = Batch(torch.zeros(2, 1, 1, 3, dtype=torch.uint8), years, years, gender, race)
    with torch.no_grad():
        losses = module.judge(torch.rand(2, 3, 32, 32), batch).losses
    expected = losses["age_loss"] + 3 * losses["gender_loss"] + 0.3 * losses["race_loss"]
    assert float(losses["loss"]) == pytest.approx(float(expected))
    assert (
        abs(float(losses["gender_loss"] - losses["race_loss"])) > 0.1
    )  # else the weights could be exchanged


def test_biases_and_norms_are_not_decayed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SmallModule()
    module.weight_decay = 0.07
    monkeypatch.setattr(SmallModule, "trainer", SimpleNamespace(estimated_stepping_batches=100))
    configured: dict[str, Any] = module.configure_optimizers()
    decay = {id(p): g["weight_decay"] for g in configured["optimizer"].param_groups for p in g["params"]}
    of_norms = {
        id(p)
        for part in module.net.modules()
        if isinstance(part, torch.nn.BatchNorm2d)
        for p in part.parameters()
    }
    for name, parameter in module.net.named_parameters():
        spared = id(parameter) in of_norms or name.endswith("bias")
        assert decay[id(parameter)] == (0 if spared else 0.07), name


def test_a_groups_loss_changes_slowly() -> None:
    module = SmallModule().train()
    gender, ages = torch.ones(10, dtype=torch.long), torch.full((10,), 30.0)
    race = torch.zeros(10, dtype=torch.long)
    batch = Batch(torch.zeros(10, 1, 1, 3, dtype=torch.uint8), ages, ages, gender, race)
    module._group_weights(torch.full((10,), -3.0), batch)  # a loss of 3.05, where 1 was known
    assert float(module.group_losses[0, 1]) == pytest.approx(1 + (1 - 0.998**10) * 2.0486, rel=1e-3)
    assert float(module.group_losses[1, 1]) == 1  # of which none was seen
