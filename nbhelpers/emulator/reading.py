"""Read a data set with the SDK and store the rows in the local workspace; run as a process of its own.

Arguments: the id of the data set, the folder of the workspace, and the file for the result, which is JSON with
``table``, the digest of the stored table, or ``problem`` and ``remedy``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from nbhelpers.emulator.names import RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE
from nbhelpers.errors import NbhelpersError
from nbhelpers.local.files import store_frame
from nbhelpers.local.store import open_store, write_atomically


def read(id: str, home: Path) -> dict[str, str]:
    """Read and store the rows.

    Parameters
    ----------
    id : str
        Of the data set.
    home : Path
        The folder of the local workspace.
    """
    from azureml.core import Dataset, Workspace

    try:
        workspace = Workspace(SUBSCRIPTION, RESOURCE_GROUP, WORKSPACE)
        frame = Dataset.get_by_id(workspace, id).to_pandas_dataframe()
        return {"table": store_frame(frame, open_store(home))}
    except NbhelpersError as error:
        return {"problem": error.problem, "remedy": error.remedy}
    except Exception as error:  # of whatever kind, it is what the user has to know
        return {"problem": _short(error)}


def _short(error: Exception) -> str:
    """What an error of the SDK says, without the ids around it."""
    text = " ".join(str(getattr(error, "message", error)).split())
    found = re.search(r"error_code=([\w.]*),error_message=(.*?)\| session_id=", text)
    return f"{found[2]} ({found[1]})." if found else text[:1000]


if __name__ == "__main__":
    answer = read(sys.argv[1], Path(sys.argv[2]))
    write_atomically(Path(sys.argv[3]), json.dumps(answer).encode())
    os._exit(0)  # the SDK's threads, such as that of its telemetry, may take their time to end
