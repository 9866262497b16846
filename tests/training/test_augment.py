import torch

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
