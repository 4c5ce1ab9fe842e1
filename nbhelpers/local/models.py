"""Trained models as files: stored with skops, known by their digest, and never unpickled unless that is asked for.

Imported as ``from nbhelpers.local import models as pickle``, it serves notebook cells that say ``pickle.load(file)``.

A model file is a skops archive with one more entry, ``about.json``, that a reader finds in it wherever it goes
(``unzip -p model_data about.json``): the run that stored it, the versions of ``packages`` and ``python``, the
``columns`` that the model expects, and its ``classes`` (null for a regression).
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from zipfile import ZipFile

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nbhelpers.errors import ModelError
from nbhelpers.local.arguments import check_flags, check_workspace
from nbhelpers.local.store import Store, models, now, open_store, runs, write_atomically

if TYPE_CHECKING:
    from nbhelpers.local.workspace import Workspace

ABOUT = "about.json"
#: How pickles begin (protocols 2 to 5), and compressed files of joblib (zlib, gzip, bz2, xz, lzma, lz4).
PICKLES = (
    *(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
    *(b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"]\x00\x00", b"\x04\x22\x4d\x18"),
)
#: The last remedy of most refusals.
TRUST = "if you trust who made the file, open it with nbhelpers.local.models.load(file, trust=True)"


def package_versions() -> dict[str, str]:
    """The installed versions of the packages that matter to a stored model."""
    from nbhelpers.automl import VERSION_PACKAGES

    return {package: metadata.version(package) for package in VERSION_PACKAGES}


def model_file(store: Store, run_id: str) -> Path:
    """Where the model of a step run is kept, or that of a child run."""
    return store.run_folder(run_id) / "outputs" / "model_data"


def save_model(store: Store, run_id: str, model: Any) -> str:
    """Write the model of a run, and note its digest in the store: the file first, so that no digest lacks its file.

    Parameters
    ----------
    store : Store
    run_id : str
        The step run that made the model, or the child run that it is of.
    model : estimator
        Made of types that `nbhelpers.automl.TRUSTED_TYPES` names.

    Returns
    -------
    str
        SHA-256 of the file, in hexadecimal.

    Raises
    ------
    ModelError
        The model holds other types, and could not be loaded again.
    """
    import numpy as np

    about = {
        "run_id": run_id,
        "packages": package_versions(),
        "python": platform.python_version(),
        "columns": np.asarray(getattr(model, "feature_names_in_", ())).tolist(),
        "classes": np.asarray(getattr(model, "classes_", None)).tolist(),
    }
    content = _dumped(model, json.dumps(about, indent=2, default=str))
    if foreign := _foreign_types(content):
        raise ModelError(
            f"The model holds types that are not trusted on loading: {foreign}.",
            "store models that nbhelpers.automl.search made",
        )
    digest = hashlib.sha256(content).hexdigest()
    write_atomically(model_file(store, run_id), content)
    row = insert(models).values(digest=digest, run_id=run_id, created=now())
    with store.writing() as connection:
        connection.execute(row.on_conflict_do_nothing())
    return digest


def load(file: BinaryIO | str | Path, workspace: Workspace | None = None, *, trust: bool = False) -> Any:
    """Load a model that a finished run of this workspace has stored, or with `trust` any model file.

    Parameters
    ----------
    file : binary file, str or Path
        An open file, or the path of one.
    workspace : Workspace, optional
        Default: the workspace in ``NBHELPERS_HOME``.
    trust : bool, default False
        Open the file whoever made it; say so only of files whose maker you know. A model of another workspace, or one
        that was changed, still brings no types but those of `nbhelpers.automl.TRUSTED_TYPES`: no code in it is run, but
        it can predict nonsense or crash Python. A pickle, such as the ``model.pkl`` of Azure ML, **can run any code**
        while it is opened. Other package versions are then a warning, no error.

    Returns
    -------
    sklearn.pipeline.Pipeline
        With `trust`, whatever the file holds.

    Raises
    ------
    ModelError
        The file is missing, is no model file, or cannot be rebuilt here. Without `trust` also: it is a pickle, this
        workspace did not store it, it was changed, its run has not finished, or it needs other package versions.
    """
    if workspace is not None:
        check_workspace(workspace)
    check_flags({"trust": trust})
    content = _read(file)
    if content.startswith(PICKLES):
        return _unpickle(content, trust)
    run_id, packages = _about(content)
    if not trust:
        _check_origin(workspace.store if workspace else open_store(), run_id, content)
    _check_versions(packages, trust)
    return _rebuild(content)


def _read(file: BinaryIO | str | Path) -> bytes:
    if not isinstance(file, str | Path) and not hasattr(file, "read"):
        raise ModelError(f"A {type(file).__name__} is no model file.", "give a path, or open(path, 'rb')")
    content: bytes | str
    try:
        if isinstance(file, str | Path):
            path = Path(file).expanduser()
            if path.is_dir():
                raise ModelError(f"{path} is a folder.", "give the path of the model file in it")
            content = path.read_bytes()
        else:
            content = file.read()
    except UnicodeDecodeError:  # a file that is open as text
        content = ""
    except (OSError, ValueError) as error:  # ValueError: a closed file, or a NUL in the path
        raise ModelError(
            f"The model file {file} cannot be read: {getattr(error, 'strerror', None) or error}.",
            "download it with pipeline_run.get_pipeline_output(...).download('.')",
        ) from error
    if isinstance(content, str):
        raise ModelError("The model file is open as text.", "open it in binary form: open(path, 'rb')")
    if not content:
        raise ModelError("The model file is empty, or was read to its end before.", "open it again, or download it")
    return content


def _unpickle(content: bytes, trust: bool) -> Any:
    import joblib

    if not trust:
        raise ModelError(
            "The file begins as a pickle or a joblib file does. It was not opened: that would run any code in it.",
            f"use a model that this workspace stored; {TRUST}",
        )
    try:
        return joblib.load(io.BytesIO(content))
    except Exception as error:  # a pickle can fail in any way
        raise ModelError(
            f"The pickle cannot be loaded here: {type(error).__name__}: {error}",
            "load it with the packages that it was made with; Azure ML keeps a list of them beside the model, in "
            "outputs/conda_env_v_1_0_0.yml of the child run",
        ) from error


def _about(content: bytes) -> tuple[str, dict[str, str]]:
    """The id of the run that stored a model, and the package versions; both empty where another program wrote it."""
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            archive.getinfo("schema.json")  # what every skops file has
            about = json.loads(archive.read(ABOUT)) if ABOUT in archive.namelist() else {"run_id": "", "packages": {}}
        return str(about["run_id"]), {str(package): str(version) for package, version in about["packages"].items()}
    except Exception as error:  # bytes from anywhere can fail in any way
        raise ModelError(
            f"The file is no model file, or is damaged: {error}.",
            "download the model with pipeline_run.get_pipeline_output(...).download('.', overwrite=True)",
        ) from error


def _check_origin(store: Store, run_id: str, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    run = store.one(sa.select(runs.c.status).where(runs.c.id == run_id))
    known = store.one(sa.select(models.c.digest).where(models.c.digest == digest))
    if run is None:
        problem = f"The model file was not stored by the workspace in {store.home}, or its run was cleaned away."
        remedy = f"set NBHELPERS_HOME to the workspace that trained it, or train again here; {TRUST}"
    elif run["status"] not in ("Finished", "Completed"):  # a child run is completed
        problem = f"The model file belongs to run {run_id}, which is {run['status']}."
        remedy = f"wait for the run with run.wait_for_completion(), or run the pipeline again; {TRUST}"
    elif known is None:
        problem = f"The model file was changed since run {run_id} stored it (its digest is now {digest[:12]}…)."
        remedy = f"download it again with overwrite=True; {TRUST}"
    else:
        return
    raise ModelError(f"{problem} It was not opened.", remedy)


def _check_versions(packages: dict[str, str], trust: bool) -> None:
    """Refuse a model of other package versions, or with `trust` warn of them."""
    here = {package: _installed(package) for package in packages}
    other = {package: version for package, version in packages.items() if here[package] != version}
    if not other:
        return
    problem = "The model was stored with other package versions: " + ", ".join(
        f"{package} {version} ({f'here {here[package]}' if here[package] else 'not installed here'})"
        for package, version in other.items()
    )
    if trust:
        warnings.warn(f"{problem}. It may fail or predict differently.", stacklevel=3)
        return
    pins = " ".join(f"{package}=={version}" for package, version in other.items() if package != "nbhelpers")
    raise ModelError(
        f"{problem}.",
        "train again here, or use those versions in an environment of their own"
        + (f": pip install {pins}" if pins else "")
        + f"; {TRUST}",
    )


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except (metadata.PackageNotFoundError, ValueError):  # ValueError: an empty name
        return None


def _rebuild(content: bytes) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from nbhelpers.automl import TRUSTED_TYPES

    try:
        return skops.io.loads(content, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        raise ModelError(
            f"The model holds types that are not trusted: {_foreign_types(content)}. It was not loaded.",
            "train again with this version of nbhelpers; if you know and trust each of these types, use skops.io.load",
        ) from error
    except Exception as error:  # a changed file, or a package that does not work here, can fail in any way
        raise ModelError(
            f"The model cannot be rebuilt: {type(error).__name__}: {error}", "download it again, or train again here"
        ) from error


class _Archive(ZipFile):
    """An archive whose names are a mapping: skops looks for each array among them, and a list is made each time."""

    def namelist(self) -> Any:
        """Names of the entries."""
        return self.NameToInfo


def _dumped(model: Any, about: str) -> bytes:
    """The content of a model file.

    What ``skops.io.dump`` does, without its indented JSON and its lists of names, which took 8 of 10 seconds for a
    model of 7,000 trees.
    """
    import skops
    from skops.io._utils import SaveContext, get_state

    buffer = io.BytesIO()
    with _Archive(buffer, "w") as archive:
        context = SaveContext(zip_file=archive)
        schema = get_state(model, context)
        context.clear_memo()
        schema |= {"protocol": context.protocol, "_skops_version": skops.__version__}
        archive.writestr("schema.json", json.dumps(schema))
        archive.writestr(ABOUT, about)
    return buffer.getvalue()


def _foreign_types(content: bytes) -> str:
    """The types in a skops file that neither skops nor this project trusts; empty if there are none."""
    import skops.io

    from nbhelpers.automl import TRUSTED_TYPES

    return ", ".join(sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED_TYPES)))
