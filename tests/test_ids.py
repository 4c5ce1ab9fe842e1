"""No file names a real workspace: not the notebook's that this project re-creates, nor one that was recorded from."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: The first characters of the SHA-256 of names and ids, so that this file names none either.
FORBIDDEN = {
    "94e42a5137083e13",  # a workspace, without its number
    "6e0d5f3ff488e29a",  # a resource group, without its number
    "fde3069dba81b42e",  # the number of both
    "cb94a512356a6bee",  # a subscription
    "3fdac53cd49b8046",  # a tenant
    "666ff6ccaa5b3c07",  # the id of a workspace
    "4877974d717a4c68",  # a client
    "594c3bba3cce2aa2",  # a region
    "4b2dd836d664f91a",  # a storage account, and its key
    "fb09a6c30aff500e",
    "2f42e4c8df2abd9c",  # runs, a step, a module and a published pipeline
    "35804c1c775cb488",
    "47508bc54ab5132f",
    "566bcef594110d4f",
    "e62c7920d835f3d2",
    "e7bd97d20415154a",
}
_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def forbidden(text: str) -> set[str]:
    """The parts of a text that are such a name or id, in any case of letters."""
    return {
        name
        for word in set(_WORD.findall(text.lower()))
        for name in joined(word.split("-"))
        if hashlib.sha256(name.encode()).hexdigest()[:16] in FORBIDDEN
    }


def joined(parts: list[str]) -> Iterator[str]:
    """All runs of neighbours among the parts of a word; an id has five."""
    for first, end in combinations(range(len(parts) + 1), 2):
        if end - first <= 5:
            yield "-".join(parts[first:end])


def test_no_file_of_the_project_has_one() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("git does not know the files of this folder")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert ROOT / "README.md" in files
    found = {str(file): forbidden(file.read_text(errors="replace")) for file in files if file.is_file()}
    assert {file: names for file, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "text", ["https://ml.azure.com/wsid=/workspaces/Quick-Starts-{}-12/x", "name_{}storeaccount1", "x-SouthCentral{}"]
)
def test_one_would_be_found(text: str) -> None:
    assert any(forbidden(text.format(part)) for part in ("ws", "dev", "us"))
    assert not forbidden(text.format("…"))
