"""Films that the tests make, of the portraits at hand: panned and zoomed, crossing, cut or turned."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

ROOT = Path(__file__).parents[2]
RATE = 25
SIZE = (640, 360)
WOMAN, MAN = "B001270", "J000294"


def portrait(name: str = WOMAN, height: int = 250) -> Image.Image:
    """An official portrait, or the example photo."""
    path = ROOT / ("examples/astronaut.jpg" if name == "astronaut" else f"tests/photos/{name}.jpg")
    with Image.open(path) as image:
        return image.convert("RGB").resize((round(image.width * height / image.height), height))


def scene(*placed: tuple[Image.Image, float, float]) -> Image.Image:
    """A grey picture with portraits at places, the last in front."""
    canvas = Image.new("RGB", SIZE, (90, 100, 110))
    for image, x, y in placed:
        canvas.paste(image, (round(x), round(y)))
    return canvas


def panned(name: str = WOMAN, frames: int = 50) -> Iterator[Image.Image]:
    """A portrait that moves over the picture, to and fro, and grows."""
    for i in range(frames):
        way = 250 - abs(5 * i % 500 - 250)
        yield scene((portrait(name, round(200 + 80 * i / frames)), 40 + way, 40))


def crossing(frames: int = 75) -> Iterator[Image.Image]:
    """Two people who walk past each other, the one hiding the other in the middle."""
    woman, man = portrait(WOMAN, 200), portrait(MAN, 200)
    for i in range(frames):
        way = (SIZE[0] - woman.width) * i / (frames - 1)
        yield scene((man, SIZE[0] - man.width - way, 60), (woman, way, 90))


def write_film(
    path: Path,
    pictures: Iterable[Image.Image],
    *,
    codec: str = "libx264",
    rotation: int = 0,
    times: Sequence[float] | None = None,
    stretch: int = 1,
    sound: bool = False,
) -> Path:
    """Encode a film.

    Args:
        path: Its ending says the format.
        pictures: The frames.
        codec: Of the picture.
        rotation: By which players turn the picture, counter-clockwise, in degrees.
        times: Of the frames in seconds; None for 25 a second.
        stretch: Width of a pixel, of which the height is 1.
        sound: Whether there is a second of silence.
    """
    with av.open(str(path), "w") as container:
        stream: VideoStream | None = None
        heard = container.add_stream("aac", rate=16000) if sound else None
        for i, picture in enumerate(pictures):
            if stream is None:
                added = container.add_stream(codec, rate=RATE)
                assert isinstance(added, VideoStream)
                stream = added
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
                if times is not None:
                    stream.codec_context.time_base = Fraction(1, 1000)
                stream.codec_context.sample_aspect_ratio = Fraction(stretch)
                if rotation:
                    stream.set_display_rotation(rotation)
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.time_base = Fraction(1, RATE if times is None else 1000)
            frame.pts = i if times is None else round(1000 * times[i])
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))
        if heard is not None:
            _silence(container, heard)
    return path


def write_sound(path: Path) -> Path:
    """A second of silence."""
    with av.open(str(path), "w") as container:
        _silence(container, container.add_stream("aac", rate=16000))
    return path


def _silence(container: OutputContainer, stream: Any) -> None:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
