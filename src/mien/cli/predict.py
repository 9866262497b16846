"""``mien predict``."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from mien.cli.options import Device, DeviceName, ModelFile, takes_request, tell_device
from mien.errors import ImageError
from mien.request import DEFAULT_DETECTOR, Request
from mien.results import Estimate, whole_percent, whole_years

if TYPE_CHECKING:
    from mien.photo_result import PhotoResult
    from mien.pipeline.images import EncodedPhoto, Photo
    from mien.predictor import Predictor
    from mien.remote import RemotePredictor

MANY = 8
"""Least number of photos for which a progress bar is shown."""

PERSON = ("age", "gender")
"""Keys of the JSON for one person in several photos; boxes and flags belong to single photos."""

LOSSLESS = (".png", ".gif", ".bmp", ".tif", ".tiff")
"""Photos with these endings are saved as PNG, all others as JPEG."""


class PhotoCommand(TyperCommand):
    """A command whose arguments are photos, whose names may look like options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Explain how to give a photo whose name begins with a dash."""
        options = {name for parameter in self.params for name in (*parameter.opts, *parameter.secondary_opts)}
        for arg in args[: args.index("--")] if "--" in args else args:
            if arg.startswith("-") and arg not in options and os.path.isfile(arg):
                raise typer.BadParameter(f"{arg} begins like an option; for the photo write ./{arg}", ctx)
        return super().parse_args(ctx, args)


@takes_request
def predict(
    photos: Annotated[
        list[str],
        typer.Argument(metavar="PHOTO", help="Photos; - reads one from standard input."),
    ],
    request: Request,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON Lines: one object per photo, in the order given.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write a copy of each photo with faces into this folder, with boxes and labels "
            "drawn on it: family.jpg becomes family-faces.jpg.",
            file_okay=False,
        ),
    ] = None,
    same_person: Annotated[
        bool,
        typer.Option(
            "--same-person",
            help="All photos show one person at about the same age: also give one estimate from the "
            "largest face of each.",
        ),
    ] = False,
    model: ModelFile = None,
    device: DeviceName = Device.cpu,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Send the photos to 'mien serve' at this address, and use its model. For a login, write "
            "https://USER:PASSWORD@HOST, or set MIEN_SERVER_AUTHORIZATION.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:VALUE",
            help="Send this header to the server, such as 'Authorization: Bearer …'; repeat it for several.",
        ),
    ] = None,
) -> None:
    """Estimate the apparent age and perceived gender of every face in photos.

    Prints one line for each face, the largest of a photo first, with the interval that holds the apparent age
    in 9 of 10 cases, or as --coverage says. Photos may be JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF.

    The exit status is 0 if all photos could be read, 1 if some could not (each is named on standard error;
    the others are still done), and 2 if the command itself is wrong.
    """
    photos = _expanded(photos)
    sources = _sources(photos)
    predictor = (
        _predictor(model, device, request) if server is None else _remote(server, model, device, header or [])
    )
    if save is not None:
        _make_folder(save)
    targets = _targets(photos, save)
    failed = False
    looks: list[tuple[str, Estimate]] = []
    # No bar for a few photos, or if the results appear in the same terminal.
    wanted = len(photos) >= MANY and not sys.stdout.isatty()
    asked = replace(request, distribution=request.distribution or same_person)
    ask = partial(predictor.predict_many, request=asked)
    try:
        ask([])  # refuses values that the model does not support before any photo is read
    except ValueError as refusal:
        raise typer.BadParameter(f"{refusal}.") from None
    answers: Iterator[tuple[PhotoResult, Photo | None]] = (
        ((result, None) for result in ask(sources)) if save is None else _kept(ask, sources)
    )
    if wanted:
        from mien.progress import progress

        answers = progress(answers, "Photos", len(photos))
    for target, (result, photo) in zip(targets, answers, strict=True):
        error = result.error
        if result.faces and target is not None and photo is not None:
            error = _draw(photo, result, target)
        if same_person and result:
            looks.append((result.photo, result[0]))
        _print(result if request.distribution else _without_distributions(result), as_json)
        if error is not None:
            failed = True
            typer.echo(f"mien: {printable(error)}", err=True)
    if same_person and not _print_person(looks, as_json, request.distribution):
        failed = True
        typer.echo("mien: No photo shows a face, so nothing can be said of the person.", err=True)
    if failed:
        raise typer.Exit(1)


def _predictor(model: Path | None, device: Device, request: Request) -> "Predictor":
    from mien.predictor import Predictor

    predictor = Predictor(model, request.detector or DEFAULT_DETECTOR, device=device.value)
    tell_device(device, predictor.device)
    return predictor


def _remote(server: str, model: Path | None, device: Device, header: list[str]) -> "RemotePredictor":
    from mien.remote import RemotePredictor

    if model is not None or device != Device.cpu:
        raise typer.BadParameter("The server has its own model and device.", param_hint="--server")
    return RemotePredictor(server, headers=_headers(header))


def _headers(given: list[str]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon:
            raise typer.BadParameter("a header is written 'NAME: VALUE'.", param_hint="--header")
        headers[name] = value.strip()
    return headers


def describe(result: "PhotoResult") -> Iterator[str]:
    """A photo's result in words, one line per face."""
    name, count = printable(result.photo), len(result.faces)
    if not count:
        yield f"{name}: no face found"
    for i, face in enumerate(result.faces):
        yield f"{name}, face {i + 1} of {count}: {_describe_face(face)}"


def json_line(result: "PhotoResult") -> bytes:
    r"""A photo's result as one line of JSON in UTF-8; invalid bytes of a name become, e.g., ``\\udce9``."""
    answer = {
        key: _text(value) if isinstance(value, str) else value for key, value in result.to_json().items()
    }
    return json.dumps(answer, ensure_ascii=False).encode()


def _text(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    """A text that is safe for a terminal: control characters and invalid bytes are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _describe_face(face: Estimate) -> str:
    age, gender = face.age, face.gender
    flags = "".join(f", {flag.replace('_', ' ')}" for flag in face.flags)
    interval = f"{100 * age.coverage:.0f} % interval {whole_years(age.low)} to {whole_years(age.high)}"
    likelier = "" if gender.label == gender.likelier else f"{gender.likelier} "
    thresholds = "".join(f"{threshold} or older {whole_percent(p)} %, " for threshold, p in age.at_least)
    return (
        f"apparent age {whole_years(age.years)} ({interval}), {thresholds}"
        f"perceived gender {gender.label} ({likelier}{whole_percent(gender.probability)} %){flags}"
    )


def _print(result: "PhotoResult", as_json: bool) -> None:
    if as_json:
        typer.echo(json_line(result))
    elif result.error is None:
        for line in describe(result):
            typer.echo(line)


def _without_distributions(result: "PhotoResult") -> "PhotoResult":
    faces = tuple(replace(face, age=replace(face.age, distribution=None)) for face in result.faces)
    return replace(result, faces=faces)


def _print_person(looks: list[tuple[str, Estimate]], as_json: bool, distribution: bool) -> bool:
    """Print the combined estimate of one person from several looks; return whether there is a look."""
    from mien.fusion import fuse

    if not looks:
        return False
    person = fuse(look for _, look in looks)
    if as_json:
        said = (
            person if distribution else replace(person, age=replace(person.age, distribution=None))
        ).to_json()
        answer = {"photos": [_text(name) for name, _ in looks], "person": {key: said[key] for key in PERSON}}
        typer.echo(json.dumps(answer, ensure_ascii=False).encode())
    else:
        faces = "1 photo" if len(looks) == 1 else f"{len(looks)} photos"
        typer.echo(f"one person in {faces}: {_describe_face(replace(person, flags=()))}")
    return True


def _expanded(photos: list[str]) -> list[str]:
    """Expand patterns that the shell has not expanded."""
    expanded: list[str] = []
    for photo in photos:
        pattern = any(sign in photo for sign in "*?[") and not os.path.lexists(photo)
        expanded += (sorted(glob(photo)) if pattern else []) or [photo]
    return expanded


def _sources(photos: list[str]) -> list["str | EncodedPhoto"]:
    from mien.pipeline.images import MAX_BYTES, EncodedPhoto

    if photos.count("-") > 1:
        raise typer.BadParameter("'-' (standard input) can be read only once.", param_hint="PHOTO")
    if "-" in photos and sys.stdin is None:
        raise typer.BadParameter("standard input is closed; name a file.", param_hint="PHOTO")
    return [
        EncodedPhoto("-", sys.stdin.buffer.read(MAX_BYTES)) if photo == "-" else photo for photo in photos
    ]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(
            f"{folder} cannot be made ({error.strerror}).", param_hint="--save"
        ) from None


def _targets(photos: list[str], folder: Path | None) -> list[Path | None]:
    """The file to write for each photo; all are different, and none is itself one of the photos."""
    if folder is None:
        return [None] * len(photos)
    taken = {Path(photo).resolve() for photo in photos}
    targets: list[Path | None] = []
    for photo in photos:
        name = "stdin" if photo == "-" else Path(photo).stem
        ending = ".png" if Path(photo).suffix.lower() in LOSSLESS else ".jpg"
        target, number = folder / f"{name}-faces{ending}", 1
        while target.resolve() in taken:
            number += 1
            target = folder / f"{name}-faces-{number}{ending}"
        taken.add(target.resolve())
        targets.append(target)
    return targets


def _kept(
    ask: "Callable[[list[Any]], Iterator[PhotoResult]]", sources: list["str | EncodedPhoto"]
) -> "Iterator[tuple[PhotoResult, Photo | None]]":
    """Results with their photos, which are read only once, one at a time: a pipe cannot be read again.

    A photo is decoded at full size for its drawing. For its estimates it is decoded again, perhaps reduced,
    so that they are the same as without a drawing.
    """
    from mien.photo_result import PhotoResult
    from mien.pipeline.images import EncodedPhoto, name_of, read_file, read_photo

    for source in sources:
        name = name_of(source)
        try:
            data = source if isinstance(source, EncodedPhoto) else EncodedPhoto(name, read_file(source))
            photo = read_photo(data, damaged=True)
        except ImageError as error:
            yield PhotoResult.failed(name, error), None
            continue
        [result] = ask([data])
        yield result, photo


def _draw(photo: "Photo", result: "PhotoResult", target: Path) -> str | None:
    """Write a photo with its faces marked; return an error message if that fails."""
    from mien.draw import draw_estimates, save_drawing

    try:
        save_drawing(draw_estimates(photo.pixels, result.faces), target)
    except ImageError as error:
        return str(error)
    return None
