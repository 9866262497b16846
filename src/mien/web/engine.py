"""Estimates within the server's limits; blocking, thread-safe, and without a network."""

import io
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import replace

import numpy as np

from mien.draw import draw_estimates
from mien.errors import ServerError
from mien.photo_result import PhotoResult
from mien.pipeline.images import EncodedPhoto, Photo, open_photo
from mien.predictor import Predictor
from mien.request import Request
from mien.web.settings import Settings


class Engine:
    """A predictor that keeps to the server's limits and knows its detectors.

    Args:
        settings: Names the model, the detectors and the limits.
        predictor: Used with its own detector instead.

    Attributes:
        metadata: Of the model.
        device: What the model runs on.

    Raises:
        MienError: If the model or a detector cannot be loaded.
    """

    def __init__(self, settings: Settings, predictor: Predictor | None = None) -> None:
        """Load everything."""
        self.settings = settings
        others = settings.detectors[1:] if predictor is None else ()
        self._detectors = dict(zip(settings.detector_names, (None, *others), strict=False))
        self._predictor = copy(predictor or _predictor(settings))
        self._predictor.max_pixels, self._predictor.max_faces = settings.max_pixels, settings.max_faces
        self.metadata, self.device = self._predictor.model.metadata, self._predictor.device
        for name in self._detectors:
            self.complete(Request(detector=name))  # sets it up

    def complete(self, request: Request) -> Request:
        """A request as the predictor takes it.

        Raises:
            ValueError: If the coverage or a threshold lies outside what the model knows; it says which.
        """
        name = request.detector or self.settings.detector_names[0]
        return self._predictor.complete(replace(request, detector=self._detectors[name]))

    def predict(self, photo: EncodedPhoto, request: Request) -> PhotoResult:
        """Estimate every face of a photo.

        Args:
            photo: The photo.
            request: As :meth:`complete` gives it.

        Raises:
            ImageError: If it cannot be read or exceeds a limit.
        """
        return self._predictor.predict(photo, request)

    def annotate(self, photo: EncodedPhoto, request: Request) -> bytes:
        """A JPEG of the photo with its faces marked, made from the pixels alone: without metadata.

        Raises:
            ImageError: If it cannot be read or exceeds a limit.
        """
        result = self._predictor.predict(photo, request)
        with self.reading(photo) as decoded:
            drawing = draw_estimates(decoded.pixels, result)
        buffer = io.BytesIO()
        drawing.save(buffer, "JPEG", quality=92)
        return buffer.getvalue()

    def warm_up(self) -> None:
        """Estimate a blank picture, as every detector sees it and as a face."""
        blank = Photo("blank", np.zeros((64, 64, 3), np.uint8))
        for name in self._detectors:
            self._predictor.predict(blank, self.complete(Request(detector=name)))
        self._predictor.predict(blank, faces="aligned")

    def reading(self, photo: EncodedPhoto, side: int | None = None) -> AbstractContextManager[Photo]:
        """Read a photo within the limits; it counts as in work until the block ends.

        Args:
            photo: The photo.
            side: Longer side in pixels that is needed of it; None for the whole photo.
        """
        opened = open_photo(photo, max_pixels=self.settings.max_pixels)
        reduction = opened.reduction(max(opened.size) / side) if side else 1
        return opened.reading(reduction, damaged=True)


def _predictor(settings: Settings) -> Predictor:
    try:
        return Predictor(
            settings.model, settings.detectors[0], coverage=settings.coverage, device=settings.device
        )
    except ValueError as error:
        raise ServerError(f"--coverage (MIEN_COVERAGE): {error}.") from None
