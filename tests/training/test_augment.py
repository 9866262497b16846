import torch

from mien.training.augment import ChipAugmentation, to_images


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
