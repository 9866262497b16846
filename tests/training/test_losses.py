import math

import pytest
import torch

from mien.training.losses import age_loss, gender_loss, race_loss

AGES = 117


def logits_of(years: float, sigma: float) -> torch.Tensor:
    ages = torch.arange(AGES, dtype=torch.float32)
    return (-((ages - years) ** 2) / (2 * sigma**2))[None]


def test_an_exact_age_is_best_met_by_its_own_gaussian() -> None:
    age = torch.tensor([40.0])
    losses = {s: float(age_loss(logits_of(40, s), age, age)) for s in (1.0, 1.9, 2.0, 2.1, 4.0)}
    assert min(losses, key=lambda s: losses[s]) == 2.0
    assert losses[2.0] == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 4), abs=1e-3)  # its entropy


def test_a_bin_costs_the_negative_log_of_the_mass_inside_it() -> None:
    logits = torch.randn(1, AGES, generator=torch.Generator().manual_seed(0))
    low, high = torch.tensor([20.0]), torch.tensor([29.0])
    mass = logits.softmax(1)[0, 20:30].sum()
    assert float(age_loss(logits, low, high, l1_weight=0)) == pytest.approx(-math.log(float(mass)), rel=1e-5)


def test_the_l1_part_is_the_distance_to_the_nearest_end_of_the_bin() -> None:
    logits, low, high = logits_of(45, 1), torch.tensor([20.0]), torch.tensor([29.0])
    with_l1 = age_loss(logits, low, high, l1_weight=1)
    without = age_loss(logits, low, high, l1_weight=0)
    assert float(with_l1 - without) == pytest.approx(45 - 29 - 0.5, abs=1e-3)  # smooth L1 is half a year less


def test_an_expectation_inside_the_bin_costs_no_l1() -> None:
    logits, low, high = logits_of(25, 1), torch.tensor([20.0]), torch.tensor([29.0])
    assert age_loss(logits, low, high, l1_weight=1) == age_loss(logits, low, high, l1_weight=0)


def test_mixed_precision_does_not_round_the_expectation() -> None:
    logits, age = logits_of(70.1, 2), torch.tensor([60.0])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = age_loss(logits, age, age, l1_weight=1)
    assert float(mixed) == pytest.approx(float(age_loss(logits, age, age, l1_weight=1)), abs=1e-4)


def test_gradients_stay_finite_when_a_bin_has_no_mass() -> None:
    logits = torch.full((1, AGES), 0.0)
    logits[0, 0] = 200.0
    logits.requires_grad_()
    age_loss(logits, torch.tensor([60.0]), torch.tensor([69.0])).backward()  # type: ignore[no-untyped-call]  # PyTorch has not typed it
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_unknown_genders_do_not_count() -> None:
    logit = torch.tensor([2.0, -1.0, 50.0])
    known = gender_loss(logit[:2], torch.tensor([1, 0]))
    assert torch.equal(gender_loss(logit, torch.tensor([1, 0, -1])), known)
    assert float(known) == pytest.approx((math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2)


def test_a_taught_age_is_best_met_half_way_between_teacher_and_label() -> None:
    age, taught = torch.tensor([40.0]), logits_of(60, 2).softmax(1)

    def loss(label: float) -> float:
        both = label * logits_of(40, 2).softmax(1) + (1 - label) * taught
        return float(age_loss((both + 1e-12).log(), age, age, taught, l1_weight=0))

    assert loss(0.5) < min(loss(0.4), loss(0.6))


def test_a_teacher_says_where_in_its_bin_an_age_lies() -> None:
    low, high, taught = torch.tensor([20.0]), torch.tensor([29.0]), logits_of(22, 2).softmax(1)
    near, far = (float(age_loss(logits_of(years, 2), low, high, taught)) for years in (22, 27))
    assert near < far


def test_a_taught_gender_is_best_met_half_way_between_teacher_and_label() -> None:
    gender, taught = torch.tensor([1]), torch.tensor([0.2])
    losses = {
        p: float(gender_loss(torch.tensor([p]).logit(), gender, taught=taught)) for p in (0.5, 0.6, 0.7)
    }
    assert min(losses, key=lambda p: losses[p]) == 0.6


def test_weights_of_the_gender_loss_are_those_of_their_faces() -> None:
    logit, gender, weight = torch.tensor([1.0, -3.0]), torch.tensor([1, 1]), torch.tensor([2.0, 0.0])
    assert torch.equal(gender_loss(logit, gender, weight), gender_loss(logit[:1], gender[:1]))


def test_unknown_races_do_not_count() -> None:
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    known = torch.nn.functional.cross_entropy(logits[:2], torch.tensor([3, 1]))
    assert race_loss(logits, torch.tensor([3, 1, -1])) == pytest.approx(known)


def test_a_batch_without_labels_costs_nothing() -> None:
    unknown = torch.full((2,), -1)
    assert gender_loss(torch.zeros(2), unknown) == 0
    assert race_loss(torch.zeros(2, 5), unknown) == 0


def test_an_age_that_is_not_known_costs_nothing() -> None:
    logits = torch.randn(2, AGES, generator=torch.Generator().manual_seed(0)).requires_grad_()
    unknown = torch.full((2,), torch.nan)
    loss = age_loss(logits, unknown, unknown)
    loss.backward()  # type: ignore[no-untyped-call]  # PyTorch has no types here
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None and logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize(("low", "high"), [(117.0, 130.0), (110.0, 130.0), (120.0, 120.0), (40.2, 40.8)])
def test_a_bin_at_or_between_the_ages_that_are_known_has_a_finite_loss(low: float, high: float) -> None:
    logits = torch.zeros(2, AGES, requires_grad=True)
    loss = age_loss(logits, torch.tensor([low, 30.0]), torch.tensor([high, 30.0]))
    loss.backward()  # type: ignore[no-untyped-call]  # PyTorch has no types here
    assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def test_an_age_beyond_the_last_is_the_last() -> None:
    logits, last = logits_of(110, 3), torch.tensor([116.0])
    assert age_loss(logits, torch.tensor([117.0]), torch.tensor([130.0])) == age_loss(logits, last, last)


def test_a_teacher_who_sees_nothing_in_the_bin_says_nothing() -> None:
    low, high = torch.tensor([10.0]), torch.tensor([19.0])
    teacher = logits_of(80, 1).softmax(1)
    left, right = (float(age_loss(logits_of(years, 2), low, high, teacher)) for years in (12, 17))
    assert left == pytest.approx(right, abs=0.01)
