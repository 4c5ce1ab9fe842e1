"""Where data comes from: a path or URL becomes a local file, and its bytes become plain UTF-8 text."""

from __future__ import annotations

import codecs
import errno
import gzip
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from nbhelpers.errors import DataError, StoreError, UserErrorException

#: A download, or the unpacked content of a compressed file, may not be larger than this.
MAX_BYTES = 8 * 2**30

_BLOCK = 2**20
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

#: Byte order marks; UTF-32 comes first because its mark begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

#: The SDK's names of encodings that Python does not know.
_SDK_ENCODINGS = {"iso88591": "latin-1", "utf8bom": "utf-8-sig", "windows1252": "cp1252"}


#: Code pages of Windows for languages with Latin letters.
_LATIN = ("cp1252", "cp1250", "cp1254", "cp1257")

#: Those for other scripts; the many others that charset-normalizer knows win by chance on short texts.
_OTHER_SCRIPTS = ("cp1251", "cp1253", "cp1255", "cp1256", "cp874", "cp932", "gb18030", "big5", "cp949")


@contextmanager
def working_folder(data_folder: Path) -> Iterator[Path]:
    """Give a folder for half-made files, on the disk of the data folder; it is gone afterwards, whatever happens."""
    try:
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
    if is_url(source):
        parts = urlsplit(str(source))
        return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
    return Path(source).name


def is_url(source: str | Path) -> bool:
    """Whether a source is a URL of any scheme."""
    return isinstance(source, str) and "://" in source


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
    close = get_close_matches(path.name, [other.name for other in path.parent.iterdir()], n=1)
    if close:
        return f"; did you mean {str(path.with_name(close[0]))!r}?"
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


def plain_text(file: Path, name: str, encoding: str, work: Path) -> Path:
    r"""The file as UTF-8 without byte order mark, and with ``\n`` at line ends.

    A file that is so already is given back as it is; any other is rewritten into the folder `work`, in blocks.
    A byte order mark wins over `encoding`. A file that is not the UTF-8 it is expected to be is read in the
    encoding that charset-normalizer finds, and a line says so.

    Raises
    ------
    DataError
        A byte does not belong to the encoding, or there is a NUL (binary data).
    """
    with file.open("rb") as stream:
        head = stream.read(4)
    found = next((known for mark, known in _MARKS if head.startswith(mark)), None) or _known_encoding(encoding)
    if found == "utf-8":
        unix_lines, foreign = _scan(file)
        if foreign is None and unix_lines:
            return file
        if foreign is not None:
            found = _detected(foreign)
            print(f"{name} is not UTF-8: read as {found}. Name its encoding (encoding=…) if letters look wrong.")
    target = work / "text"
    line = 1
    try:
        with (
            file.open(encoding=found, newline=None) as reader,
            target.open("w", encoding="utf-8", newline="") as writer,
        ):
            while text := reader.read(_BLOCK):
                writer.write(_without_nul(text, name, line))
                line += text.count("\n")
    except UnicodeError as error:
        raise DataError(
            f"{name} is not {found} after line {line}: {getattr(error, 'reason', error)}.",
            "Name the encoding that the file was saved in, as in encoding='cp1252'.",
        ) from error
    return target


def _known_encoding(encoding: Any) -> str:
    try:
        name = codecs.lookup(_SDK_ENCODINGS.get(encoding, encoding)).name
        "".encode(name)  # refuses codecs that are no text encodings, such as 'hex'
    except (LookupError, TypeError, ValueError) as error:
        raise UserErrorException(
            f"encoding={encoding!r} is not an encoding.",
            "Use 'utf8', 'cp1252', 'latin1', 'utf16' or another of Python's.",
        ) from error
    return name


def _without_nul(text: str, name: str, line: int) -> str:
    if "\0" in text:
        line += text[: text.index("\0")].count("\n")
        raise DataError(
            f"{name} has a NUL character on line {line}: it is binary, or UTF-16 without a byte order mark.",
            "Save it as UTF-8 text, or pass encoding='utf16'.",
        )
    return text


def _scan(file: Path) -> tuple[bool, bytes | None]:
    r"""Whether all line ends are ``\n``; and, of a file that is not UTF-8, its lines with other than ASCII bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    unix_lines = True
    with file.open("rb") as stream:
        try:
            line = 1
            while block := stream.read(_BLOCK):
                text = decoder.decode(block)
                unix_lines = unix_lines and "\r" not in text
                _without_nul(text, file.name, line)
                line += text.count("\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            stream.seek(0)
            sample = b""
            while len(sample) < 2**16 and (lines := stream.readlines(_BLOCK)):
                sample += b"".join(each[:1000] for each in lines if not each.isascii())
            return unix_lines, sample[: 2**16]
    return unix_lines, None


def _detected(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    # In a European language the letters beyond ASCII stand alone; other scripts come in runs.
    runs = re.findall(rb"[\x80-\xff]+", sample)
    if sum(map(len, runs)) >= 1.5 * len(runs):
        best = from_bytes(sample, cp_isolation=list(_OTHER_SCRIPTS)).best()
        return best.encoding if best else "cp1252"
    matches = from_bytes(sample, cp_isolation=list(_LATIN))
    # Short texts suit several code pages equally well; then Windows' Western one is by far the likeliest.
    likeliest = max(matches, key=lambda match: (match.coherence, "cp1252" in match.could_be_from_charset), default=None)
    if likeliest is None or "cp1252" in likeliest.could_be_from_charset:
        return "cp1252"
    return likeliest.encoding


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a stored table into another data folder; the target is there whole, or not at all."""
    with working_folder(target.parent) as work:
        shutil.copyfile(source, work / target.name)
        (work / target.name).replace(target)
