"""How much boxes have in common: (n, 4) and (m, 4) of them, x1, y1, x2, y2."""

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.floating]
Shares = npt.NDArray[np.float64]


def intersection_over_union(a: Boxes, b: Boxes) -> Shares:
    """Shared area over joint area: (n, m); 0 for empty boxes."""
    shared, area_a, area_b = _areas(a, b)
    return _ratio(shared, area_a + area_b - shared)


def intersection_over_smaller(a: Boxes, b: Boxes) -> Shares:
    """Shared area over that of the smaller box, which is 1 where one lies in the other: (n, m)."""
    shared, area_a, area_b = _areas(a, b)
    return _ratio(shared, np.minimum(area_a, area_b))


def _areas(a: Boxes, b: Boxes) -> tuple[Shares, Shares, Shares]:
    """Of what pairs share (n, m), of the first (n, 1) and of the second (1, m)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner, 0, None).prod(-1)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(-1) for box in (a, b))
    return shared, area_a[:, None], area_b[None]


def _ratio(shared: Shares, whole: Shares) -> Shares:
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0), np.float64)
