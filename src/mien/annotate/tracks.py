"""Tracking of people through a film, with one fused estimate per person.

The tracker is Norfair's: it matches bounding boxes by their overlap with the predictions of a Kalman filter.
"""

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from norfair import Detection, Tracker
from PIL import Image

from mien.fusion import Fusion
from mien.photo_result import PhotoResult
from mien.pipeline.images import Pixels
from mien.pipeline.resampling import resize
from mien.results import Box, Estimate

Floats = npt.NDArray[np.float64]

SIDE = 640
"""Longer side of the frame in the tracker's pixels, since the noise of the Kalman filter is in pixels."""

REACH = 2.0
"""Factor by which boxes are enlarged for matching: a face may move by its own width between frames."""

APART = 0.8
"""Maximum distance, one minus intersection over union, between enlarged boxes of the same person."""

PATIENCE = 1.5
"""Seconds that a person may be hidden within a track."""

CUT = 0.12
"""Threshold for a cut, on the mean absolute change of grey level, from 0 to 1, between frames."""

VIEW = (48, 27)
"""Width and height in pixels to which frames are reduced to detect cuts."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Position of a frame in a film, kept while the model processes its pixels.

    Attributes:
        frame: Index of the frame.
        time: Time in seconds.
        cut: Whether a new scene begins with the frame.
    """

    frame: int
    time: float
    cut: bool


@dataclass(slots=True)
class Track:
    """The track of one person, without a cut or a long absence.

    Attributes:
        number: Number of the track, from 1, in the order of appearance.
        first: Time in seconds of the first frame with the person.
        last: Time in seconds of the last frame with the person.
        best_time: Time in seconds of the frame that shows the person best.
        best_frame: Index of that frame.
        looks: The fused estimates of the person.
    """

    number: int
    first: float
    last: float = 0.0
    best_time: float = 0.0
    best_frame: int = 0
    looks: Fusion = field(default_factory=Fusion)

    def add(self, moment: Moment, face: Estimate) -> None:
        """Add the person's face in a frame."""
        self.looks.add(face)
        self.last = moment.time
        if self.looks.best is face:
            self.best_time, self.best_frame = moment.time, moment.frame


class Cuts:
    """Detects cuts between scenes."""

    def __init__(self) -> None:
        """Start before the first frame."""
        self._view: Floats | None = None
        self._change = 0.0

    def between(self, pixels: Pixels) -> bool:
        """Whether there is a cut between the last frame and this one.

        Both the change of grey level and its increase over the previous change must exceed :data:`CUT`, so
        that a moving camera is not a cut. FFmpeg's filter ``scdet`` works like this.
        """
        grey = Image.fromarray(resize(pixels, *VIEW)).convert("L")
        view, before = np.asarray(grey, np.float64) / 255, self._view
        change = 0.0 if before is None else float(np.abs(view - before).mean())
        jump, self._view, self._change = change - self._change, view, change
        return min(change, jump) > CUT


class Tracks:
    """Tracks the people of a film from frame to frame.

    Args:
        spacing: Seconds between the frames.
    """

    def __init__(self, spacing: float) -> None:
        """Start without tracks."""
        self._patience = max(2, math.ceil(PATIENCE / spacing))
        self._tracker = self._make_tracker()
        self._open: dict[Hashable, Track] = {}
        self._count = 0

    def follow(self, moment: Moment, seen: PhotoResult) -> list[int]:
        """Assign the faces of the next frame to tracks.

        Args:
            moment: Position of the frame; a cut ends all tracks.
            seen: The faces in the frame, with their age distributions.

        Returns:
            The track number of each face.
        """
        if moment.cut:
            self._tracker = self._make_tracker()
        scale = SIDE / max(seen.size)
        boxes = [
            Detection(_corners(face.box, scale), data=(moment.frame, i)) for i, face in enumerate(seen.faces)
        ]
        people = {person.last_detection.data: person.global_id for person in self._tracker.update(boxes)}
        return [
            self._track(people[moment.frame, i], moment, face).number for i, face in enumerate(seen.faces)
        ]

    def ended(self) -> Iterator[Track]:
        """Yield the tracks that have ended, and forget them."""
        going = {person.global_id for person in self._tracker.tracked_objects}
        for person in [person for person in self._open if person not in going]:
            yield self._open.pop(person)

    def close(self) -> Iterator[Track]:
        """Yield all other tracks, at the end of the film."""
        yield from self._open.values()
        self._open = {}

    def _track(self, person: Hashable, moment: Moment, face: Estimate) -> Track:
        if person not in self._open:
            self._count += 1
            self._open[person] = Track(self._count, moment.time)
        self._open[person].add(moment, face)
        return self._open[person]

    def _make_tracker(self) -> Tracker:
        return Tracker(
            "iou", APART, hit_counter_max=self._patience, initialization_delay=0, past_detections_length=0
        )


def _corners(box: Box, scale: float) -> Floats:
    """(2, 2) corners of the enlarged box in the tracker's pixels."""
    centre = np.array([box.x1 + box.x2, box.y1 + box.y2]) / 2
    half = REACH / 2 * np.array([box.width, box.height])
    return scale * np.array([centre - half, centre + half])
