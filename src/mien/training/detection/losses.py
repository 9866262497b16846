"""Assignment of ground-truth faces to positions, and the detector's losses."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SIZES = ((0.0, 40.0), (28.0, 88.0), (64.0, 200.0), (144.0, float("inf")))
"""Range of face sizes in pixels (square root of the box area) that each stride's positions predict."""

MIDDLE = 0.2
"""Positions are positive up to this share of a face's width and height from its centre."""

NEAREST = 0.6
"""They are also positive up to this share of their stride, so that even the smallest face has one."""

AROUND = 2.0
"""Further positions up to this many times as far are ignored: they see almost the same pixels."""


class Assignment(NamedTuple):
    """What each position of the net learns from each image.

    Attributes:
        face: (n, k) index of the face whose box and landmarks the position predicts, -1 for none.
        positive: (n, k) whether the position is to score this face as one.
        counts: (n, k) whether the position counts in the score loss.
    """

    face: Tensor
    positive: Tensor
    counts: Tensor


def assign(boxes: Tensor, kind: Tensor, middles: Tensor, strides: Tensor) -> Assignment:
    """Mark each position as positive, negative or ignored, and assign it a face.

    Centre sampling by level (Tian et al., FCOS, ICCV 2019, section 3.2). A position that fits several faces
    gets the smallest one. Ignored are positions in ignore regions, positions that surround the positive ones,
    and positions near a face's centre on a level whose size range misses the face by less than a factor of 2.
    Of the latter, those at the centre learn the box and the landmarks all the same. They score some of these
    faces highly, and would otherwise predict them at the end of their size range.

    Args:
        boxes: (n, g, 4) x1, y1, x2, y2 in pixels.
        kind: (n, g): 1 for a face, 0 for an ignore region, -1 for padding.
        middles: (k, 2) centres of the positions in pixels.
        strides: (k,) strides of the positions in pixels.
    """
    low, high = torch.tensor(SIZES, device=boxes.device)[(strides / strides.min()).log2().long()].T
    # Image by image without the padding: in one batch, every image would cost as much as the most crowded.
    assigned = [
        _assign(image_boxes[image_kind >= 0], image_kind[image_kind >= 0], middles, strides, low, high)
        for image_boxes, image_kind in zip(boxes, kind, strict=True)
    ]
    return Assignment(*map(torch.stack, zip(*assigned, strict=True)))


def _assign(
    boxes: Tensor, kind: Tensor, middles: Tensor, strides: Tensor, low: Tensor, high: Tensor
) -> Assignment:
    """Assign the faces (g, 4) of one image, given each position's range of face sizes (k,) in pixels."""
    if len(boxes) == 0:
        none = torch.zeros_like(strides, dtype=torch.bool)
        return Assignment(torch.full_like(strides, -1, dtype=torch.long), none, ~none)
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
    size = sides.prod(-1).sqrt()
    offset = (middles[:, None] - (boxes[:, 2:] + boxes[:, :2]) / 2).abs()
    reach = torch.maximum(MIDDLE * sides, NEAREST * strides[:, None, None])
    at_middle = (offset <= reach).all(-1) & (kind == 1)
    around = (offset <= AROUND * reach).all(-1) & (kind == 1)
    fits = (size >= low[:, None]) & (size < high[:, None])
    nearly = (size >= low[:, None] / 2) & (size < high[:, None] * 2)
    smallest, fitting = torch.where(at_middle & fits, size, torch.inf).min(-1)
    smallest_near, near = torch.where(at_middle & nearly, size, torch.inf).min(-1)
    positive = smallest.isfinite()
    face = torch.where(positive, fitting, torch.where(smallest_near.isfinite(), near, -1))
    unknown = ((offset <= sides / 2).all(-1) & (kind == 0)).any(-1)
    counts = positive | ~(unknown | (around & nearly).any(-1))
    return Assignment(face, positive, counts)


def detection_losses(
    scores: Tensor, boxes: Tensor, points: Tensor, targets: tuple[Tensor, Tensor], assigned: Assignment
) -> dict[str, Tensor]:
    """Compute the losses of a batch.

    Args:
        scores: (n, k) logits.
        boxes: (n, k, 4) decoded, in pixels.
        points: (n, k, 10) decoded, in pixels.
        targets: Ground-truth boxes (n, g, 4) and landmarks (n, g, 10) in pixels, NaN where not known.
        assigned: Return value of :func:`assign`.

    Returns:
        ``score_loss``: quality focal loss (Li et al., "Generalized focal loss", NeurIPS 2020), whose target
        is 0.5 + 0.5 IoU for positive positions and 0 for negative ones; the sum divided by the number of
        positives. ``box_loss``: distance-IoU loss (Zheng et al., AAAI 2020), the mean over the positions with
        a face. ``point_loss``: smooth L1 of the landmark errors in units of the face size, the mean over the
        known coordinates. ``loss``: their weighted sum.
    """
    row, position = torch.nonzero(assigned.face >= 0, as_tuple=True)
    index = assigned.face[row, position]
    true_boxes, true_points = targets[0][row, index], targets[1][row, index]
    overlap, distance = _overlap_and_distance(boxes[row, position], true_boxes)
    quality = torch.zeros_like(scores)
    quality[row, position] = 0.5 + 0.5 * overlap.detach().clamp(0, 1)
    quality = quality * assigned.positive
    focus = (quality - scores.sigmoid()).abs() ** 2
    entropy = F.binary_cross_entropy_with_logits(scores, quality, reduction="none")
    score_loss = (focus * entropy * assigned.counts).sum() / assigned.positive.sum().clamp(min=1)
    box_loss = (1 - overlap + distance).sum() / max(1, len(row))
    size = (true_boxes[:, 2:] - true_boxes[:, :2]).prod(1).sqrt()[:, None]
    known = ~true_points.isnan()
    off = (points[row, position] - true_points.nan_to_num()) / size
    off = F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.02, reduction="none") * known
    point_loss = off.sum() / known.sum().clamp(min=1)
    loss = 2 * (score_loss + box_loss) + 10 * point_loss
    return {"score_loss": score_loss, "box_loss": box_loss, "point_loss": point_loss, "loss": loss}


def _overlap_and_distance(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU of paired boxes (m, 4), and the squared ratio of centre distance to diagonal of the common hull."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2) ** 2
    return shared / union.clamp(min=1e-6), apart.sum(1) / (hull**2).sum(1).clamp(min=1e-6)
