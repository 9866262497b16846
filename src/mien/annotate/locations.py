"""Locations of files: on this machine, or in object storage at an address such as ``s3://bucket/folder``."""

import errno
import io
import os
import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from pyarrow import fs

from mien.errors import DataError

_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://([^/]*)/*(.*)", re.DOTALL)


def is_address(text: str) -> bool:
    """Whether a text is an address with a scheme, not a path.

    >>> is_address("s3://bucket/a.jpg"), is_address("C:/a.jpg")
    (True, False)
    """
    return _ADDRESS.match(text) is not None


def local_path(text: str) -> str:
    """The path of a ``file://`` address; any other text unchanged.

    >>> local_path("file:///photos/a%20b.jpg")
    '/photos/a b.jpg'
    """
    return unquote(urlsplit(text).path) if text.lower().startswith("file://") else text


def absolute(name: str, folder: str = "") -> str:
    """The absolute, normalised path; an address unchanged.

    Args:
        name: A path or an address.
        folder: Base of a relative path; by default the working directory.

    >>> absolute("./a.jpg", "/photos"), absolute("s3://bucket/a.jpg")
    ('/photos/a.jpg', 's3://bucket/a.jpg')
    """
    return name if is_address(name) else os.path.abspath(os.path.join(folder, name))


def resolve(address: str) -> tuple[Any, str]:
    """The pyarrow file system of an address or a path, and the path in it.

    S3 follows AWS's own environment variables, such as ``AWS_REGION`` and ``AWS_ENDPOINT_URL``.

    Raises:
        DataError: If the scheme is unknown, or a package that it needs is missing.
        OSError: If the store cannot be reached.
    """
    found = _ADDRESS.match(address)
    if found is None:
        return fs.LocalFileSystem(), address
    scheme, host, path = found.groups()
    file_system, start = _file_system(scheme.lower(), host)
    return file_system, f"{start.rstrip('/')}/{path}" if path else start


@lru_cache(maxsize=64)
def _file_system(scheme: str, host: str) -> tuple[Any, str]:
    """The file system of a scheme and a host (a bucket), and the path of the host's root in it."""
    if scheme == "s3" and (chosen := _s3_of_environment()):
        return fs.S3FileSystem(**chosen), host
    root = f"{scheme}://{host}"
    try:
        file_system, start = fs.FileSystem.from_uri(root)  # asks AWS for the bucket's region
    except (ValueError, ImportError):  # a scheme that pyarrow does not know
        return _by_fsspec(root)
    return file_system, str(start)


def _s3_of_environment() -> dict[str, str]:
    region = os.environ.get("AWS_REGION", os.environ.get("AWS_DEFAULT_REGION"))
    endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
    chosen = {"region": region, "endpoint_override": endpoint.netloc, "scheme": endpoint.scheme}
    return {name: value for name, value in chosen.items() if value}


def _by_fsspec(root: str) -> tuple[Any, str]:
    import fsspec

    try:
        file_system, start = fsspec.core.url_to_fs(root)
    except ImportError as error:
        raise DataError(f"{root} cannot be reached: {str(error).rstrip('.')}.") from None
    except ValueError as error:
        raise DataError(f"{root} cannot be reached ({str(error).rstrip('.')}).") from None
    return fs.PyFileSystem(fs.FSSpecHandler(file_system)), str(start)


def read(address: str, limit: int) -> bytes:
    """Read the first ``limit`` bytes at an address, or fewer if the file is shorter.

    Raises:
        DataError: See :func:`resolve`.
        OSError: If they cannot be read.
    """
    file_system, path = resolve(address)
    with file_system.open_input_stream(path) as stream:
        return bytes(stream.read(limit))


def open_binary(place: str) -> io.BufferedReader:
    """Open a file at a path or an address for reading with random access.

    Raises:
        DataError: See :func:`resolve`.
        OSError: If it cannot be opened.
    """
    if not is_address(place):
        return open(place, "rb")
    file_system, path = resolve(place)
    return io.BufferedReader(_Raw(file_system.open_input_file(path)))


class _Raw(io.RawIOBase):
    """A pyarrow file whose ``seek`` raises OSError for negative positions, as :mod:`zipfile` expects."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return int(self._file.readinto(buffer))

    def tell(self) -> int:
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._file.tell(), self._file.size())[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return int(self._file.seek(start + offset))

    def close(self) -> None:
        self._file.close()
        super().close()
