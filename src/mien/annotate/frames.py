"""Decoding of the frames of a film or a camera: upright, one at a time, with their times."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from mien.annotate.films import is_camera
from mien.annotate.items import printable_name
from mien.errors import ImageError
from mien.pipeline.images import Pixels

MICROSECONDS = 1_000_000

SHORT = 0.95
"""A film breaks off if its frames end before this fraction of its stated duration, less one second."""

TOLERANCE = 1e-4
"""Tolerance in seconds when times are compared, since films store times in whole ticks."""

BACK = (0.0, 1.0, 10.0)
"""Seconds before a wanted frame at which to start decoding, tried in turn: in some formats seeking is
inexact."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a film.

    Attributes:
        index: Index among the frames of the film, from 0.
        time: Time in seconds from the first frame.
        pixels: (height, width, 3) upright RGB.
    """

    index: int
    time: float
    pixels: Pixels


class Pace:
    """Samples times: picks the first one at or after each multiple of an interval.

    Args:
        every: The interval in seconds; 0 to pick all times.
    """

    def __init__(self, every: float) -> None:
        """Start so that the first time is picked."""
        self._every = every
        self._due = self._before = -math.inf

    def is_due(self, time: float) -> bool:
        """Whether the next time is picked; a time before the last one is picked, and restarts the count."""
        due = self._every == 0 or time >= self._due - TOLERANCE or time < self._before
        self._before = time
        if due and self._every:
            self._due = (math.floor((time + TOLERANCE) / self._every) + 1) * self._every
        return due


class Film:
    """A film or a camera; frames are decoded on demand and not kept.

    Args:
        place: Path of a film, or the device of a camera such as ``/dev/video0``.

    Attributes:
        name: Name in tables and messages; that of a camera ends in the time of opening.
        spacing: Mean time between frames in seconds; 0.04 if the film does not state a frame rate.
        seconds: Stated duration in seconds; None if the film does not state one.
        damage: Number of packets and frames that the last reading could not decode.
        reached: Time in seconds of the last frame read.

    Raises:
        ImageError: If the source cannot be read, is not a film, or has no video stream.
    """

    def __init__(self, place: str) -> None:
        """Read the film's metadata."""
        self.place = place
        self.name = printable_name(place)
        if self.live:  # each recording of a camera needs a name of its own
            self.name += f"@{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        self.damage, self.reached = 0, 0.0
        with closing(self.open()) as container:
            if not container.streams.video:
                raise ImageError(f"{self.name} has no video in it, at most sound; name a film.")
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            self.spacing = float(1 / rate) if rate else 0.04
            self.seconds = _seconds(container, stream)
            self._stretch = float(stream.sample_aspect_ratio or 1)

    @property
    def live(self) -> bool:
        """Whether this is a camera, which has no end and can be read only once."""
        return is_camera(self.place)

    def note(self) -> str | None:
        """A sentence about damage or an early end found in the last reading; None if there is none."""
        if self.damage:
            return (
                f"{self.name} is damaged: {self.damage:,} of its packets and frames could not be read; the "
                "others are annotated."
            )
        if self.seconds is not None and self.reached < SHORT * self.seconds - 1:
            times = f"{self.reached:.1f} of {self.seconds:.1f}"
            return f"{self.name} breaks off after {times} seconds; copy it again."
        return None

    def frames(self, every: float, pass_over: Callable[[], None] = lambda: None) -> Iterator[Frame]:
        """Yield the first frame at or after each multiple of an interval.

        Damaged frames are skipped. A film that breaks off ends there.

        Args:
            every: The interval in seconds; 0 for all frames.
            pass_over: Called for each frame that is not sampled.

        Raises:
            ImageError: If the film cannot be read.
        """
        pace = Pace(every)
        for index, time, frame in self.decoded():
            if pace.is_due(time):
                yield Frame(index, time, self.upright(frame))
            else:
                pass_over()

    def frames_at(self, times: Iterable[float]) -> Iterator[Frame]:
        """Yield the frames at some times, with a seek for each; times without a frame are skipped.

        Args:
            times: Times of frames in seconds from the first frame. The ``index`` of a yielded frame is the
                index of its time here.

        Raises:
            ImageError: If the film cannot be read.
        """
        with closing(self.open()) as container:
            stream = container.streams.video[0]
            start = next((time for time, _ in self._timed(container, stream)), 0.0)
            for index, time in enumerate(times):
                for back in BACK:
                    frame = self._sought(container, stream, start, time, back)
                    if frame is not None:
                        yield Frame(index, time, self.upright(frame))
                        break

    def _sought(
        self, container: InputContainer, stream: VideoStream, start: float, time: float, back: float
    ) -> av.VideoFrame | None:
        """The frame at a time, decoded from ``back`` seconds before it; None if it is not found."""
        with suppress(av.FFmpegError):
            container.seek(int((start + time - back) / (stream.time_base or 1)), stream=stream)
            for found, frame in self._timed(container, stream):
                if found - start >= time - TOLERANCE:
                    return frame if found - start <= time + TOLERANCE else None
        return None

    def _timed(self, container: InputContainer, stream: VideoStream) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yield the undamaged frames that have a time, from the current position of the container."""
        for frame in self._decode(container, stream):
            if not frame.is_corrupt and frame.time is not None:
                yield frame.time, frame

    def decoded(self) -> Iterator[tuple[int, float, av.VideoFrame]]:
        """Yield index, time in seconds and picture of each undamaged frame; for pixels see :meth:`upright`.

        Raises:
            ImageError: If the film cannot be read.
        """
        self.damage = 0
        start: float | None = None
        with closing(self.open()) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for index, frame in enumerate(self._decode(container, stream)):
                if frame.is_corrupt:
                    self.damage += 1
                    continue
                time = index * self.spacing if frame.time is None else frame.time
                start = time if start is None else start
                self.reached = time - start
                yield index, self.reached, frame

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
            except av.FFmpegError:  # nothing can be read after this
                self.damage += 1
                return
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self.damage += 1

    def upright(self, frame: av.VideoFrame) -> Pixels:
        """(height, width, 3) RGB of a frame, rotated as its metadata says and resized to square pixels."""
        width = max(1, round(frame.width * self._stretch))
        pixels = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))

    def open(self) -> InputContainer:
        """Open the film again; the caller closes it.

        Raises:
            ImageError: If the film cannot be read.
        """
        try:
            # A playlist with the extension of a film must not open anything over a network.
            options = {} if self.live else {"protocol_whitelist": "file"}
            return av.open(self.place, format="v4l2" if self.live else None, options=options)
        except FileNotFoundError:
            what = "There is no camera" if self.live else "There is no film"
            raise ImageError(f"{what} at {printable_name(self.place)}; check the name.") from None
        except (av.error.InvalidDataError, av.error.EOFError):
            raise ImageError(f"{self.name} is damaged, cut short or no film; copy it again.") from None
        except (av.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ImageError(f"{self.name} cannot be read ({reason}).") from None


def _seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """The stated duration of a film; None if it states none."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / MICROSECONDS
