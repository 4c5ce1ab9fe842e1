"""The files of runs as blobs: outputs of steps, and the files that Azure ML keeps with a run."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import quote
from zipfile import ZipFile

import sqlalchemy as sa

from nbhelpers.emulator.names import BLOB, DATA_CONTAINER, RUN_CONTAINER
from nbhelpers.emulator.records import MODEL, original
from nbhelpers.emulator.state import State
from nbhelpers.emulator.storage import access_token
from nbhelpers.local.child_models import child_model_file
from nbhelpers.local.models import ABOUT, load, model_file
from nbhelpers.local.processes import log_file
from nbhelpers.local.store import runs, write_atomically

#: The log of a run, among its files.
LOG = "logs/azureml/log.txt"
#: The checks of the data, among the files of a step; the packages of the model, among those of its best child.
GUARDRAILS = "outputs/verifier_results.json"
CONDA, VERSIONS = "outputs/conda_env_v_1_0_0.yml", "outputs/env_dependencies.json"
_OWNER = re.compile(r"(?:azureml/|ExperimentRun/dcid\.)([^/]+)/")
Files = Mapping[str, Callable[[], Path]]


def folder_of(run_id: str) -> str:
    """How the names of the blobs begin that are the files of a run."""
    return f"ExperimentRun/dcid.{run_id}/"


def url_of(cloud: State, name: str) -> str:
    """The URL of a blob among the files of runs, with the right to read it."""
    return f"{BLOB}/{RUN_CONTAINER}/{quote(name)}?{access_token(cloud)}"


def log_urls(cloud: State, row: sa.RowMapping) -> dict[str, str]:
    """The URLs of a run's logs by their names."""
    blobs = cloud.blobs.list(RUN_CONTAINER, f"{folder_of(original(row))}logs/")
    return {blob.name.removeprefix(folder_of(original(row))): url_of(cloud, blob.name) for blob in blobs}


def files_of_runs(cloud: State) -> Callable[[str, str], Mapping[str, Path]]:
    """A source for `Blobs.sources`: the files of the runs of the local workspace."""

    def source(container: str, prefix: str) -> dict[str, Path]:
        root, files_of = {
            DATA_CONTAINER: ("azureml/", _outputs),
            RUN_CONTAINER: ("ExperimentRun/", _artifacts),
        }[container]
        if not prefix.startswith(root) and not root.startswith(prefix):
            return {}
        owner = _OWNER.match(prefix)
        found: dict[str, Path] = {}
        for row in cloud.workspace.store.all(sa.select(runs).where(runs.c.id == owner[1] if owner else sa.true())):
            # Only those that are asked for: some are made when they are first read.
            paths = {name: path() for name, path in files_of(cloud, row, prefix).items() if name.startswith(prefix)}
            found |= {name: path for name, path in paths.items() if path.is_file()}
        return found

    return source


def _outputs(cloud: State, row: sa.RowMapping, prefix: str) -> Files:  # noqa: ARG001 - as `_artifacts`
    """The outputs of a step, under the names that it and the steps that reuse it have for them."""
    if row["kind"] != "step" or original(row) != row["id"]:
        return {}
    files = {"Metrics": partial(_output, cloud, row, "metrics_data")}
    if _has_model(cloud, row):
        files["Model"] = partial(_of_model, cloud, row, None, MODEL)
    same = sa.or_(runs.c.id == row["id"], runs.c.properties["azureml.reusedrunid"].as_string() == row["id"])
    users = cloud.workspace.store.all(sa.select(runs.c.definition).where(same))
    return {
        f"azureml/{row['id']}/{output['name']}": files[output["type"]]
        for user in users
        for output in user["definition"]["outputs"]
        if output["type"] in files
    }


def _artifacts(cloud: State, row: sa.RowMapping, prefix: str) -> Files:
    """What Azure ML keeps with a run; what is about a child's model only where it is asked for, or was before.

    Only the best child's model is at hand: that of another one takes as long as training it did.
    """
    store, found = cloud.workspace.store, dict[str, Callable[[], Path]]()
    if row["kind"] == "pipeline":
        for step in store.all(sa.select(runs).where(runs.c.parent_id == row["id"])):
            found[LOG] = partial(log_file, store, original(step))
    elif row["kind"] == "step":
        found[LOG] = partial(log_file, store, row["id"])
        found[GUARDRAILS] = partial(_output, cloud, row, "verifier_results.json")
    else:
        stored = model_file(store, row["id"])
        for path in stored.parent.glob("*"):
            if path != stored:  # a table; the metrics refer to it without the folder
                found |= dict.fromkeys((path.name, f"outputs/{path.name}"), partial(_output, cloud, row, path.name))
        parent = store.one(sa.select(runs).where(runs.c.id == row["parent_id"]))
        of_model = (MODEL, CONDA, VERSIONS)
        if parent is not None and parent["tags"].get("automl_best_child_run_id") == row["id"]:
            if _has_model(cloud, parent):
                found |= {name: partial(_of_model, cloud, parent, None, name) for name in of_model}
        elif parent is not None and row["status"] == "Completed":
            wanted = [name for name in of_model if stored.is_file() or prefix == folder_of(row["id"]) + name]
            found |= {name: partial(_of_model, cloud, parent, row["id"], name) for name in wanted}
    return {folder_of(row["id"]) + name: path for name, path in found.items()}


def _output(cloud: State, row: sa.RowMapping, name: str) -> Path:
    return cloud.workspace.store.run_folder(row["id"]) / "outputs" / name


def _has_model(cloud: State, step: sa.RowMapping) -> bool:
    return step["status"] == "Finished" and model_file(cloud.workspace.store, step["id"]).is_file()


def _of_model(cloud: State, step: sa.RowMapping, child_id: str | None, name: str) -> Path:
    """A file about the model of a step's child, by default of the best one; all are made once.

    Raises
    ------
    ModelError
        The model cannot be fitted or loaded here, and so not be pickled.
    """
    store = cloud.workspace.store
    if child_id is None:
        stored, digest = model_file(store, step["id"]), str(step["properties"]["model_digest"])
    else:
        stored = child_model_file(store, dict(step), child_id)
        digest = hashlib.sha256(stored.read_bytes()).hexdigest()
    folder = store.home / "emulator" / "models" / digest
    if not (folder / MODEL).is_file():
        model = load(stored, cloud.workspace)
        with ZipFile(stored) as archive:
            about = json.loads(archive.read(ABOUT))
        pins = [f"    - {package}=={version}" for package, version in about["packages"].items()]
        lines = [
            "name: automl",
            "channels: [conda-forge]",
            "dependencies:",
            f"  - python={about['python']}",
            "  - pip:",
        ]
        write_atomically(folder / CONDA, "\n".join([*lines, *pins, ""]).encode())
        write_atomically(folder / VERSIONS, json.dumps(about["packages"], indent=2).encode())
        write_atomically(folder / MODEL, pickle.dumps(model))
    return folder / name
