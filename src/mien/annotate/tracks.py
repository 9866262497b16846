"""People followed through a film: which face is whose, and what all looks at a person say together.

The tracker is Norfair's: boxes are matched by their overlap with where a Kalman filter expects them.
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
"""Longer side of the picture in whose pixels boxes are followed, as the filter's noise is in pixels."""

REACH = 2.0
"""Boxes are compared at so many times their size: a face may move by its own width between looks."""

APART = 0.8
"""One less the overlap (intersection over union) of those boxes above which two are not of one person."""

PATIENCE = 1.5
"""Seconds for which a person may be hidden."""

CUT = 0.12
"""Mean change of grey, from 0 to 1, by which the picture changes more at a cut than between other looks."""

VIEW = (48, 27)
"""Width and height of the grey picture in which cuts are seen."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in a film a frame is; what is kept of it until the model has seen its faces.

    Attributes:
        frame: Its index.
        time: In seconds.
        cut: Whether a new scene begins with it.
    """

    frame: int
    time: float
    cut: bool


@dataclass(slots=True)
class Track:
    """One person, for as long as the film shows them without a cut.

    Attributes:
        number: From 1, in the order of appearance.
        first: Time in seconds of the first look.
        last: Of the last one.
        best_time: Of the one that shows the person best …
        best_frame: … and its frame's index.
        looks: What was seen.
    """

    number: int
    first: float
    last: float = 0.0
    best_time: float = 0.0
    best_frame: int = 0
    looks: Fusion = field(default_factory=Fusion)

    def add(self, moment: Moment, face: Estimate) -> None:
        """Take a look."""
        self.looks.add(face)
        self.last = moment.time
        if self.looks.best is face:
            self.best_time, self.best_frame = moment.time, moment.frame


class Cuts:
    """Notices where a film goes over to another scene."""

    def __init__(self) -> None:
        """No frame was seen yet."""
        self._view: Floats | None = None
        self._change = 0.0

    def between(self, pixels: Pixels) -> bool:
        """Whether there is a cut between the last frame and this one.

        A change counts as far as it is larger than the one before, so that a moving camera is no cut; so does
        FFmpeg's filter ``scdet``.
        """
        grey = Image.fromarray(resize(pixels, *VIEW)).convert("L")
        view, before = np.asarray(grey, np.float64) / 255, self._view
        change = 0.0 if before is None else float(np.abs(view - before).mean())
        jump, self._view, self._change = change - self._change, view, change
        return min(change, jump) > CUT


class Tracks:
    """Follows the people of a film from look to look.

    Args:
        spacing: Seconds between looks.
    """

    def __init__(self, spacing: float) -> None:
        """Nobody was seen yet."""
        self._patience = max(2, math.ceil(PATIENCE / spacing))
        self._tracker = self._make_tracker()
        self._open: dict[Hashable, Track] = {}
        self._count = 0

    def follow(self, moment: Moment, seen: PhotoResult) -> list[int]:
        """Tell who is who.

        Args:
            moment: The next one; nobody is followed over a cut.
            seen: The faces then, with their age distributions.

        Returns:
            The number of the track of each face.
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
        """The tracks that will not go on; they are not kept."""
        going = {person.global_id for person in self._tracker.tracked_objects}
        for person in [person for person in self._open if person not in going]:
            yield self._open.pop(person)

    def close(self) -> Iterator[Track]:
        """All other tracks, at the end of the film."""
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
    """(2, 2) corners of the box that is followed."""
    centre = np.array([box.x1 + box.x2, box.y1 + box.y2]) / 2
    half = REACH / 2 * np.array([box.width, box.height])
    return scale * np.array([centre - half, centre + half])
