"""Where files lie: on this machine, or in object storage behind an address such as ``s3://bucket/folder``."""

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
    """Whether a text names a place by an address, not by a path.

    >>> is_address("s3://bucket/a.jpg"), is_address("C:/a.jpg")
    (True, False)
    """
    return _ADDRESS.match(text) is not None


def local_path(text: str) -> str:
    """A path as it is, and a ``file://`` address as the path that it names.

    >>> local_path("file:///photos/a%20b.jpg")
    '/photos/a b.jpg'
    """
    return unquote(urlsplit(text).path) if text.lower().startswith("file://") else text


def absolute(name: str, folder: str = "") -> str:
    """A name that is the same however a path was written; addresses stay as they are.

    Args:
        name: A path or an address.
        folder: That a relative path starts from; by default the one that the program is in.

    >>> absolute("./a.jpg", "/photos"), absolute("s3://bucket/a.jpg")
    ('/photos/a.jpg', 's3://bucket/a.jpg')
    """
    return name if is_address(name) else os.path.abspath(os.path.join(folder, name))


def resolve(address: str) -> tuple[Any, str]:
    """The pyarrow file system of an address, and the path in it.

    S3 heeds AWS's own variables, ``AWS_REGION`` and ``AWS_ENDPOINT_URL`` among them.

    Raises:
        DataError: If there is none, or a package that it needs is missing.
        OSError: If it cannot be reached.
    """
    found = _ADDRESS.match(address)
    if found is None:
        return fs.LocalFileSystem(), address
    scheme, host, path = found.groups()
    file_system, start = _file_system(scheme.lower(), host)
    return file_system, f"{start.rstrip('/')}/{path}" if path else start


@lru_cache(maxsize=64)
def _file_system(scheme: str, host: str) -> tuple[Any, str]:
    """The file system of a scheme and a host (a bucket), and the path at which that host begins."""
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
    """The bytes at an address, at most ``limit`` of them.

    Raises:
        OSError: If they cannot be read.
    """
    file_system, path = resolve(address)
    with file_system.open_input_stream(path) as stream:
        return bytes(stream.read(limit))


def open_binary(place: str) -> io.BufferedReader:
    """A file, open for reading at any position.

    Raises:
        OSError: If it cannot be opened.
    """
    if not is_address(place):
        return open(place, "rb")
    file_system, path = resolve(place)
    return io.BufferedReader(_Raw(file_system.open_input_file(path)))


class _Raw(io.RawIOBase):
    """A file of pyarrow's that refuses impossible positions as Python's files do, which zipfile counts on."""

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
