"""Losses for ages that are known exactly or as a bin, and for labels that may be missing."""

import torch
import torch.nn.functional as F
from torch import Tensor

TAUGHT = 0.5
"""Weight of the teacher's output in the training target; the label has the remaining weight."""

LEAST_TAUGHT = 1e-4
"""Added to the teacher's probability of each age in a bin, since these may all be 0."""


def age_loss(
    logits: Tensor,
    low: Tensor,
    high: Tensor,
    taught: Tensor | None = None,
    sigma: float = 2.0,
    l1_weight: float = 0.25,
) -> Tensor:
    """Label-distribution loss plus smooth L1 on the expected age.

    For an exact age the target is a Gaussian of standard deviation ``sigma`` around it (Gao et al., DLDL-v2,
    IJCAI 2018, sections 3.1 and 3.2). For a bin the loss is the negative logarithm of the predicted mass
    inside the bin. A teacher adds the cross-entropy with its distribution (Hinton et al., 2015, at
    temperature 1); for a bin its distribution is restricted to the bin's ages. The L1 part, smoothed within a
    year, is the distance of the expected age to the labelled age, or to the nearest end of the bin,
    independently of the teacher.

    Args:
        logits: (n, ages) over the ages 0, 1, …, ages - 1.
        low: (n,) lower bound of the labelled age in years, inclusive; NaN where the age is not known. Such a
            row counts as a bin of all ages, whose loss without a teacher is 0.
        high: (n,) upper bound, inclusive; equal to ``low`` where the age is exact.
        taught: (n, ages) a teacher's age probabilities; None without a teacher.
        sigma: Standard deviation in years.
        l1_weight: Weight of the L1 part.

    Returns:
        The mean over the batch, a scalar.
    """
    ages = torch.arange(logits.shape[1], device=logits.device, dtype=logits.dtype)
    last = float(ages[-1])
    low = low.nan_to_num(0).clamp(max=last)
    high = high.nan_to_num(last).clamp(max=last)  # older faces count as the last age
    log_p = F.log_softmax(logits, dim=1)
    target = torch.softmax(-((ages - low[:, None]) ** 2) / (2 * sigma**2), dim=1)
    exact = -(target * log_p).sum(1)
    inside = (ages >= low.floor()[:, None]) & (
        ages <= high.ceil()[:, None]
    )  # at least one age, whatever the bin
    binned = -torch.logsumexp(log_p.masked_fill(~inside, -torch.inf), dim=1)
    labelled = torch.where(low == high, exact, binned)
    if taught is not None:
        within = (taught + LEAST_TAUGHT) * inside
        known = torch.where((low == high)[:, None], taught, within / within.sum(1, keepdim=True))
        labelled = labelled.lerp(-(known * log_p).sum(1), TAUGHT)
    years = (log_p.exp() * ages).sum(1)  # autocast would round a matrix product to bfloat16: 0.25 years
    nearest = torch.maximum(torch.minimum(years, high), low)
    l1 = F.smooth_l1_loss(years, nearest, reduction="none")
    return (labelled + l1_weight * l1).mean()


def gender_loss(
    logit: Tensor, gender: Tensor, weight: Tensor | None = None, taught: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy over the rows whose gender is known.

    Args:
        logit: (n,) logit of "female".
        gender: (n,) 0 male, 1 female, -1 unknown.
        weight: (n,) weight of each row, 1 on average; None for equal weights.
        taught: (n,) a teacher's p(female); None without a teacher.

    Returns:
        The mean over the rows whose gender is known, a scalar; 0 if there are none.
    """
    known = (gender >= 0).to(logit.dtype)
    if weight is not None:
        known = known * weight
    target = gender.clamp(min=0).to(logit.dtype)
    if taught is not None:
        target = target.lerp(taught, TAUGHT)
    loss = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
    return (loss * known).sum() / (gender >= 0).sum().clamp(min=1)


def race_loss(logits: Tensor, race: Tensor) -> Tensor:
    """Cross-entropy over the rows whose race is known.

    Args:
        logits: (n, races).
        race: (n,) class index, -1 unknown.

    Returns:
        The mean over these rows, a scalar; 0 if there are none.
    """
    loss = F.cross_entropy(logits, race, ignore_index=-1, reduction="sum")
    return loss / (race >= 0).sum().clamp(min=1)
