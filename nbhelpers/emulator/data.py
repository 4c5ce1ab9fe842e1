"""The rows of a stored data set definition, for training: read by the SDK itself, so that they are what a client sees.

The SDK reads in a process of its own, under the environment that makes it take this emulator for Azure.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from nbhelpers.emulator.definitions import get_saved, rows_definition
from nbhelpers.emulator.names import DATA_CONTAINER
from nbhelpers.emulator.registrations import registration_of
from nbhelpers.emulator.state import State
from nbhelpers.errors import UserErrorException
from nbhelpers.local.sources import display_name
from nbhelpers.local.tabular import TabularDataset, unregistered

#: Seconds that reading a data set may take; the SDK waits 100 s for the answer to a request that needs it.
TIME_LIMIT = 90

#: Where the rows come from, in the text of a definition; of paths in a data store, also the part before a wildcard.
_SOURCE = re.compile(r'- (?:file|folder|pattern): "([^"]+)"')
_BLOBS = re.compile(r"azureml://.*/datastores/[^/]+/paths/([^*?]*)")

_reading = threading.Lock()
#: What was read by each emulator: the digest of the table by the definition's id and the state of its blobs.
_tables: WeakKeyDictionary[State, dict[Any, str]] = WeakKeyDictionary()


def tabular(cloud: State, saved_id: str) -> TabularDataset:
    """The rows of a definition, as a data set of the local workspace.

    They are read once, and again when blobs that the definition names have changed. Not to be called on the thread
    of the servers, which the reading process asks.

    Parameters
    ----------
    cloud : State
        Of an emulator that runs.
    saved_id : str
        The id of the definition.

    Raises
    ------
    CloudError
        404: there is no such definition.
    UserErrorException
        The rows cannot be read, or not be trained on; or the SDK is missing here.
    """
    saved = get_saved(cloud, saved_id)
    found = registration_of(cloud, saved_id)
    name = f"{found['name']}, version {found['latest']['versionId']}" if found else f"with the id {saved_id}"
    if saved["datasetType"] != "tabular":
        raise UserErrorException(
            f"The data set {name} is one of files, not a table.", "Make one with Dataset.Tabular, and train on that."
        )
    sources = _SOURCE.findall(rows_definition(saved["dataflowJson"]))
    prefixes = [unquote(path[1]) for path in map(_BLOBS.match, sources) if path]
    blobs = [blob for prefix in prefixes for blob in cloud.blobs.list(DATA_CONTAINER, prefix)]
    key = (saved_id, tuple((blob.name, blob.md5, blob.modified) for blob in blobs))
    with _reading:
        tables = _tables.setdefault(cloud, {})
        if key not in tables or not (cloud.workspace.store.data_folder / f"{tables[key]}.parquet").is_file():
            tables[key] = _read(cloud, saved_id, name, sources)
    return unregistered(cloud.workspace.store, tables[key], [name])


def _read(cloud: State, saved_id: str, name: str, sources: list[str]) -> str:
    """Read the rows into the workspace, in a process with the SDK; gives the digest of the table."""
    remedy = f"Check the data with Dataset.get_by_id(workspace, {saved_id!r}).to_pandas_dataframe()."
    if not cloud.client_environment:
        raise UserErrorException(f"The data set {name} cannot be read: the emulator does not run.", "Start it first.")
    if not _has_sdk():
        raise UserErrorException(
            f"The data set {name} cannot be read: {sys.executable}, which runs the emulator, lacks the Azure ML SDK.",
            "Run .venv-azure/bin/nbhelpers emulate; `make install-azure` makes that environment.",
        )
    with tempfile.TemporaryDirectory(prefix="nbhelpers-") as folder:
        result, home = Path(folder) / "result.json", str(cloud.workspace.store.home)
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", "nbhelpers.emulator.reading", saved_id, home, str(result)],
                env=cloud.client_environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the SDK's reader prints what it does
                stderr=subprocess.PIPE,
                timeout=TIME_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UserErrorException(f"The data set {name} was not read within {TIME_LIMIT} s.", remedy) from error
        if result.is_file():
            answer: dict[str, str] = json.loads(result.read_text())
        else:
            last = " ".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:])
            answer = {"problem": f"the process with the SDK ended with status {done.returncode}. {last}"}
    if "table" in answer:
        return answer["table"]
    origin = f" It is read from {', '.join(map(display_name, sources))}." if sources else ""
    raise UserErrorException(
        f"The data set {name} cannot be read: {answer['problem']}{origin}", answer.get("remedy", remedy)
    )


@cache
def _has_sdk() -> bool:
    try:
        return find_spec("azureml.core") is not None
    except ModuleNotFoundError:  # not even the package above it
        return False
