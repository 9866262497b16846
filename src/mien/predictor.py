"""From photos to estimates."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar, get_args

import numpy as np
from PIL import Image

from mien.defaults import DEFAULT_DETECTOR, Device
from mien.errors import ImageError
from mien.pipeline.align import (
    CANONICAL_GEOMETRY,
    Transform,
    extract_chip,
    transform_of_crop,
    transform_of_face,
)
from mien.pipeline.detect import Detector, TurningDetector, make_detector
from mien.pipeline.estimation import Question, ask, read
from mien.pipeline.images import (
    MAX_PIXELS,
    EncodedPhoto,
    Photo,
    PhotoSource,
    Pixels,
    name_of,
    reading,
    take_over,
)
from mien.pipeline.model import Model
from mien.pipeline.quality import CUT_OFF, flags_of, measure, share_outside
from mien.results import AgeEstimate, Box, Estimate, Face, GenderEstimate, PhotoResult

Faces = Literal["detect", "aligned"]
Framing = Literal["utkface", "padded"]

CHIPS_AT_ONCE = 32
"""A stream runs the model as soon as this many faces wait for it …"""

PATIENCE = 0.25
"""… or when the first photo has waited for this many seconds."""

LONGEST_SHAPE = 50
"""A photo that is more than so many times longer than wide shows no face, and is not searched for one."""

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is kept of a photo until the model has seen its faces: not its pixels."""

    name: str
    width: int = 0
    height: int = 0
    faces: tuple[Face, ...] = ()
    chips: tuple[Pixels, ...] = ()
    flags: tuple[tuple[str, ...], ...] = ()
    error: ImageError | None = None


class _Source:
    """The photos of a stream as it pulls them: taken over from their giver, who may use a buffer again.

    Attributes:
        failure: What the giver raised, which ends the stream.
    """

    def __init__(self, photos: Iterable[PhotoSource]) -> None:
        self._photos = photos
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[PhotoSource | _Prepared]:
        photos = iter(self._photos)
        while True:
            try:
                photo = next(photos)
            except StopIteration:
                return
            except Exception as error:  # the giver's own, of whatever kind; raised after the answers so far
                self.failure = error
                return
            try:
                yield take_over(photo)
            except ImageError as error:
                yield _Prepared(name_of(photo), error=error)


class Predictor:
    """Estimates apparent age and perceived gender of the faces in photos. Thread-safe.

    Args:
        model: Path of a model file, or a loaded one; None for the one that ships.
        detector: A name that :func:`~mien.pipeline.detect.make_detector` knows, or an object with the method
            of :class:`~mien.pipeline.detect.Detector`.
        coverage: Probability with which the age intervals are to hold the labelled age.
        gender_threshold: Probability of the likelier gender, from 0.5 (which labels every face) up to but
            not 1, below which a face's label is "uncertain"; None for the model's own.
        rotate: Whether photos that lie on their side or stand on their head are noticed; see
            :class:`~mien.pipeline.detect.TurningDetector`.
        max_pixels: Photos with more are refused.
        device: What the model and mien's own detector run on: ``cpu``, ``cuda``, ``coreml``, ``directml`` or
            ``openvino``; ``auto`` for the first of the others that works, or else ``cpu``. A loaded model
            stays where it is.

    Attributes:
        device: What the model runs on.

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
        model: str | os.PathLike[str] | Model | None = None,
        detector: str | Detector = DEFAULT_DETECTOR,
        *,
        coverage: float = 0.9,
        gender_threshold: float | None = None,
        rotate: bool = True,
        max_pixels: int = MAX_PIXELS,
        device: Device = "cpu",
    ) -> None:
        """Load the model and set up the detector."""
        self.model = model if isinstance(model, Model) else Model(model, device=device)
        self.device = self.model.device
        self.detector = make_detector(detector, device=self.device) if isinstance(detector, str) else detector
        self.coverage = coverage
        self.gender_threshold = gender_threshold
        self.rotate = rotate
        self.max_pixels = max_pixels
        self._search = TurningDetector(self.detector) if rotate else self.detector
        self._ask(None, (), None)

    def predict(
        self,
        photo: PhotoSource,
        *,
        faces: Faces = "detect",
        framing: Framing = "utkface",
        coverage: float | None = None,
        thresholds: Sequence[int] = (),
        gender_threshold: float | None = None,
    ) -> list[Estimate]:
        """Estimate every face of one photo.

        Args:
            photo: A path, the bytes of a file, a Pillow image or a uint8 array; see
                :func:`~mien.pipeline.images.read_photo`.
            faces: ``detect``, or ``aligned`` where the photo is itself the crop of one face; its box is then
                the whole photo, and its detection score 1.
            framing: How an aligned crop is cut: ``utkface`` (as UTKFace's aligned images are) or ``padded``
                (as FairFace's, with padding 0.25).
            coverage: Of the age intervals, instead of the predictor's.
            thresholds: Ages in whole years; for each, how likely the face looks at least that old.
            gender_threshold: Instead of the predictor's.

        Returns:
            The estimates, the largest face first, by the part of its box inside the photo; empty where no
            face is found.

        Raises:
            ImageError: If the photo cannot be read, or is cut short and shows no whole face in what is left.
            ValueError: If the model is not calibrated for ``coverage``, knows no such threshold, or the
                gender's is out of range.
        """
        _check_choices(faces, framing)
        question = self._ask(coverage, thresholds, gender_threshold)
        prepared = self._read_and_prepare(photo, faces, framing)
        return list(self._estimate([prepared], question)[0].faces)

    def predict_many(
        self,
        photos: Iterable[PhotoSource],
        *,
        faces: Faces = "detect",
        framing: Framing = "utkface",
        coverage: float | None = None,
        thresholds: Sequence[int] = (),
        gender_threshold: float | None = None,
    ) -> Iterator[PhotoResult]:
        """Estimate every face of a stream of photos.

        Photos are decoded and searched for faces by several threads, a few ahead of the results; the model
        sees the faces of several photos at once. Neither the photos nor the results pile up in memory. An
        array or an image may be changed or closed as soon as the next one is asked for.

        Args:
            photos: As :meth:`predict` takes them; read lazily.
            faces: As for :meth:`predict`.
            framing: As for :meth:`predict`.
            coverage: As for :meth:`predict`.
            thresholds: As for :meth:`predict`.
            gender_threshold: As for :meth:`predict`.

        Yields:
            One result a photo, in their order; a photo that cannot be read gives one with an ``error``.

        Raises:
            Exception: Whatever ``photos`` itself raises, after the results of the photos before.
        """
        _check_choices(faces, framing)
        if isinstance(photos, str | bytes | os.PathLike | EncodedPhoto | Photo | Image.Image):
            raise TypeError("predict_many takes several photos; put a single one into a list, or use predict")
        return self._stream(photos, faces, framing, self._ask(coverage, thresholds, gender_threshold))

    def _ask(
        self, coverage: float | None, thresholds: Sequence[int], gender_threshold: float | None
    ) -> Question:
        """Check what is asked for, before any photo is read."""
        return ask(
            self.model.metadata,
            self.coverage if coverage is None else coverage,
            thresholds,
            self.gender_threshold if gender_threshold is None else gender_threshold,
        )

    def _stream(
        self, photos: Iterable[PhotoSource], faces: Faces, framing: Framing, question: Question
    ) -> Iterator[PhotoResult]:
        waiting: list[_Prepared] = []
        since = time.monotonic()
        source = _Source(photos)
        for prepared in _map_ahead(partial(self._prepare_or_fail, faces=faces, framing=framing), source):
            if not waiting:
                since = time.monotonic()
            waiting.append(prepared)
            chips = sum(len(p.chips) for p in waiting)
            if chips == 0 or chips >= CHIPS_AT_ONCE or time.monotonic() - since > PATIENCE:
                yield from self._estimate(waiting, question)
                waiting = []
        yield from self._estimate(waiting, question)
        if source.failure is not None:
            raise source.failure

    def _prepare_or_fail(self, photo: PhotoSource | _Prepared, faces: Faces, framing: Framing) -> _Prepared:
        if isinstance(photo, _Prepared):
            return photo
        try:
            return self._read_and_prepare(photo, faces, framing)
        except ImageError as error:
            return _Prepared(name_of(photo), error=error)

    def _read_and_prepare(self, photo: PhotoSource, faces: Faces, framing: Framing) -> _Prepared:
        with reading(photo, max_pixels=self.max_pixels, damaged=True) as decoded:
            return self._prepare(decoded, faces, framing)

    def _prepare(self, photo: Photo, faces: Faces, framing: Framing) -> _Prepared:
        """Find the faces of a photo and cut their chips."""
        found, transforms = self._find(photo, faces, framing)
        size = self.model.metadata.input_size
        chips = tuple(extract_chip(photo.pixels, transform, size) for transform in transforms)
        flags = tuple(
            flags_of(face, measure(face, chip, photo.width, photo.height), damaged=photo.intact is not None)
            for face, chip in zip(found, chips, strict=True)
        )
        return _Prepared(photo.name, photo.width, photo.height, found, chips, flags)

    def _find(self, photo: Photo, faces: Faces, framing: Framing) -> tuple[tuple[Face, ...], list[Transform]]:
        if faces == "aligned":
            whole = Face(Box(0, 0, photo.width, photo.height), 1.0)
            return _intact([whole], photo), [transform_of_crop(photo.width, photo.height, framing)]
        if max(photo.width, photo.height) > LONGEST_SHAPE * min(photo.width, photo.height):
            return (), []
        frame = (0.0, 0.0, float(photo.width), float(photo.height))
        seen = _intact(self._search.detect(photo.pixels), photo)
        found = sorted(seen, key=lambda face: -face.box.area_within(frame))
        return tuple(found), [transform_of_face(face, CANONICAL_GEOMETRY) for face in found]

    def _estimate(self, photos: list[_Prepared], question: Question) -> list[PhotoResult]:
        """Run the model on all faces of some photos at once."""
        chips = [chip for photo in photos for chip in photo.chips]
        answers = iter(self._look(chips, question))
        results = []
        for photo in photos:
            estimates = tuple(
                Estimate(face.box, face.score, *next(answers), flags)
                for face, flags in zip(photo.faces, photo.flags, strict=True)
            )
            error = None if photo.error is None else str(photo.error)
            results.append(PhotoResult(photo.name, photo.width, photo.height, estimates, error, photo.error))
        return results

    def _look(self, chips: list[Pixels], question: Question) -> list[tuple[AgeEstimate, GenderEstimate]]:
        return read(self.model.metadata, *self.model.run(np.stack(chips)), question) if chips else []


def _intact(faces: Sequence[Face], photo: Photo) -> tuple[Face, ...]:
    """The faces that lie in what could be read of a photo.

    Raises:
        ImageError: If it is damaged and there are none.
    """
    if photo.intact is None:
        return tuple(faces)
    whole = tuple(face for face in faces if share_outside(face.box, photo.intact) <= CUT_OFF)
    if not whole:
        raise ImageError(
            f"{photo.name} is damaged or cut short, and what can be read of it shows no whole face; copy or "
            "download it again."
        )
    return whole


def _check_choices(faces: str, framing: str) -> None:
    for name, value, choices in (("faces", faces, get_args(Faces)), ("framing", framing, get_args(Framing))):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")


def _map_ahead(function: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """Like ``map``, but a few items ahead, by threads; their number bounds what is held in memory."""
    workers = min(4, os.cpu_count() or 1)
    running: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                running.append(pool.submit(function, item))
                if len(running) > workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:  # the consumer stopped early, or an item failed
                future.cancel()
