"""Trained models as files: stored with skops, known by their digest, and never unpickled.

Imported as ``from nbhelpers.local import models as pickle``, it serves notebook cells that say ``pickle.load(file)``.
"""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nbhelpers.errors import ModelError
from nbhelpers.local.arguments import check_workspace
from nbhelpers.local.store import Store, models, now, open_store, write_atomically

if TYPE_CHECKING:
    from nbhelpers.local.workspace import Workspace


def package_versions() -> dict[str, str]:
    """The installed versions of the packages that matter to a stored model."""
    from nbhelpers.automl import VERSION_PACKAGES

    return {package: metadata.version(package) for package in VERSION_PACKAGES}


def model_file(store: Store, run_id: str) -> Path:
    """Where the model of a step run is kept."""
    return store.run_folder(run_id) / "outputs" / "model_data"


def save_model(store: Store, run_id: str, model: Any) -> str:
    """Write the model of a run, and note its digest and the package versions in the store.

    Parameters
    ----------
    store : Store
    run_id : str
        The step run that made the model.
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
    import skops.io

    from nbhelpers.automl import TRUSTED_TYPES

    content = skops.io.dumps(model)
    if foreign := set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED_TYPES):
        raise ModelError(
            f"The model holds types that are not trusted on loading: {', '.join(sorted(foreign))}.",
            "store models that nbhelpers.automl.search made",
        )
    digest = hashlib.sha256(content).hexdigest()
    write_atomically(model_file(store, run_id), content)
    row = insert(models).values(digest=digest, run_id=run_id, created=now(), versions=package_versions())
    with store.writing() as connection:
        connection.execute(row.on_conflict_do_nothing())
    return digest


def load(file: BinaryIO | str | Path, workspace: Workspace | None = None) -> Any:
    """Load a model that a run of this workspace has stored.

    Parameters
    ----------
    file : binary file, str or Path
        An open file, or the path of one.
    workspace : Workspace, optional
        Default: the workspace in ``NBHELPERS_HOME``.

    Returns
    -------
    sklearn.pipeline.Pipeline

    Raises
    ------
    ModelError
        The file is missing, is not (or no longer) one that this workspace stored, or needs other package versions.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from nbhelpers.automl import TRUSTED_TYPES

    if not isinstance(file, str | Path) and not hasattr(file, "read"):
        raise ModelError(f"A {type(file).__name__} is no model file.", "give a path, or open(path, 'rb')")
    try:
        content = Path(file).read_bytes() if isinstance(file, str | Path) else file.read()
    except OSError as error:
        raise ModelError(
            f"The model file {file} cannot be read: {error.strerror}.",
            "download it with pipeline_run.get_pipeline_output(...).download('.')",
        ) from error
    if not isinstance(content, bytes):
        raise ModelError("The model file is open as text.", "open it in binary form: open(path, 'rb')")
    if workspace is not None:
        check_workspace(workspace)
    store = workspace.store if workspace else open_store()
    digest = hashlib.sha256(content).hexdigest()
    known = store.one(sa.select(models).where(models.c.digest == digest))
    if known is None:
        raise ModelError(
            f"The file's digest {digest[:12]}… is not that of a model of this workspace: "
            "it was changed, or it comes from elsewhere. It was not opened, since loading a model can run its code.",
            "download the model again from its run, in the workspace that trained it",
        )
    here = package_versions()
    needed = {package: version for package, version in known["versions"].items() if here.get(package) != version}
    if needed:
        raise ModelError(
            "The model was stored with other package versions: "
            + ", ".join(f"{package} {version} (here {here.get(package)})" for package, version in needed.items())
            + ".",
            "train again here, or make an environment with: pip install "
            + " ".join(f"{package}=={version}" for package, version in needed.items()),
        )
    try:
        return skops.io.loads(content, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        raise ModelError(
            f"The model cannot be loaded: {error}", "train again with this version of nbhelpers"
        ) from error
