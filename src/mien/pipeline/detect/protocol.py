"""The interface of a detector."""

from typing import Protocol

from mien.pipeline.images import Pixels
from mien.results import Face


class Detector(Protocol):
    """Anything that finds faces; :class:`~mien.predictor.Predictor` calls it from several threads at once."""

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces.

        Args:
            photo: (height, width, 3) upright RGB of any size.

        Returns:
            The faces, in any order, in pixels of the photo.
        """
        ...
