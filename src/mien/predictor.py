"""The predictor: from photos to estimates."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from PIL import Image

from mien.errors import ImageError, PhotoTooLargeError
from mien.photo_result import PhotoResult
from mien.pipeline.align import (
    CANONICAL_GEOMETRY,
    Transform,
    transform_of_crop,
    transform_of_face,
)
from mien.pipeline.detect import (
    Detector,
    TilingDetector,
    TurningDetector,
    make_detector,
)
from mien.pipeline.detect.named import NamedDetectors
from mien.pipeline.device_names import Device
from mien.pipeline.estimation import COVERAGE, complete, estimate_faces
from mien.pipeline.images import (
    MAX_PIXELS,
    EncodedPhoto,
    ImageFormat,
    Photo,
    PhotoSource,
    Pixels,
    check_image_format,
    name_of,
    open_photo,
    take_over,
)
from mien.pipeline.map_ahead import map_ahead
from mien.pipeline.prepared import Prepared, cut_out
from mien.pipeline.quality import flags_of, intact_faces
from mien.pipeline.reduction import (
    SEEN,
    face_in_whole,
    reduction_to_cut,
    reduction_to_see,
)
from mien.request import DEFAULT_DETECTOR, Options, Request
from mien.results import AgeEstimate, Box, Estimate, Face, GenderEstimate

if TYPE_CHECKING:
    from mien.pipeline.model import Model

LONGEST_SHAPE = 50
"""A photo more than this many times as long as wide is not searched for faces."""

_ONE_PHOTO = (str, bytes, bytearray, memoryview, os.PathLike, EncodedPhoto, Photo, Image.Image)


class _Source:
    """Pulls photos from an iterable and copies them, since the caller may reuse a buffer.

    Attributes:
        failure: The exception that the iterable raised, which ends the stream.
    """

    def __init__(self, photos: Iterable[PhotoSource], image_format: ImageFormat) -> None:
        self._photos = photos
        self._image_format = image_format
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[PhotoSource | PhotoResult]:
        photos = iter(self._photos)
        while True:
            try:
                photo = next(photos)
            except StopIteration:
                return
            except Exception as error:  # of any kind; raised after the results so far
                self.failure = error
                return
            try:
                yield take_over(photo, self._image_format)
            except ImageError as error:
                yield PhotoResult.failed(name_of(photo), error)


class Predictor:
    """Estimates apparent age and perceived gender of the faces in photos. Thread-safe; can be pickled.

    Args:
        model: Path of a model file, the name of a shipped model (``small`` or ``open``), or a loaded model;
            None for ``small``.
        detector: A name for :func:`~mien.pipeline.detect.make_detector`, or an object with the method of
            :class:`~mien.pipeline.detect.Detector`.
        coverage: Default coverage of the age intervals, for requests without one.
        gender_threshold: Default threshold, for requests without one; None for the model's own.
        rotate: False to disable the search in rotated photos, whatever a request says.
        max_pixels: Photos with more pixels are refused. A JPEG may have four times as many, since it can be
            decoded at a half, a quarter or an eighth of its sides.
        max_faces: Photos with more faces are refused; None for any number.
        device: Device of the model and mien's own detector: ``cpu``, ``cuda``, ``coreml``, ``directml`` or
            ``openvino``; ``auto`` for the first accelerator that works, or else ``cpu``. A loaded model stays
            on its device.

    Attributes:
        device: The device that the model runs on.

    Raises:
        DeviceError: If the device cannot be used.
        ModelError: If the model file cannot be used.
        DetectorError: If the detector cannot be set up.
        ValueError: If the model is not calibrated for ``coverage``, or ``gender_threshold`` is out of range.

    >>> predictor = Predictor()
    >>> (face,) = predictor.predict("examples/astronaut.jpg")
    >>> face.gender.label, face.age.low < 30 < face.age.high
    ('female', True)
    """

    def __init__(
        self,
        model: "str | os.PathLike[str] | Model | None" = None,
        detector: str | Detector = DEFAULT_DETECTOR,
        *,
        coverage: float = COVERAGE,
        gender_threshold: float | None = None,
        rotate: bool = True,
        max_pixels: int = MAX_PIXELS,
        max_faces: int | None = None,
        device: Device = "cpu",
    ) -> None:
        """Load the model and set up the detector."""
        from mien.pipeline.model import Model  # imports ONNX Runtime, which is slow

        self.model = model if isinstance(model, Model) else Model(model, device=device)
        self.device = self.model.device
        self.detector = make_detector(detector, device=self.device) if isinstance(detector, str) else detector
        self.coverage = coverage
        self.gender_threshold = gender_threshold
        self.rotate = rotate
        self.max_pixels = max_pixels
        self.max_faces = max_faces
        self._detectors = NamedDetectors(
            self.detector, detector if isinstance(detector, str) else None, self.device
        )
        self.complete(Request())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings, the model and the detector; mien's own load their files again."""
        settings = {
            name: getattr(self, name)
            for name in ("coverage", "gender_threshold", "rotate", "max_pixels", "max_faces")
        }
        return partial(Predictor, self.model, self.detector, **settings), ()

    def __call__(
        self, photo: PhotoSource, request: Request | None = None, **options: Unpack[Options]
    ) -> PhotoResult:
        """The same as :meth:`predict`."""
        return self.predict(photo, request, **options)

    def predict(
        self,
        photo: PhotoSource,
        request: Request | None = None,
        *,
        image_format: ImageFormat = "RGB",
        **options: Unpack[Options],
    ) -> PhotoResult:
        """Estimate every face of one photo.

        Args:
            photo: A path, the bytes of a file, an open file, a Pillow image or a uint8 array; see
                :func:`~mien.pipeline.images.read_photo`.
            request: What to estimate; None for the defaults.
            image_format: Channel order of an array: ``RGB``, or ``BGR`` as in OpenCV.
            **options: Fields of :class:`~mien.Request`, which take precedence over ``request``.

        Returns:
            The faces, in decreasing order of the box's area inside the photo; empty if no face is found.

        Raises:
            ImageError: If the photo cannot be read, is too large, has too many faces, or is truncated and
                shows no whole face in the readable part.
            DetectorError: If the requested detector cannot be set up.
            ValueError: If an option is out of range, the model does not support the coverage or a threshold,
                or ``longest_side`` is given for a detector that is not one of mien's.
            TypeError: If there is no option of that name.
        """
        asked = self.complete(request, **options)
        return self._estimate(self._read_and_prepare(photo, asked, image_format), asked)

    def predict_many(
        self,
        photos: Iterable[PhotoSource],
        request: Request | None = None,
        *,
        image_format: ImageFormat = "RGB",
        **options: Unpack[Options],
    ) -> Iterator[PhotoResult]:
        """Estimate every face of a stream of photos.

        As many photos are processed in parallel as there are processors, a few ahead of the results. Each
        result is exactly that of :meth:`predict`. Neither photos nor results accumulate in memory. An array
        or image may be changed or closed as soon as the next one is taken from ``photos``.

        Args:
            photos: Photos as for :meth:`predict`; read lazily.
            request: What to estimate for each photo; None for the defaults.
            image_format: As for :meth:`predict`.
            **options: As for :meth:`predict`.

        Yields:
            One result per photo, in their order; for a photo that cannot be read, a result with an ``error``.

        Raises:
            DetectorError: As for :meth:`predict`.
            ValueError: As for :meth:`predict`.
            TypeError: As for :meth:`predict`, and if ``photos`` is a single photo.
            Exception: Whatever ``photos`` itself raises, after the results of the photos before.
        """
        asked = self.complete(request, **options)
        check_image_format(image_format)
        one_array = isinstance(photos, np.ndarray) and photos.ndim < 4
        if one_array or isinstance(photos, _ONE_PHOTO) or callable(getattr(photos, "read", None)):
            raise TypeError("predict_many takes several photos; put a single one into a list, or use predict")
        return self._stream(photos, asked, image_format)

    def complete(self, request: Request | None = None, **options: Unpack[Options]) -> Request:
        """Fill in the defaults of this predictor and its model in a request.

        Raises:
            DetectorError: If the requested detector cannot be set up.
            ValueError: If an option is out of range, the model does not support the coverage or a threshold,
                or ``longest_side`` is given for a detector that is not one of mien's.
            TypeError: If there is no option of that name.
        """
        asked = replace(request or Request(), **options)
        self._detectors.get(asked.detector, asked.longest_side)
        own = replace(
            asked,
            coverage=self.coverage if asked.coverage is None else asked.coverage,
            gender_threshold=(
                self.gender_threshold if asked.gender_threshold is None else asked.gender_threshold
            ),
            rotate=self.rotate and asked.rotate,
        )
        return complete(own, self.model.metadata)

    def _stream(
        self, photos: Iterable[PhotoSource], asked: Request, image_format: ImageFormat
    ) -> Iterator[PhotoResult]:
        source = _Source(photos, image_format)
        yield from map_ahead(partial(self._predict_or_fail, asked=asked), source)
        if source.failure is not None:
            raise source.failure

    def _predict_or_fail(self, photo: PhotoSource | PhotoResult, asked: Request) -> PhotoResult:
        if isinstance(photo, PhotoResult):
            return photo
        try:
            return self._estimate(self._read_and_prepare(photo, asked), asked)
        except ImageError as error:
            return PhotoResult.failed(name_of(photo), error)

    def _read_and_prepare(
        self, photo: PhotoSource, asked: Request, image_format: ImageFormat = "RGB"
    ) -> Prepared:
        """Find the faces of a photo and cut their chips, decoding no more pixels than needed."""
        size = self.model.metadata.input_size
        opened = open_photo(photo, max_pixels=self.max_pixels, image_format=image_format)
        with opened.reading(opened.reduction(self._reduction(opened.size, asked)), damaged=True) as seen:
            found, transforms = self._find(seen, asked)
            closer = opened.reduction(reduction_to_cut(transforms, size))
            if closer >= seen.reduction:
                return cut_out(seen, found, transforms, size)
        del seen  # frees its pixels
        with opened.reading(closer, damaged=True) as closely:
            return cut_out(closely, found, transforms, size)

    def _reduction(self, size: tuple[int, int], asked: Request) -> float:
        """The greatest reduction of a photo with these sides at which its faces are still found."""
        if asked.faces == "aligned":
            whole = transform_of_crop(*size, asked.framing)
            return reduction_to_cut([whole], SEEN * self.model.metadata.input_size)
        return reduction_to_see(size, self._detectors.get(asked.detector, asked.longest_side))

    def _find(self, photo: Photo, asked: Request) -> tuple[tuple[Face, ...], list[Transform]]:
        if asked.faces == "aligned":
            whole = Face(Box(0, 0, photo.width, photo.height), 1.0)
            return intact_faces([whole], photo), [transform_of_crop(photo.width, photo.height, asked.framing)]
        if max(photo.width, photo.height) > LONGEST_SHAPE * min(photo.width, photo.height):
            return (), []
        detector = TilingDetector(self._detectors.get(asked.detector, asked.longest_side))
        looking = TurningDetector(detector) if asked.rotate else detector
        seen = [face_in_whole(face, photo.reduction) for face in looking.detect(photo.pixels)]
        if self.max_faces is not None and len(seen) > self.max_faces:
            raise PhotoTooLargeError(
                f"The photo has {len(seen)} faces; at most {self.max_faces} are allowed, so cut it up."
            )
        frame = (0.0, 0.0, float(photo.width), float(photo.height))
        found = sorted(intact_faces(seen, photo), key=lambda face: -face.box.area_within(frame))
        return tuple(found), [transform_of_face(face, CANONICAL_GEOMETRY) for face in found]

    def _estimate(self, photo: Prepared, asked: Request) -> PhotoResult:
        """Run the model on all faces of a photo at once."""
        answers = self._look(photo.chips, asked)
        estimates = tuple(
            Estimate(
                face.box,
                face.score,
                *answer,
                flags_of(face, quality, damaged=photo.damaged),
                face.landmarks,
                quality.sharpness,
            )
            for face, quality, answer in zip(photo.faces, photo.qualities, answers, strict=True)
        )
        return PhotoResult(photo.name, photo.width, photo.height, estimates)

    def _look(self, chips: Sequence[Pixels], asked: Request) -> list[tuple[AgeEstimate, GenderEstimate]]:
        return estimate_faces(self.model.metadata, *self.model.run(np.stack(chips)), asked) if chips else []
