"""How much boxes have in common."""

import numpy as np
import numpy.typing as npt


def intersection_over_union(
    a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Shared area over joint area of (n, 4) and (m, 4) boxes x1, y1, x2, y2: (n, m); 0 for empty ones."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner, 0, None).prod(-1)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(-1) for box in (a, b))
    joint = area_a[:, None] + area_b - shared
    return np.asarray(np.divide(shared, joint, out=np.zeros_like(shared), where=joint > 0), np.float64)
