"""Copies of films with marked people: one label per track, from the fused estimate of all its frames."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream
from PIL import Image
from pyarrow import parquet

from mien.annotate.dataset import Dataset
from mien.annotate.films import is_camera
from mien.annotate.frames import Film
from mien.draw import draw_labels, label_of
from mien.errors import AnnotationError
from mien.files import refuse_overwriting, written_beside
from mien.progress import progress_bar
from mien.results import AgeEstimate, Box, Estimate, GenderEstimate

Sighting: TypeAlias = tuple[float, npt.NDArray[np.float64]]
"""Time in seconds, and the bounding box (4,): x1, y1, x2, y2 in pixels."""

ENDINGS = (".mp4", ".mkv", ".mov", ".m4v", ".webm")
"""Extensions of marked films."""

MISSED = 2.5
"""Longest gap over which boxes are interpolated, in sampling intervals; in longer gaps a person is hidden."""


def check_target(target: Path, films: Sequence[str]) -> None:
    """Check before the work that a marked film can be made of the sources and written to the target.

    Raises:
        AnnotationError: If there are several films, the source is a camera, or the extension is unsupported.
        MienError: If the target is the film itself.
    """
    if len(films) > 1:
        raise AnnotationError("--save writes one film; annotate the films one by one.")
    if is_camera(films[0]):
        raise AnnotationError(
            "--save needs a complete film, not a camera; record the camera, and annotate the film."
        )
    if target.suffix.lower() not in ENDINGS:
        raise AnnotationError(f"{target} has to end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    refuse_overwriting([target], [Path(films[0])])


def save_marked(film: Film, dataset: Dataset, every: float, target: Path, *, wanted: bool) -> None:
    """Write a copy of a film with the boxes and labels of its people, and with its sound.

    Args:
        film: The film.
        dataset: The collection that holds its annotation.
        every: Seconds between annotated frames.
        target: The file to write; it appears when it is complete.
        wanted: False to show no progress.

    Raises:
        ImageError: If the film cannot be read.
        AnnotationError: If the target cannot be written.
    """
    part = dataset.part_of(film.name)
    labels = {row["track"]: _label(row) for row in dataset.read("tracks", part).to_pylist()}
    sightings = Sightings(_sightings(dataset, part), hold=max(every, film.spacing))
    try:
        with written_beside(target) as partial, closing(av.open(str(partial), "w")) as output:
            _write(output, film, sightings, labels, wanted)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AnnotationError(f"{target} cannot be written ({reason}).", 1) from None


class Sightings:
    """Bounding boxes of the people of a film at any time, interpolated between annotated frames.

    Args:
        rows: Time in seconds, track and box of each sighting, in the order of time; read lazily.
        hold: Sampling interval in seconds; a box is shown for this long after the last sighting.
    """

    def __init__(self, rows: Iterator[tuple[float, int, Sequence[float]]], hold: float) -> None:
        """Start at the beginning of the film."""
        self._rows = rows
        self._hold = hold
        self._next = next(rows, None)
        self._seen: dict[int, deque[Sighting]] = {}

    def at(self, time: float) -> dict[int, Box]:
        """The box of each visible track at a time; times must not decrease from call to call."""
        while self._next is not None and self._next[0] <= time + MISSED * self._hold:
            when, track, corners = self._next
            self._seen.setdefault(track, deque()).append((when, np.asarray(corners, np.float64)))
            self._next = next(self._rows, None)
        boxes = {}
        for track, seen in list(self._seen.items()):
            while len(seen) > 1 and seen[1][0] <= time:
                seen.popleft()
            if (box := self._shown(seen, time)) is not None:
                boxes[track] = Box(*map(float, box))
            elif len(seen) == 1 and seen[0][0] < time:
                del self._seen[track]
        return boxes

    def _shown(self, seen: Sequence[Sighting], time: float) -> npt.NDArray[np.float64] | None:
        """A person's box; None before the first sighting, after the last, and while the person is hidden."""
        start, box = seen[0]
        if start > time:
            return None
        if len(seen) > 1 and (apart := seen[1][0] - start) <= MISSED * self._hold:
            return box + (time - start) / apart * (seen[1][1] - box)
        return box if time < start + self._hold else None


def _sightings(dataset: Dataset, part: str) -> Iterator[tuple[float, int, Sequence[float]]]:
    with dataset.storage.open(f"faces/{part}") as file:
        for batch in parquet.ParquetFile(file).iter_batches(columns=["time", "track", "box"]):
            for row in batch.to_pylist():
                yield row["time"], row["track"], row["box"]


def _label(track: dict[str, Any]) -> str:
    """The text beside a person's box."""
    age = AgeEstimate(track["age"], track["low"], track["high"], track["coverage"])
    gender = GenderEstimate(track["p_female"], 1.0 if track["label"] == "uncertain" else 0.5)
    return label_of(Estimate(Box(*track["box"]), track["detection_score"], age, gender), track["track"])


def _write(
    output: OutputContainer, film: Film, sightings: Sightings, labels: dict[int, str], wanted: bool
) -> None:
    stream: VideoStream | None = None
    written = -math.inf
    with progress_bar(wanted=wanted) as bar, closing(film.open()) as source:
        task = bar.add_task("Frames marked", total=film.seconds and film.seconds // film.spacing + 1)
        for _, time, frame in film.decoded():
            image = Image.fromarray(film.upright(frame))
            boxes = sightings.at(time)
            draw_labels(image, list(boxes.values()), [labels[track] for track in boxes])
            if stream is None:
                stream, sound = _stream(output, film, image), _Sound(source, output)
            if frame.pts is None or frame.pts <= written:
                continue  # in damaged or spliced films; the encoder needs increasing times
            written = frame.pts
            marked = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
            marked.pts, marked.time_base = frame.pts, frame.time_base
            output.mux(stream.encode(marked))
            sound.copy(math.inf if frame.time is None else frame.time)
            bar.advance(task)
        if stream is not None:
            output.mux(stream.encode(None))
            sound.copy(math.inf)


def _stream(output: OutputContainer, film: Film, image: Image.Image) -> VideoStream:
    stream = output.add_stream(
        output.default_video_codec, rate=Fraction(1 / film.spacing).limit_denominator(1001)
    )
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = image.width // 2 * 2, image.height // 2 * 2  # codecs need even sizes
    stream.pix_fmt = "yuv420p"
    return stream


class _Sound:
    """Copies the first audio stream of a film unchanged, if there is one and the format takes its codec."""

    def __init__(self, source: InputContainer, output: OutputContainer) -> None:
        self._output = output
        self._packets: Iterator[av.Packet[AudioStream]] = iter(())
        self._next: av.Packet[AudioStream] | None = None
        for stream in source.streams.audio[:1]:
            if stream.codec_context.codec.canonical_name in output.supported_codecs:
                self._stream = output.add_stream_from_template(stream)
                self._packets = source.demux(stream)
                self._advance()

    def copy(self, until: float) -> None:
        """Write the sound before a time in seconds."""
        while (packet := self._next) is not None and _time(packet) < until:
            packet.stream = self._stream
            self._output.mux(packet)
            self._advance()

    def _advance(self) -> None:
        """Go to the next packet with a time stamp; the empty packet at the end has none."""
        try:
            self._next = next((packet for packet in self._packets if packet.dts is not None), None)
        except av.FFmpegError:  # the film breaks off
            self._next = None


def _time(packet: "av.Packet[AudioStream]") -> float:
    return float((packet.dts or 0) * packet.time_base)
