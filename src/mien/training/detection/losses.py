"""Which positions answer for which face, and what is wrong with their answers."""

import torch
import torch.nn.functional as F
from torch import Tensor

SIZES = ((0.0, 40.0), (28.0, 88.0), (64.0, 200.0), (144.0, float("inf")))
"""Sizes of faces in pixels (roots of the boxes' areas) that each stride's positions answer for."""

MIDDLE = 0.2
"""Positions within this share of a face's width and height about its middle answer for it …"""

NEAREST = 0.6
"""… and those within this share of their stride, so that small faces have one."""

AROUND = 2.0
"""Positions up to this many times as far from the middle are left alone: they see nearly the same."""


def assign(boxes: Tensor, kind: Tensor, middles: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Give every position a face to answer for, none, or leave to say what it will.

    Centre sampling by levels (Tian et al., FCOS, ICCV 2019, section 3.2): of several faces the smallest.
    Left alone are positions within regions of unknown content, those around the ones that answer, and those
    near a face's middle whose level just misses its size.

    Args:
        boxes: (n, g, 4).
        kind: (n, g): 1 a face, 0 a region to be left alone, -1 nothing.
        middles: (k, 2).
        strides: (k,).

    Returns:
        (n, k) index of the face, -1 for none; (n, k) whether an answer counts.
    """
    low, high = torch.tensor(SIZES, device=boxes.device)[(strides / strides.min()).log2().long()].T
    # One image at a time: few of the padded faces are any, but a crowd would set the pace for all.
    assigned = [
        _assign(image_boxes[image_kind >= 0], image_kind[image_kind >= 0], middles, strides, low, high)
        for image_boxes, image_kind in zip(boxes, kind, strict=True)
    ]
    return torch.stack([face for face, _ in assigned]), torch.stack([counts for _, counts in assigned])


def _assign(
    boxes: Tensor, kind: Tensor, middles: Tensor, strides: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """The same for the faces (g, 4) of one image, given the sizes (k,) that each position answers for."""
    if len(boxes) == 0:
        return torch.full_like(strides, -1, dtype=torch.long), torch.ones_like(strides, dtype=torch.bool)
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
    size = sides.prod(-1).sqrt()
    offset = (middles[:, None] - (boxes[:, 2:] + boxes[:, :2]) / 2).abs()
    reach = torch.maximum(MIDDLE * sides, NEAREST * strides[:, None, None])
    at_middle = (offset <= reach).all(-1) & (kind == 1)
    around = (offset <= AROUND * reach).all(-1) & (kind == 1)
    fits = (size >= low[:, None]) & (size < high[:, None])
    nearly = (size >= low[:, None] / 2) & (size < high[:, None] * 2)
    smallest, face = torch.where(at_middle & fits, size, torch.inf).min(-1)
    found = smallest.isfinite()
    unknown = ((offset <= sides / 2).all(-1) & (kind == 0)).any(-1)
    counts = found | ~(unknown | (around & nearly).any(-1))
    return torch.where(found, face, -1), counts


def detection_losses(
    scores: Tensor,
    boxes: Tensor,
    points: Tensor,
    targets: tuple[Tensor, Tensor],
    found: tuple[Tensor, Tensor],
) -> dict[str, Tensor]:
    """Losses of a batch, each a mean over the positions that answer for a face.

    Args:
        scores: (n, k) logits.
        boxes: (n, k, 4) decoded.
        points: (n, k, 10) decoded.
        targets: Boxes (n, g, 4) and points (n, g, 10), NaN where not known.
        found: What :func:`assign` gave.

    Returns:
        ``score_loss``: quality focal loss (Li et al., "Generalized focal loss", NeurIPS 2020) towards the
        overlap of box and face; ``box_loss``: distance IoU (Zheng et al., AAAI 2020); ``point_loss``: mean
        distance of the coordinates, in sizes of the face; ``loss``: their weighted sum.
    """
    face, counts = found
    row, position = torch.nonzero(face >= 0, as_tuple=True)
    index = face[row, position]
    true_boxes, true_points = targets[0][row, index], targets[1][row, index]
    overlap, distance = _overlap_and_distance(boxes[row, position], true_boxes)
    quality = torch.zeros_like(scores)
    quality[row, position] = 0.5 + 0.5 * overlap.detach().clamp(0, 1)
    probability = scores.sigmoid()
    focus = (quality - probability).abs() ** 2
    entropy = F.binary_cross_entropy_with_logits(scores, quality, reduction="none")
    number = max(1, len(row))
    losses = {"score_loss": (focus * entropy * counts).sum() / number}
    losses["box_loss"] = (1 - overlap + distance).sum() / number
    size = (true_boxes[:, 2:] - true_boxes[:, :2]).prod(1).sqrt()[:, None]
    known = ~true_points.isnan()
    off = (points[row, position] - true_points.nan_to_num()) / size
    off = F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.02, reduction="none") * known
    losses["point_loss"] = off.sum() / known.sum().clamp(min=1)
    losses["loss"] = 2 * (losses["score_loss"] + losses["box_loss"]) + 10 * losses["point_loss"]
    return losses


def _overlap_and_distance(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union of paired boxes, and their middles' squared distance by the hull's diagonal."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2) ** 2
    return shared / union.clamp(min=1e-6), apart.sum(1) / (hull**2).sum(1).clamp(min=1e-6)
