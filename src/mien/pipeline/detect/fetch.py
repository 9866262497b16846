"""Download of YuNet's file from OpenCV's model zoo, when the user requests YuNet by name."""

import hashlib
import os
import sys
import tempfile
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import platformdirs

from mien.errors import DetectorError

FILE = "face_detection_yunet_2023mar.onnx"
URL = "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/" + FILE
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
MOST_BYTES = 2_000_000
SECONDS = 30


def yunet_path(url: str = URL, sha256: str = SHA256) -> Path:
    """Path of YuNet's file in the user's cache directory; downloaded if it is missing or has another hash.

    Args:
        url: Address to download from.
        sha256: Expected SHA-256 of the file.

    Raises:
        DetectorError: If the file cannot be downloaded or written, has another hash, or there is no home
            directory.
    """
    path = _cache() / FILE
    if path.is_file() and _hash(path.read_bytes()) == sha256:
        return path
    print(f"mien: fetching YuNet (0.2 MB) from OpenCV's model zoo into {path.parent}", file=sys.stderr)
    data = _fetch(url)
    if _hash(data) != sha256:
        raise DetectorError(
            f"What {url} gave is not the YuNet file expected (its SHA-256 differs), and was not kept; "
            f"fetch {FILE} yourself and write yunet:PATH."
        )
    _write(path, data)
    return path


def _cache() -> Path:
    """The user's cache directory."""
    try:
        folder = platformdirs.user_cache_path("mien")
    except RuntimeError:  # for example, a user without a home directory
        folder = Path()
    if not folder.is_absolute():  # earlier versions of platformdirs then keep the "~"
        raise DetectorError(
            "There is no home folder to keep YuNet in; set HOME to a folder that can be written, or fetch "
            f"{FILE} yourself and write yunet:PATH."
        )
    return folder


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _fetch(url: str) -> bytes:
    try:
        with urlopen(url, timeout=SECONDS) as answer:
            return bytes(answer.read(MOST_BYTES))
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise DetectorError(
            f"YuNet could not be fetched ({reason}); fetch {FILE} yourself and write yunet:PATH."
        ) from None


def _write(path: Path, data: bytes) -> None:
    """Write the file atomically: another process may read or write it at the same time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        os.replace(file.name, path)
    except OSError as error:
        raise DetectorError(f"{path} cannot be written ({error.strerror}).") from None
