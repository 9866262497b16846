"""Writing files safely: to a temporary file that is renamed, and never over an input."""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mien.errors import MienError


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Give a file to write to; it takes the place of ``path`` when the block ends without an error.

    Whatever happens in the block, a killed process and a full disk included, ``path`` holds its old content
    or all of its new one. The file lies in the same folder, since a file can be renamed only within a file
    system, and ends like ``path``, since programs tell a format by the ending.

    Args:
        path: Its folder is made where it is missing. Where it is a link, the file that it leads to is
            replaced. A pipe or a device is written to as it is.

    Raises:
        OSError: If the folder cannot be made or the file not be put in its place.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        yield partial
        _to_disk(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def refuse_overwriting(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse to overwrite an input of a command, under whatever name.

    Args:
        outputs: Files to be written; None where there is none.
        inputs: Files to be read.

    Raises:
        MienError: If one of the outputs is one of the inputs.
    """
    read = [path for path in inputs if path is not None and path.exists()]
    for output in outputs:
        if output is None or not output.is_file():  # a pipe or a device cannot be overwritten
            continue
        for path in read:
            if output.samefile(path):
                name = "" if output == path else f" as {path}"
                raise MienError(f"{output} is read{name} and would be written over; name another output.")


def contents_of(paths: Iterable[Path]) -> str:
    """A short name for what files hold, in their order, or ``none``.

    Raises:
        MienError: If one cannot be read.
    """
    names = []
    for path in paths:
        try:
            names.append(hashlib.sha256(path.read_bytes()).hexdigest()[:12])
        except FileNotFoundError:
            raise MienError(f"{path} does not exist; check the path.") from None
        except OSError as error:
            raise MienError(f"{path} cannot be read ({error.strerror}).") from None
    return ", ".join(names) or "none"


def path_in(folder: Path, name: str) -> Path:
    r"""A file that a table names, as seen from a folder.

    Args:
        folder: That names are relative to.
        name: With ``/`` between folders. A table written on Windows may have ``\``; elsewhere that may be
            part of a name, so it is read as ``/`` only where there is no such file.
    """
    path = folder / name
    if "\\" in name and not path.exists():
        return folder / name.replace("\\", "/")
    return path


def reserve(file: BinaryIO, size: int) -> None:
    """Claim the space that an empty file is going to take, so that a disk too small is known before the work.

    Args:
        file: Open for writing.
        size: In bytes.

    Raises:
        OSError: If there is too little space. A file system that cannot reserve any is passed over.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS and Windows
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise


def _to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk: a rename can reach it earlier and outlive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
