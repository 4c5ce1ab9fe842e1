"""The bytes of a text file become plain UTF-8, whatever encoding and line ends it was saved with."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

from nbhelpers.errors import DataError, UserErrorException

_BLOCK = 2**20

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
            "Save it as UTF-8 text, or pass encoding='utf-16-le'.",
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
            while len(sample) < 2**16 and (each := stream.readline(_BLOCK)):
                sample += b"" if each.isascii() else each[:1000]
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
