"""Photos in ZIP and tar archives, read in one pass without unpacking to disk."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from mien.annotate.items import Item, Wanted, is_photo, printable_name
from mien.annotate.locations import open_binary
from mien.pipeline.images import MAX_BYTES

ZIP_ENDING = ".zip"
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError)
"""Errors of a damaged archive; bzip2, gzip and unreadable files raise the last one."""


@dataclass(frozen=True, slots=True)
class ZipSource:
    """The photos in a ZIP archive, named ``album.zip/folder/photo.jpg``."""

    path: str

    def count(self) -> int | None:
        """See :class:`~mien.annotate.sources.Source`."""
        try:
            with open_binary(self.path) as file, zipfile.ZipFile(file) as archive:
                return sum(1 for name in archive.namelist() if _is_photo(name))
        except _DAMAGE:
            return None

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """See :class:`~mien.annotate.sources.Source`; a damaged member or archive gives an error item."""
        try:
            with open_binary(self.path) as file, zipfile.ZipFile(file) as archive:
                for info in archive.infolist():
                    name = _name(self.path, info.filename)
                    if _is_photo(info.filename) and wanted(name):
                        yield self._member(archive, info, name)
        except _DAMAGE as error:
            yield _broken(self.path, error)

    def _member(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Item:
        try:
            with archive.open(info) as member:
                return _read(member, name)
        except RuntimeError:
            return Item(name, error=f"{name} is encrypted; unpack the archive first.")
        except NotImplementedError:
            return Item(name, error=f"{name} has an unsupported compression; unpack the archive first.")
        except _DAMAGE as error:
            return Item(name, error=f"{name} cannot be read from its archive ({error}).")


@dataclass(frozen=True, slots=True)
class TarSource:
    """The photos in a tar archive, compressed or not, named ``album.tar/folder/photo.jpg``."""

    path: str

    def count(self) -> None:
        """See :class:`~mien.annotate.sources.Source`: unknown before the archive is read."""

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """See :class:`~mien.annotate.sources.Source`; a damaged archive gives an error item."""
        try:
            with open_binary(self.path) as file, tarfile.open(fileobj=file, mode="r|*") as archive:
                for info in archive:
                    name = _name(self.path, info.name)
                    if info.isreg() and _is_photo(info.name) and wanted(name):
                        member = archive.extractfile(info)
                        assert member is not None
                        yield _read(member, name)
                    archive.members = []  # type: ignore[attr-defined]  # or memory grows with each member
        except _DAMAGE as error:
            yield _broken(self.path, error)


def _is_photo(member: str) -> bool:
    folders = member.removeprefix("./").split("/")[:-1]
    return is_photo(member) and not any(folder.startswith(".") for folder in folders)


def _name(archive: str, member: str) -> str:
    return printable_name(f"{archive}/{member.removeprefix('./')}")


def _read(member: IO[bytes], name: str) -> Item:
    data = member.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        return Item(name, error=f"{name} is larger than {MAX_BYTES // 2**20} MB; export it as JPEG first.")
    return Item(name, data=data)


def _broken(path: str, error: Exception) -> Item:
    name = printable_name(path)
    if isinstance(error, FileNotFoundError | PermissionError):
        return Item(name, error=f"{name} cannot be opened; check the path and its permissions.")
    return Item(name, error=f"{name} is damaged, cut short or not an archive ({error}); copy it again.")
