"""Estimation within the server's limits: blocking, thread-safe, and independent of HTTP."""

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
    """A predictor with the server's limits and detectors.

    Args:
        settings: Model, detectors and limits.
        predictor: Predictor to use, with its own detector, in place of the settings' model and detectors.

    Attributes:
        metadata: Metadata of the model.
        device: Device that the model runs on.

    Raises:
        MienError: If the model or a detector cannot be loaded.
    """

    def __init__(self, settings: Settings, predictor: Predictor | None = None) -> None:
        """Load the model and the detectors."""
        self.settings = settings
        others = settings.detectors[1:] if predictor is None else ()
        self._detectors = dict(zip(settings.detector_names, (None, *others), strict=False))
        self._predictor = copy(predictor or _predictor(settings))
        self._predictor.max_pixels, self._predictor.max_faces = settings.max_pixels, settings.max_faces
        self.metadata, self.device = self._predictor.model.metadata, self._predictor.device
        for name in self._detectors:
            self.complete(Request(detector=name))  # loads the detector

    def complete(self, request: Request) -> Request:
        """Complete a request with the defaults of the server and the model.

        Raises:
            ValueError: If the coverage or a threshold is outside the model's range; the message names it.
        """
        name = request.detector or self.settings.detector_names[0]
        return self._predictor.complete(replace(request, detector=self._detectors[name]))

    def predict(self, photo: EncodedPhoto, request: Request) -> PhotoResult:
        """Estimate every face of a photo.

        Args:
            photo: The photo.
            request: A request from :meth:`complete`.

        Raises:
            ImageError: If the photo cannot be read or exceeds a limit.
        """
        return self._predictor.predict(photo, request)

    def annotate(self, photo: EncodedPhoto, request: Request) -> bytes:
        """A JPEG of the upright photo with its faces marked, without metadata.

        Raises:
            ImageError: If the photo cannot be read or exceeds a limit.
        """
        result = self._predictor.predict(photo, request)
        with self.reading(photo) as decoded:
            drawing = draw_estimates(decoded.pixels, result)
        buffer = io.BytesIO()
        drawing.save(buffer, "JPEG", quality=92)
        return buffer.getvalue()

    def warm_up(self) -> None:
        """Estimate a blank picture once with every detector and once as a face crop."""
        blank = Photo("blank", np.zeros((64, 64, 3), np.uint8))
        for name in self._detectors:
            self._predictor.predict(blank, self.complete(Request(detector=name)))
        self._predictor.predict(blank, faces="aligned")

    def reading(self, photo: EncodedPhoto, side: int | None = None) -> AbstractContextManager[Photo]:
        """Open and decode a photo within the limits, for the length of the block.

        Args:
            photo: The photo.
            side: Minimum longer side in pixels to decode; None for the full size.

        Raises:
            ImageError: If the photo cannot be read or exceeds a limit.
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
