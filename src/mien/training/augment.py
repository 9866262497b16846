"""Augmentation of whole batches, with one resampling and one colour transform.

A chain of separate augmentations takes a third of a training step on a CPU; combined, they take a twentieth.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RED_GREEN_BLUE = (0.299, 0.587, 0.114)
"""Weights of the channels in a pixel's luminance (ITU-R BT.601)."""


class ChipAugmentation(nn.Module):
    """Rotation, inexact framing, lighting, low resolution, noise, sharpening and occlusion, as in photos.

    Scale and shift match the jitter of a detector's boxes, from which chips are cut in prediction.
    """

    def __init__(self, *, gentle: bool = False) -> None:
        """Choose the strength; the gentle one leaves faces nearly unchanged."""
        super().__init__()
        self.gentle = gentle

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, 3, side, side) in [0, 1] to the same shape and range."""
        if self.gentle:
            return _light(_move(images, 8.0, 0.04, 0.08), 0.08, 0.1, 0.0, 0.0, 0.0).clamp(0, 1)
        images = _light(_move(images, 12.0, 0.06, 0.14), 0.25, 0.25, 0.3, 0.04, 0.1, dark=0.05)
        images = _sharpen(_coarsen(_trim(images, 0.06), 0.12), 0.15)
        return _hide(_grain(images, 0.15), 0.2).clamp(0, 1)


def _uniform(images: Tensor, reach: float, *shape: int) -> Tensor:
    """Draw uniform numbers in [-reach, reach], of shape (n, *shape) for n images."""
    return (2 * torch.rand(len(images), *shape, device=images.device) - 1) * reach


def _move(images: Tensor, degrees: float, shift: float, scale: float) -> Tensor:
    """Mirror half of the images; rotate, shift (by a share of the side) and scale nine out of ten."""
    moved = torch.rand(len(images), device=images.device) < 0.9
    angle = torch.deg2rad(_uniform(images, degrees)) * moved
    zoom = torch.exp(_uniform(images, scale) * moved)
    mirrored = torch.where(torch.rand(len(images), device=images.device) < 0.5, -1.0, 1.0)
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    turn = torch.stack([cosine * mirrored, -sine, sine * mirrored, cosine], 1).view(-1, 2, 2)
    offset = 2 * _uniform(images, shift, 2, 1) * moved[:, None, None]
    grid = F.affine_grid(torch.cat([turn, offset], 2), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _light(
    images: Tensor,
    brightness: float,
    contrast: float,
    saturation: float,
    tint: float,
    grey: float,
    dark: float = 0.0,
) -> Tensor:
    """Change brightness, contrast, saturation and tint at random; make some images grey, some dark.

    A share ``grey`` of the images loses its colours; a share ``dark`` is multiplied by 0.2 to 1. Every change
    is affine in a pixel's colour, so one matrix and one offset per image combine them all.
    """
    luminance = torch.tensor(RED_GREEN_BLUE, device=images.device).expand(3, 3)
    colour = 1 + _uniform(images, saturation, 1, 1)
    colour = colour * (torch.rand_like(colour) >= grey)
    matrix = luminance + colour * (torch.eye(3, device=images.device) - luminance)
    factor = 1 + _uniform(images, contrast, 1, 1)
    middle = images.mean((1, 2, 3))[:, None, None]
    shift = middle * (1 - factor) + _uniform(images, brightness / 2, 1, 1) + _uniform(images, tint, 3, 1)
    light = torch.where(torch.rand_like(factor) < dark, 0.6 + _uniform(images, 0.4, 1, 1), 1.0)
    return torch.baddbmm(light * shift, light * factor * matrix, images.flatten(2)).view_as(images)


def _coarsen(images: Tensor, share: float) -> Tensor:
    """Reduce a share of the images to the resolution of smaller faces."""
    chosen = torch.rand(len(images), device=images.device) < share
    side = images.shape[-1]
    small = round(side * float(torch.empty(1).uniform_(0.3, 0.8)))
    coarse = F.interpolate(images[chosen], size=(small, small), mode="bilinear", antialias=True)
    images[chosen] = F.interpolate(coarse, size=(side, side), mode="bilinear")
    return images


def _trim(images: Tensor, share: float) -> Tensor:
    """Replace the margins by repeated edge pixels in a share of the images, as in crops cut too tightly."""
    chosen = torch.rand(len(images), device=images.device) < share
    side = images.shape[-1]
    left, top, right, bottom = (round(side * float(torch.rand(())) * 0.2) for _ in range(4))
    middle = images[chosen][:, :, top : side - bottom, left : side - right]
    images[chosen] = F.pad(middle, (left, right, top, bottom), mode="replicate")
    return images


def _sharpen(images: Tensor, share: float) -> Tensor:
    """Sharpen a share of the images by unsharp masking, or blur them slightly."""
    chosen = torch.rand(len(images), device=images.device) < share
    some = images[chosen]
    width = 3 if float(torch.rand(())) < 0.5 else 5
    blurred = F.avg_pool2d(some, width, 1, width // 2, count_include_pad=False)
    images[chosen] = some + (0.6 + _uniform(some, 1.4, 1, 1, 1)) * (some - blurred)
    return images


def _grain(images: Tensor, share: float) -> Tensor:
    """Add grey or coloured, fine or coarse noise to a share of the images, as of film, scans or high ISO."""
    chosen = torch.rand(len(images), device=images.device) < share
    some = images[chosen]
    n, channels, height, width = some.shape
    coarseness = 1 + int(torch.randint(3, ()))
    colours = 1 if float(torch.rand(())) < 0.5 else channels
    shape = (n, colours, -(-height // coarseness), -(-width // coarseness))
    noise = torch.randn(shape, device=images.device)
    noise = F.interpolate(noise, size=(height, width), mode="bilinear") if coarseness > 1 else noise
    images[chosen] = some + 0.1 * torch.rand(n, 1, 1, 1, device=images.device) * noise
    return images


def _hide(images: Tensor, share: float) -> Tensor:
    """Lay a grey rectangle over a share of the images (Zhong et al., "Random erasing", AAAI 2020)."""
    side = images.shape[-1]
    area = 0.02 + 0.18 * torch.rand(len(images), device=images.device)
    ratio = torch.exp(_uniform(images, 0.9))
    size = side * torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], 1)
    size = size * (torch.rand(len(images), 1, device=images.device) < share)
    start = torch.rand_like(size) * (side - size)
    pixel = torch.arange(side, device=images.device)
    inside = (pixel >= start[..., None]) & (pixel < (start + size)[..., None])
    return torch.where((inside[:, 0, :, None] & inside[:, 1, None, :])[:, None], 0.5, images)


def to_images(chips: Tensor, side: int) -> Tensor:
    """Convert uint8 chips (n, s, s, 3) to float32 (n, 3, side, side) in [0, 1], without aliasing."""
    images = chips.permute(0, 3, 1, 2)
    if images.shape[-1] != side:  # resampling bytes is ten times as fast as resampling floats
        images = F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    return images.to(torch.float32, memory_format=torch.contiguous_format).mul_(1 / 255)
