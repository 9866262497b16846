"""Looking at photos within the server's limits; blocking, thread-safe, and without a network."""

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from mien.draw import draw_estimates
from mien.errors import ImageError, PhotoTooLargeError, ServerError
from mien.pipeline.detect import Detector
from mien.pipeline.images import EncodedPhoto, Photo, Pixels, reading
from mien.pipeline.intervals import check_coverage
from mien.pipeline.model import Model
from mien.predictor import Predictor
from mien.results import Estimate, Face, PhotoResult
from mien.web.options import Options
from mien.web.settings import Settings


@dataclass(frozen=True, slots=True)
class _FewFaces:
    """A detector that refuses a photo with more faces than the server looks at."""

    detector: Detector
    max_faces: int

    def detect(self, photo: Pixels) -> list[Face]:
        found = self.detector.detect(photo)
        if len(found) > self.max_faces:
            raise PhotoTooLargeError(
                f"The photo has {len(found)} faces; {self.max_faces} at most are looked at, so cut it up."
            )
        return found


class Engine:
    """Predictors, one a detector, that share one model.

    Args:
        settings: Names the model, the detectors and the limits.
        predictor: Used as the only detector's predictor instead.

    Attributes:
        metadata: Of the model.
        device: What the model runs on.

    Raises:
        MienError: If the model or a detector cannot be loaded.
    """

    def __init__(self, settings: Settings, predictor: Predictor | None = None) -> None:
        """Load everything."""
        self.settings = settings
        if predictor is None:
            model = Model(settings.model, device=settings.device)
            try:
                check_coverage(settings.coverage, model.metadata.interval)
            except ValueError as error:
                raise ServerError(f"--coverage (MIEN_COVERAGE): {error}.") from None
            made = [Predictor(model, name, coverage=settings.coverage) for name in settings.detectors]
        else:
            made = [predictor]
        self._predictors = {
            (name, rotate): Predictor(
                p.model,
                _FewFaces(p.detector, settings.max_faces),
                coverage=p.coverage,
                gender_threshold=p.gender_threshold,
                rotate=p.rotate and rotate,
                max_pixels=settings.max_pixels,
            )
            for name, p in zip(settings.detector_names, made, strict=True)
            for rotate in (True, False)
        }
        self.metadata, self.device = made[0].model.metadata, made[0].model.device

    def look(self, photo: EncodedPhoto, options: Options) -> PhotoResult:
        """Estimate every face of a photo.

        Raises:
            ImageError: If it cannot be read or exceeds a limit.
        """
        with self.reading(photo) as decoded:
            return PhotoResult(photo.name, decoded.width, decoded.height, self._predict(decoded, options))

    def look_at_many(
        self, photos: Sequence[EncodedPhoto], options: Options
    ) -> list[PhotoResult | ImageError]:
        """Estimate the faces of several photos, which go through the model together.

        Returns:
            One result a photo, or the error that :meth:`look` would raise.
        """
        results = self._predictor(options).predict_many(
            photos,
            faces=options.faces,
            coverage=options.coverage,
            thresholds=options.thresholds,
            gender_threshold=options.gender_threshold,
        )
        return [result.failure if isinstance(result.failure, ImageError) else result for result in results]

    def annotate(self, photo: EncodedPhoto, options: Options) -> bytes:
        """A JPEG of the photo with its faces marked, made from the pixels alone: without metadata.

        Raises:
            ImageError: If it cannot be read or exceeds a limit.
        """
        with self.reading(photo) as decoded:
            drawing = draw_estimates(decoded.pixels, self._predict(decoded, options))
        buffer = io.BytesIO()
        drawing.save(buffer, "JPEG", quality=92)
        return buffer.getvalue()

    def look_at_nothing(self) -> None:
        """Look at a blank picture, as every detector sees it and as a face."""
        blank = Photo("blank", np.zeros((64, 64, 3), np.uint8))
        for predictor in self._predictors.values():
            predictor.predict(blank)
        predictor.predict(blank, faces="aligned")

    def reading(self, photo: EncodedPhoto) -> AbstractContextManager[Photo]:
        """Read a photo within the limits; it counts as in work until the block ends."""
        return reading(photo, max_pixels=self.settings.max_pixels, damaged=True)

    def check(self, options: Options) -> None:
        """Refuse what no photo can be answered with.

        Raises:
            ValueError: If the coverage or a threshold lies outside what the model knows; it says which.
        """
        for _ in next(iter(self._predictors.values())).predict_many(
            [],
            coverage=options.coverage,
            thresholds=options.thresholds,
            gender_threshold=options.gender_threshold,
        ):
            raise AssertionError("no photo, no result")

    def _predictor(self, options: Options) -> Predictor:
        return self._predictors[options.detector or self.settings.detector_names[0], options.rotate]

    def _predict(self, photo: Photo, options: Options) -> tuple[Estimate, ...]:
        return tuple(
            self._predictor(options).predict(
                photo,
                faces=options.faces,
                coverage=options.coverage,
                thresholds=options.thresholds,
                gender_threshold=options.gender_threshold,
            )
        )
