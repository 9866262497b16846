"""Detection of films and cameras among the sources of a command."""

import glob
import os
from collections.abc import Iterator, Sequence

from mien.annotate.items import ends_in, printable_name
from mien.annotate.locations import local_path
from mien.annotate.sources import FolderSource
from mien.errors import DataError

FILM_ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".ogv", ".3gp"),
    *(".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".vob", ".mxf"),
)
"""Extensions of films."""


_KIND = {True: "camera", False: "film"}


def is_film(name: str) -> bool:
    """Whether a name has the extension of a film and is not hidden.

    >>> is_film("a/clip.MP4"), is_film("photo.jpg")
    (True, False)
    """
    return ends_in(name, FILM_ENDINGS)


def is_camera(name: str) -> bool:
    """Whether a source is a camera of this machine: a device, or a number if no file has that name.

    >>> is_camera("0"), is_camera("/dev/video1"), is_camera("clip.mp4")
    (True, True, False)
    """
    return name.startswith("/dev/video") or (name.isdecimal() and not os.path.lexists(name))


def find_films(sources: Sequence[str]) -> list[str]:
    """Find the films and cameras that the sources of a command name; none if the sources are of photos.

    Args:
        sources: Films, patterns of films, folders that hold films and no photo, or cameras.

    Returns:
        Paths of the films and devices of the cameras, without duplicates.

    Raises:
        DataError: If only some of the sources are films, a film does not exist, or a pattern matches nothing.
    """
    films = [source for source in sources if is_camera(source) or is_film(source) or _holds_films(source)]
    if not films:
        return []
    if len(films) < len(sources):
        other = printable_name(next(source for source in sources if source not in films))
        raise DataError(
            f"{printable_name(films[0])} is of films and {other} is not; annotate films and photos with two "
            "commands, each with its own --output."
        )
    return list(dict.fromkeys(place for film in films for place in _places(film)))


def films_left_out(sources: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each folder that also holds films, which an annotation of photos skips."""
    for source in sources:
        films = list(_films_in(source))
        if films:
            more = f"{len(films):,} films, such as" if len(films) > 1 else "a film,"
            yield (
                f"{printable_name(source)} also holds {more} {printable_name(films[0])}, skipped here; "
                "annotate films with a separate command, by name or by a pattern such as 'films/**/*.mp4'."
            )


def _holds_films(source: str) -> bool:
    """Whether a source is a folder with films and no photo."""
    if not _is_folder(source) or any(FolderSource(local_path(source)).items(lambda _: True)):
        return False
    return any(_films_in(source))


def _films_in(source: str) -> Iterator[str]:
    """The films in a folder and its subfolders."""
    if _is_folder(source):
        items = FolderSource(os.path.normpath(local_path(source)), FILM_ENDINGS).items(lambda _: True)
        yield from (item.place for item in items if item.place is not None)


def _is_folder(source: str) -> bool:
    return os.path.isdir(local_path(source))


def _places(film: str) -> Iterator[str]:
    if _is_folder(film):
        yield from _films_in(film)
        return
    camera = is_camera(film)
    place = f"/dev/video{film}" if camera and film.isdecimal() else local_path(film)
    if os.path.exists(place):
        yield os.path.normpath(place)
        return
    if camera or not glob.has_magic(place):
        raise DataError(f"{printable_name(place)} does not exist; check the name of the {_KIND[camera]}.")
    found = sorted(glob.glob(place, recursive=True))
    if not found:
        raise DataError(f"Nothing matches {printable_name(place)}; check the pattern.")
    yield from found
