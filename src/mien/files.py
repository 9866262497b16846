"""Write files safely: to a temporary file that is then renamed, and never over an input."""

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
    """Give a temporary file to write to; it replaces ``path`` when the block ends without an error.

    Whatever happens in the block, including a killed process or a full disk, ``path`` has either its old
    content or all of the new content. The temporary file lies in the same folder, since a file can be renamed
    only within a file system, and has the suffix of ``path``, since programs derive the format from it.

    Args:
        path: The file to write. Its folder is created if it is missing. If it is a link, the file that it
            points to is replaced. A pipe or a device is written to directly.

    Raises:
        OSError: If the folder cannot be created or the file cannot be renamed.
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
    """Refuse to overwrite an input of a command, even under another name.

    Args:
        outputs: Files to be written; None is ignored.
        inputs: Files to be read; None is ignored.

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
                raise MienError(f"{output} is read{name} and would be overwritten; name another output.")


def contents_of(paths: Iterable[Path]) -> str:
    """Short hashes of the contents of files, in their order, or ``none`` without files.

    Raises:
        MienError: If a file cannot be read.
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
    r"""The path of a file that a table names.

    Args:
        folder: The folder that the name is relative to.
        name: With ``/`` between folders. A table written on Windows may have ``\``. On other systems that may
            be part of a name, so it is read as ``/`` only if there is no such file.
    """
    path = folder / name
    if "\\" in name and not path.exists():
        return folder / name.replace("\\", "/")
    return path


def reserve(file: BinaryIO, size: int) -> None:
    """Reserve the space that an empty file will need, so that a full disk is noticed before the work.

    Does nothing if the system or the file system cannot reserve space.

    Args:
        file: Open for writing.
        size: In bytes.

    Raises:
        OSError: If there is too little space.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS and Windows
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise


def _to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk: a rename can get there first, and survive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
