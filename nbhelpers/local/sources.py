"""Where data comes from: a path or URL becomes a local file, unpacked where it is compressed."""

from __future__ import annotations

import codecs
import errno
import gzip
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from nbhelpers.errors import DataError, StoreError, nearest

#: A download, or the unpacked content of a compressed file, may not be larger than this.
MAX_BYTES = 8 * 2**30

_BLOCK = 2**20
_DAY = 24 * 60 * 60
_SEPARATED_TEXT = "Save the table as text with separators (.csv) or as Parquet, and read that file."

#: First bytes that tell a file which is no separated text: what it is, and what to do instead.
_OTHER_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"PAR1", "a Parquet file", "Read it with Dataset.Tabular.from_parquet_files."),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook of the old kind (.xls)", _SEPARATED_TEXT),
    (b"%PDF", "a PDF document", _SEPARATED_TEXT),
    (b"SQLite format 3\0", "a SQLite database", _SEPARATED_TEXT),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "Unpack it first."),
    (b"BZh", "compressed with bzip2", "Unpack it first."),
    (b"\xfd7zXZ", "compressed with xz", "Unpack it first."),
)


@contextmanager
def working_folder(data_folder: Path) -> Iterator[Path]:
    """Give a folder for half-made files, on the disk of the data folder; it is gone afterwards, whatever happens."""
    try:
        for left in data_folder.glob(".making-*"):
            with suppress(FileNotFoundError):  # another process has just done with it
                if time.time() - left.stat().st_mtime > _DAY:  # its process was killed
                    shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=data_folder) as folder:
            yield Path(folder)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise StoreError(
            f"The data folder {data_folder} could not be written: {reason}.",
            "Make room or give write permission there, or set NBHELPERS_HOME to another folder.",
        ) from error


def display_name(source: str | Path) -> str:
    """The name of a source without the folders of this machine, or the secrets of a URL."""
    if not is_url(source):
        return Path(source).name
    try:
        parts = urlsplit(str(source))
        return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
    except ValueError as error:  # a port out of range, a bracket too many
        raise DataError(f"The URL is malformed: {error}.", "Correct the address.") from error


def is_url(source: str | Path) -> bool:
    """Whether a source is a URL of any scheme."""
    return isinstance(source, str) and "://" in source


def is_parquet(source: str | Path) -> bool:
    """Whether a path or URL ends like that of a Parquet file."""
    path = urlsplit(str(source)).path if is_url(source) else str(source)
    return path.lower().endswith((".parquet", ".pq"))


def local_file(source: str | Path, work: Path) -> Path:
    """The local file of a source; a URL is downloaded into the folder `work` first.

    Raises
    ------
    DataError
        There is no such readable file, or the download failed.
    """
    if is_url(source):
        return _download(str(source), work)
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            raise DataError(f"{str(source)!r} is a folder, not a file.", "Give the files in it, as a list of paths.")
        if not path.exists():
            raise DataError(f"The file {str(source)!r} does not exist{_nearest_file(path)}", "Correct the path.")
        if not path.is_file():
            raise DataError(f"{str(source)!r} is a device or a pipe, not a regular file.", "Save the data to a file.")
        with path.open("rb") as stream:
            first = stream.read(1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise DataError(
            f"The file {str(source)!r} cannot be read: {getattr(error, 'strerror', None) or error}.",
            "Correct the path, or give yourself permission to read the file.",
        ) from error
    if not first:
        raise DataError(f"The file {path.name} is empty (0 bytes).", "Give a file with a header and rows.")
    return path.absolute()


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; nor does its folder {str(path.parent)!r}."
    near = nearest(path.name, (other.name for other in path.parent.iterdir()))
    if near:
        return f"; did you mean {str(path.with_name(near))!r}?"
    return f" (a relative path starts at {str(Path.cwd())!r})." if not path.is_absolute() else "."


def _download(url: str, work: Path) -> Path:
    import httpx

    name = display_name(url)
    if urlsplit(url).scheme.lower() not in ("http", "https"):
        raise DataError(
            f"{name} has the scheme {urlsplit(url).scheme!r}; only http and https are read.",
            "Download the file and give its path.",
        )
    target = work / "download"
    remedy = "Check the address and the connection, or download the file yourself and give its path."
    too_large = DataError(
        f"{name} is larger than {MAX_BYTES:,} bytes, the limit of a download.",
        "Download the file yourself and give its path.",
    )
    try:
        timeout = httpx.Timeout(60.0, connect=15.0)
        with httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as response, target.open("wb") as file:
            if not response.is_success:
                raise DataError(
                    f"{name} could not be downloaded: the server answered "
                    f"{response.status_code} {response.reason_phrase}.",
                    remedy,
                )
            if int(response.headers.get("content-length", 0)) > MAX_BYTES:
                raise too_large
            for block in response.iter_bytes(_BLOCK):
                file.write(block)
                if file.tell() > MAX_BYTES:
                    raise too_large
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # The error's own text may repeat the URL with its secrets; its kind is enough.
        reason = "no answer in time" if isinstance(error, httpx.TimeoutException) else type(error).__name__
        raise DataError(f"{name} could not be downloaded: {reason}.", remedy) from error
    if target.stat().st_size == 0:
        raise DataError(f"{name} is empty (0 bytes).", remedy)
    return target


def unpacked(file: Path, name: str, work: Path) -> Path:
    """The file itself, or the one that a gzip or zip file holds, unpacked into the folder `work`.

    Raises
    ------
    DataError
        The first bytes tell that this is no separated text (a workbook, a web page, a Parquet file …).
    """
    with file.open("rb") as stream:
        head = stream.read(1024)
    for mark, kind, remedy in _OTHER_KINDS:
        if head.startswith(mark):
            raise DataError(f"{name} is {kind}, not separated text.", remedy)
    if head.lstrip(codecs.BOM_UTF8 + b" \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DataError(
            f"{name} is a web page or XML, not separated text: it begins with {head.lstrip()[:30]!r}.",
            "Give the address of the file itself (on a page of a repository, the one of its 'raw' button).",
        )
    try:
        if head.startswith(b"\x1f\x8b"):
            with gzip.open(file) as content:
                return _unpack(content, name, work)
        if head.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(file) as archive:
                return _unpack(archive.open(_only_member(archive, name)), name, work)
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, RuntimeError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        # RuntimeError is how zipfile says that a password is needed.
        raise DataError(f"{name} cannot be unpacked: {error}.", "Get the file again, or unpack it yourself.") from error
    return file


def _only_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if any(m.filename.startswith("xl/") for m in members):
        raise DataError(f"{name} is an Excel workbook, not separated text.", _SEPARATED_TEXT)
    if len(members) != 1:
        listed = ", ".join(m.filename for m in members[:5])
        raise DataError(
            f"{name} holds {len(members)} files ({listed}), not one.", "Unpack it and give the one to read."
        )
    return members[0]


def _unpack(content: IO[bytes] | gzip.GzipFile, name: str, work: Path) -> Path:
    target = work / "unpacked"
    with target.open("wb") as file:
        while block := content.read(_BLOCK):
            file.write(block)
            if file.tell() > MAX_BYTES:
                raise DataError(f"{name} holds more than {MAX_BYTES:,} bytes.", "Unpack it yourself and give its path.")
    return target


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a stored table into another data folder; the target is there whole, or not at all."""
    with working_folder(target.parent) as work:
        shutil.copyfile(source, work / target.name)
        (work / target.name).replace(target)
