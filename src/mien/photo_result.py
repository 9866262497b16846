"""The result for one photo."""

import io
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Self, overload

from mien.errors import ImageError, MienError
from mien.pipeline.images import PhotoSource, read_photo
from mien.results import Estimate, whole_percent, whole_years

if TYPE_CHECKING:
    from PIL import Image

PREVIEW = 640
"""Longest side in pixels of the picture that a notebook shows."""


@dataclass(frozen=True, slots=True)
class PhotoResult(Sequence[Estimate]):
    """The faces of one photo, or the reason why it could not be read.

    It is the sequence of its faces: ``len(result)``, ``result[0]`` and ``for face in result`` work, and a
    result without faces counts as false.

    Attributes:
        photo: The photo's name as given, or ``"<bytes>"``, ``"<image>"`` or ``"<file>"`` without one.
        width: Width of the upright photo in pixels; 0 if it could not be read.
        height: Height likewise.
        faces: All faces, in decreasing order of the box's area inside the photo.
        error: None, or one sentence.
        failure: None, or the exception with that sentence.

    >>> from mien import Predictor
    >>> result = Predictor().predict("examples/astronaut.jpg")
    >>> len(result), result.size, result[0].gender.label
    (1, (512, 512), 'female')
    """

    photo: str
    width: int = 0
    height: int = 0
    faces: tuple[Estimate, ...] = field(default=())
    error: str | None = None
    failure: MienError | None = field(default=None, compare=False, repr=False)

    @classmethod
    def failed(cls, photo: str, failure: MienError) -> Self:
        """The result of a photo that could not be read."""
        return cls(photo, error=str(failure), failure=failure)

    def __len__(self) -> int:
        """Number of faces."""
        return len(self.faces)

    @overload
    def __getitem__(self, index: int) -> Estimate: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Estimate, ...]: ...
    def __getitem__(self, index: int | slice) -> Estimate | tuple[Estimate, ...]:
        """A face, or a tuple of faces for a slice."""
        return self.faces[index]

    def __iter__(self) -> Iterator[Estimate]:
        """The faces, the largest first."""
        return iter(self.faces)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright photo in pixels."""
        return self.width, self.height

    def to_json(self) -> dict[str, Any]:
        """The photo's part of the JSON contract: photo, width, height and faces; or photo and error."""
        if self.error is not None:
            return {"photo": self.photo, "error": self.error}
        faces = [face.to_json() for face in self.faces]
        return {"photo": self.photo, "width": self.width, "height": self.height, "faces": faces}

    def draw(self, photo: PhotoSource | None = None) -> "Image.Image":
        """The photo with its faces marked and labelled.

        Args:
            photo: The photo again, since a result keeps no pixels; None to read the file :attr:`photo`.

        Returns:
            A new RGB image of the photo's size, or a multiple of it for a small photo.

        Raises:
            ImageError: If the photo cannot be read, or has another size than that of this result.
        """
        from mien.draw import draw_estimates

        read = read_photo(self.photo if photo is None else photo, damaged=True)
        if (read.width, read.height) != self.size:
            raise ImageError(
                f"{read.name} has {read.width}x{read.height} pixels, the photo of this result "
                f"{self.width}x{self.height}; give the same photo."
            )
        return draw_estimates(read.pixels, self.faces)

    def _repr_html_(self) -> str:
        """HTML for a notebook: the photo with its faces marked, if it can be read again, and a table."""
        name = escape(self.photo)
        if self.error is not None:
            return f"<p><strong>{name}</strong>: {escape(self.error)}</p>"
        rows = "".join(_row(number, face) for number, face in enumerate(self.faces, 1))
        head = "".join(f"<th>{title}</th>" for title in ("", "apparent age", "perceived gender", "flags"))
        table = f"<table><tr>{head}</tr>{rows}</table>" if rows else "<p>no face found</p>"
        return f"<p><strong>{name}</strong></p>{self._preview()}{table}"

    def _preview(self) -> str:
        try:
            image = self.draw()
        except ImageError:  # data without a name, or a file that is gone
            return ""
        image.thumbnail((PREVIEW, PREVIEW))
        data = io.BytesIO()
        image.save(data, "JPEG", quality=85)
        return f'<img alt="" src="data:image/jpeg;base64,{b64encode(data.getvalue()).decode("ascii")}">'


def _row(number: int, face: Estimate) -> str:
    age, gender = face.age, face.gender
    cells = (
        str(number),
        f"{whole_years(age.years)} ({whole_years(age.low)} to {whole_years(age.high)})",
        f"{gender.label} ({whole_percent(gender.probability)} %)",
        ", ".join(flag.replace("_", " ") for flag in face.flags),
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
