from typing import Any

import pytest
import torch

from mien.training import augment
from mien.training.augment import (
    ChipAugmentation,
    _grain,
    _light,
    _sharpen,
    _trim,
    to_images,
)


def test_images_are_chips_in_the_unit_range() -> None:
    chips = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(2, 4, 4, 3)
    images = to_images(chips, 4)
    assert images.shape == (2, 3, 4, 4) and images.dtype == torch.float32
    assert torch.allclose(images[0, :, 1, 2], torch.tensor([0, 0.2, 1]))


def test_shrinking_averages_instead_of_dropping_pixels() -> None:
    board = (torch.arange(16)[:, None] + torch.arange(16)[None]) % 2 * 255
    images = to_images(board.to(torch.uint8)[None, :, :, None].expand(1, 16, 16, 3), 4)
    assert torch.allclose(images, torch.tensor(0.5), atol=0.05)


def test_augmentation_keeps_shape_and_range() -> None:
    torch.manual_seed(0)
    images = torch.rand(16, 3, 24, 24)
    changed = ChipAugmentation()(images)
    assert changed.shape == images.shape
    assert changed.min() >= 0 and changed.max() <= 1
    assert not torch.equal(changed, images)


def test_augmentation_depends_on_the_seed_alone() -> None:
    images, augmentation = torch.rand(4, 3, 24, 24), ChipAugmentation()
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        runs.append(augmentation(images))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_grain_leaves_the_mean_of_a_face_and_falls_on_a_share_of_the_faces() -> None:
    torch.manual_seed(0)
    images = torch.full((200, 3, 24, 24), 0.5)
    spread = _grain(images.clone(), 0.25).flatten(1).std(1)
    assert 30 <= int((spread > 0).sum()) <= 70
    assert spread.max() < 0.15


def test_sharpening_strengthens_an_edge_or_softens_it() -> None:
    images = torch.zeros(200, 3, 8, 8)
    images[..., 4:] = 1.0
    torch.manual_seed(0)
    edges = (images := _sharpen(images, 1.0))[:, 0, 4, 4] - images[:, 0, 4, 3]
    assert edges.max() > 2 and edges.min() < 0.7
    assert torch.equal(images[..., 0], torch.zeros(200, 3, 8))


def test_what_is_trimmed_repeats_the_edge_that_is_left() -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 3, 20, 20)
    trimmed = _trim(images.clone(), 1.0)
    changed = (trimmed != images).any(1).any(0)
    rows = torch.nonzero(~changed.all(1)).flatten()
    assert 20 * 0.6 <= len(rows) < 20
    assert torch.equal(trimmed[:, :, 0], trimmed[:, :, rows[0]])
    assert torch.equal(trimmed[:, :, -1], trimmed[:, :, rows[-1]])


def test_some_faces_are_dark() -> None:
    torch.manual_seed(0)
    light = _light(torch.full((400, 3, 8, 8), 0.8), 0.0, 0.0, 0.0, 0.0, 0.0, dark=0.1).mean((1, 2, 3))
    dark = light < 0.79
    assert 20 <= int(dark.sum()) <= 60
    assert light.min() >= 0.8 * 0.2 - 1e-6 and torch.allclose(light[~dark], torch.tensor(0.8), atol=0.02)


Strength = tuple[bool, float, float, float]
"""Whether gentle; degrees, shift (share of the side) and scale (share) at most."""


@pytest.fixture(params=[(False, 12.0, 0.06, 0.14), (True, 8.0, 0.04, 0.08)], ids=["strong", "gentle"])
def strength(request: pytest.FixtureRequest) -> Strength:
    return request.param  # type: ignore[no-any-return]  # pytest does not know


def transforms(gentle: bool, n: int, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """(n, 2, 3) the affine transforms that an augmentation draws."""
    drawn: list[torch.Tensor] = []
    affine_grid = torch.nn.functional.affine_grid

    def note(theta: torch.Tensor, *arguments: Any, **settings: Any) -> torch.Tensor:
        drawn.append(theta)
        return affine_grid(theta, *arguments, **settings)

    monkeypatch.setattr(torch.nn.functional, "affine_grid", note)
    torch.manual_seed(0)
    ChipAugmentation(gentle=gentle)(torch.rand(n, 3, 8, 8))
    return drawn[0]


def test_half_of_the_faces_are_mirrored(strength: Strength, monkeypatch: pytest.MonkeyPatch) -> None:
    theta = transforms(strength[0], 2000, monkeypatch)
    assert 0.45 < float((theta[:, :, :2].det() < 0).float().mean()) < 0.55


def test_mirroring_swaps_left_and_right_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    theta = transforms(True, 2000, monkeypatch)
    assert bool((theta[:, 1, 1] > 0.8).all())  # never upside down
    assert bool((theta[:, 0, 0].abs() > 0.8).all())


def test_faces_are_turned_shifted_and_scaled_within_bounds(
    strength: Strength, monkeypatch: pytest.MonkeyPatch
) -> None:
    gentle, degrees, shift, scale = strength
    theta = transforms(gentle, 4000, monkeypatch)
    zoom = theta[:, :, :2].det().abs().sqrt().log()
    angle = torch.rad2deg(torch.atan2(-theta[:, 0, 1], theta[:, 1, 1]))
    assert (float(zoom.min()), float(zoom.max())) == pytest.approx((-scale, scale), rel=0.02)
    assert (float(angle.min()), float(angle.max())) == pytest.approx((-degrees, degrees), rel=0.02)
    assert float(theta[:, :, 2].abs().max()) == pytest.approx(2 * shift, rel=0.02)  # a side is 2 to PyTorch
    assert theta[:, :, 2].min() < 0 < theta[:, :, 2].max()


def test_one_face_in_ten_is_not_moved(strength: Strength, monkeypatch: pytest.MonkeyPatch) -> None:
    theta = transforms(strength[0], 4000, monkeypatch)
    still = (theta[:, :, 2] == 0).all(1) & (theta[:, 0, 1] == 0) & (theta[:, 1, 1] == 1)
    assert 0.08 < float(still.float().mean()) < 0.12


COLOURS = torch.rand(500, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def lit(**reach: float) -> torch.Tensor:
    torch.manual_seed(0)
    return augment._light(COLOURS, **{**NO_LIGHT, **reach})


NO_LIGHT = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "tint": 0.0, "grey": 0.0}


def test_without_reach_the_light_stays() -> None:
    assert torch.allclose(lit(), COLOURS, atol=1e-5)


def test_brightness_shifts_every_channel_of_an_image_alike() -> None:
    shift = lit(brightness=0.3) - COLOURS
    assert float(shift.flatten(1).std(1).max()) < 1e-5
    assert (float(shift.min()), float(shift.max())) == pytest.approx((-0.15, 0.15), rel=0.03)


def test_contrast_stretches_an_image_about_its_middle() -> None:
    stretched = lit(contrast=0.3)
    factor = stretched.flatten(1).std(1) / COLOURS.flatten(1).std(1)
    assert torch.allclose(stretched.mean((1, 2, 3)), COLOURS.mean((1, 2, 3)), atol=1e-5)
    assert (float(factor.min()), float(factor.max())) == pytest.approx((0.7, 1.3), rel=0.03)


def test_saturation_leaves_the_brightness_of_each_pixel() -> None:
    weights = torch.tensor((0.299, 0.587, 0.114))  # of ITU-R BT.601
    coloured = lit(saturation=0.4)
    before, after = (torch.einsum("c,nchw->nhw", weights, images) for images in (COLOURS, coloured))
    assert torch.allclose(before, after, atol=1e-5)
    spread = coloured.std(1).mean((1, 2)) / COLOURS.std(1).mean((1, 2))
    assert (float(spread.min()), float(spread.max())) == pytest.approx((0.6, 1.4), rel=0.03)


def test_a_tint_shifts_each_channel_by_its_own() -> None:
    shift = (lit(tint=0.06) - COLOURS).mean((2, 3))
    assert float(shift.abs().max()) == pytest.approx(0.06, rel=0.03)
    assert float(shift.std(1).mean()) > 0.02


def test_a_share_of_the_faces_is_grey() -> None:
    grey = (lit(grey=0.1).std(1) < 1e-5).flatten(1).all(1)
    assert 0.07 < float(grey.float().mean()) < 0.13


def test_a_share_of_the_faces_is_coarse() -> None:
    torch.manual_seed(0)
    board = ((torch.arange(24)[:, None] + torch.arange(24)[None]) % 2).float().expand(500, 3, 24, 24).clone()
    coarse = augment._coarsen(board, 0.15).flatten(1).std(1) < 0.4
    assert 0.1 < float(coarse.float().mean()) < 0.2


def test_a_share_of_the_faces_is_hidden_in_part() -> None:
    torch.manual_seed(0)
    hidden = (augment._hide(torch.ones(1000, 3, 24, 24), 0.3) == 0.5)[:, 0].float().mean((1, 2))
    assert 0.25 < float((hidden > 0).float().mean()) < 0.35
    assert float(hidden[hidden > 0].min()) > 0.01 and 0.15 < float(hidden.max()) < 0.25


def test_the_gentle_augmentation_neither_greys_nor_hides_nor_coarsens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[float, ...]] = []
    monkeypatch.setattr(augment, "_hide", lambda *_: pytest.fail("hidden"))
    monkeypatch.setattr(augment, "_coarsen", lambda *_: pytest.fail("coarse"))

    def note(images: torch.Tensor, *reach: float) -> torch.Tensor:
        asked.append(reach)
        return images

    monkeypatch.setattr(augment, "_light", note)
    ChipAugmentation(gentle=True)(torch.rand(4, 3, 8, 8))
    assert asked[0][2:] == (0.0, 0.0, 0.0)
