"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Faces(StrEnum):
    """Where the faces are."""

    detect = "detect"
    aligned = "aligned"


DetectorName = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="'dlib', or 'yunet:PATH' with the path of face_detection_yunet_2023mar.onnx."
    ),
]
ModelFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Model file that 'mien export' wrote.", show_default="the one included"
    ),
]
