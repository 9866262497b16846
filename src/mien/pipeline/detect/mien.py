"""mien's own detector."""

from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mien.errors import DetectorError
from mien.pipeline.detect.adjustable import AdjustableDetector
from mien.pipeline.detect.nms import choose_faces, intersection_over_union
from mien.pipeline.detect.preprocessing import CLOSE_UP, close_up, resize, to_tensor
from mien.pipeline.device_names import Device
from mien.pipeline.images import Pixels
from mien.pipeline.session import open_session
from mien.results import Face

Floats = npt.NDArray[np.float32]

OUTPUTS = ("scores", "boxes", "landmarks")

LARGE = 288
"""Longer side in pixels above which a face in the shrunk photo is too large for the net."""

LARGE_VIEW = 224
"""Longest side in pixels to which the photo is shrunk in a second pass, to find faces above :data:`LARGE`."""

SEAM = 0.75
"""Share of :data:`LARGE` above which faces of the second pass count: the passes differ on a face's size."""

SMALL_BESIDE = 1 / 3
"""Side of a face, as a share of the largest sure face's side, below which a close-up has to confirm it."""

CLEAR = 0.7
"""Score from which a face needs no confirmation, however small it is."""

TINY_BESIDE = 1 / 6
"""The same share, below which an unsure face is dropped. The held-out photos have no true face that small."""

CONFIRMED = 0.6
"""Least score in the close-up. Only one true face in the held-out photos, of nine pixels, scores less."""

MIDDLE = np.array([[0.25, 0.25, 0.75, 0.75]]) * CLOSE_UP
"""Box of the face in a close-up."""

SAME = 0.35
"""Overlap (IoU) with :data:`MIDDLE` above which a face found in a close-up is that face."""


def default_detector_path() -> Path:
    """The file of the detector that ships with mien."""
    return Path(str(files("mien") / "weights" / "detector.onnx"))


class DetectorMetadata(BaseModel):
    """Metadata of a detector file.

    The input of the graph is ``image``: float32 of shape (n, 3, h, w), RGB from 0 to 255, where h and w are
    multiples of 32. The outputs are ``scores`` (n, k) in [0, 1], ``boxes`` (n, k, 4), x1, y1, x2, y2, and
    ``landmarks`` (n, k, 10), x and y of five points in the order of :class:`~mien.results.Face`. Boxes and
    landmarks are in pixels of the input.

    Attributes:
        kind: Distinguishes the file from an age model.
        name: Name of the detector.
        version: Version of the weights.
        licence: Terms of use of the weights.
        training_data: One line for each training data set.
        threshold: Least score of a face.
        unsure_below: Score below which a face is marked as unsure.
        nms_iou: Intersection over union above which two boxes belong to one face.
        metrics: Figures by name, measured on data that was not used for training.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["detector"]
    name: str
    version: str
    licence: str
    training_data: tuple[str, ...]
    threshold: float = Field(gt=0, lt=1)
    unsure_below: float = Field(default=0.0, ge=0, le=1)
    nms_iou: float = Field(gt=0, lt=1)
    metrics: dict[str, float]

    @classmethod
    def from_properties(cls, properties: dict[str, str], source: str) -> Self:
        """Read the JSON text under ``mien`` of an ONNX file's ``metadata_props``.

        Raises:
            DetectorError: If anything is missing or wrong; the message names it.
        """
        try:
            return cls.model_validate_json(properties.get("mien", "{}"))
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"])) or "metadata"
            raise DetectorError(
                f"{source} is not a detector of mien (its metadata has no usable {where!r})."
            ) from None


class MienDetector(AdjustableDetector):
    """mien's own detector: small and fast, with five landmarks.

    The landmarks are the centres of the eyes, the tip of the nose and the corners of the mouth. Photos are
    shrunk until their longest side has ``longest_side`` pixels, and never enlarged. Twice the side takes four
    times as long and finds faces half as large. Faces larger than :data:`LARGE` pixels in the shrunk photo
    are searched for in a second pass, in the photo shrunk to :data:`LARGE_VIEW` pixels. May be used by
    several threads at once.

    Args:
        path: The file; None for the one that ships with mien.
        longest_side: Longest side in pixels to which photos are shrunk.
        threshold: Least score, in [0, 1]; None for the value in the file.
        device: Device to run on; see :class:`~mien.pipeline.model.Model`.

    Attributes:
        metadata: Metadata of the file.
        path: The file.

    Raises:
        DetectorError: If the file is missing or is not a detector of mien.
        DeviceError: If the device cannot be used.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        longest_side: int = 640,
        threshold: float | None = None,
        device: Device = "cpu",
    ) -> None:
        """Load the file and check it."""
        source = Path(path) if path is not None else default_detector_path()
        self.path = source
        self._session, self._device = _open(source, device), device
        properties = self._session.get_modelmeta().custom_metadata_map
        self.metadata = DetectorMetadata.from_properties(properties, str(source))
        _check_graph(self._session, str(source))
        self.longest_side = longest_side
        self.threshold = threshold if threshold is not None else self.metadata.threshold

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings alone; unpickling loads the file again."""
        settings: dict[str, Any] = {
            "longest_side": self.longest_side,
            "threshold": self.threshold,
            "device": self._device,
        }
        return partial(MienDetector, self.path, **settings), ()

    def detect(self, photo: Pixels) -> list[Face]:
        """Find faces; see :class:`~mien.pipeline.detect.Detector`."""
        view, scale = resize(photo, self.longest_side)
        beyond = LARGE if max(view.shape) > LARGE else np.inf
        found = [self._look(view, 1.0, (0, beyond))]
        if beyond < np.inf:
            found.append(self._look(*resize(view, LARGE_VIEW), (SEAM * beyond, np.inf)))
        boxes, scores, points = (np.concatenate(parts) for parts in zip(*found, strict=True))
        faces = choose_faces(
            boxes,
            scores,
            points,
            size=photo.shape[:2],
            scale=scale,
            nms_iou=self.metadata.nms_iou,
            unsure_below=self.metadata.unsure_below,
        )
        largest = max((face.box.area for face in faces if not face.unsure), default=0.0)
        if not largest:
            return faces
        return [face for face in faces if self._stands(photo, face, (face.box.area / largest) ** 0.5)]

    def _stands(self, photo: Pixels, face: Face, relative_side: float) -> bool:
        """Whether to keep a face beside a larger one: pins and badges on a portrait look like small faces."""
        if face.score >= CLEAR or relative_side >= SMALL_BESIDE:
            return True
        if face.unsure and relative_side < TINY_BESIDE:
            return False
        boxes, scores, _ = self._look(close_up(photo, face.box), 1.0, (0, np.inf))
        same = intersection_over_union(MIDDLE, boxes)[0] > SAME
        return bool((scores[same] >= CONFIRMED).any())

    def _look(self, view: Pixels, scale: float, sizes: tuple[float, float]) -> list[Floats]:
        """Boxes (n, 4), scores (n,) and points (n, 10), divided by the scale.

        Boxes are kept if their longer side is above the first and at most the second of ``sizes``.
        """
        outputs = self._session.run(list(OUTPUTS), {"image": to_tensor(view)})
        scores, boxes, points = (output[0] for output in outputs)
        boxes, points = boxes / scale, points / scale
        sides = (boxes[:, 2:] - boxes[:, :2]).max(1)
        wanted = (scores >= self.threshold) & (sides > sizes[0]) & (sides <= sizes[1])
        return [boxes[wanted], scores[wanted], points[wanted]]


def _open(path: Path, device: Device) -> Any:  # onnxruntime has no types
    if not path.is_file():
        cure = "install mien again" if path == default_detector_path() else "check the path"
        raise DetectorError(f"There is no detector file {path}; {cure}.")
    try:
        return open_session(path, device=device)
    except ValueError:
        raise DetectorError(f"{path} is not an ONNX file that can be run.") from None


def _check_graph(session: Any, source: str) -> None:
    inputs = {value.name for value in session.get_inputs()}
    outputs = {value.name for value in session.get_outputs()}
    if inputs != {"image"} or not set(OUTPUTS) <= outputs:
        raise DetectorError(f"{source} does not map image to {', '.join(OUTPUTS)}.")
