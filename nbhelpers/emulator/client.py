"""What makes a program take the emulated cloud for Azure: environment variables, and a config.json to be found."""

from __future__ import annotations

import fcntl
import json
import os
import site
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir

from nbhelpers.emulator.names import CLIENT, RESOURCE_GROUP, SUBSCRIPTION, TENANT, WORKSPACE
from nbhelpers.emulator.state import State

_CONFIG = {"subscription_id": SUBSCRIPTION, "resource_group": RESOURCE_GROUP, "workspace_name": WORKSPACE}
#: Variables that would lead the SDK to another cloud or identity, or around the proxy.
_FOREIGN = ("AZURE_", "AZUREML_", "ARM_", "IDENTITY_", "MSI_", "ALL_PROXY")


def client_environment(cloud: State, proxy: str, bundle: Path, home: Path) -> dict[str, str]:
    """The environment of a program that shall take the emulated cloud for Azure.

    Parameters
    ----------
    cloud : State
    proxy : str
        The URL of the proxy.
    bundle : Path
        The certificates to trust (PEM).
    home : Path
        An empty private folder: the SDK keeps endpoints and sign-ins of one cloud in the home folder.
    """
    (home / ".azureml").mkdir(mode=0o700)
    (home / ".azureml" / "config.json").write_text(json.dumps(_CONFIG))
    runtime = home / "stand-in" / "azureml" / "train" / "automl" / "runtime"
    runtime.mkdir(parents=True)
    (runtime / "__init__.py").write_text('"""Stands in for azureml-train-automl-runtime."""\n')
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
    user = Path.home()
    # The user's settings for what has nothing to do with Azure; by default they are found from HOME.
    settings = {
        "IPYTHONDIR": str(user / ".ipython"),
        "JUPYTER_CONFIG_DIR": jupyter_config_dir(),
        "JUPYTER_DATA_DIR": jupyter_data_dir(),
        "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, which has the SDK
        "PYTHONUSERBASE": site.getuserbase(),
        "XDG_CACHE_HOME": str(user / ".cache"),  # XDG_…: for Matplotlib
        "XDG_CONFIG_HOME": str(user / ".config"),
    }
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return (
        settings
        | own
        | dict.fromkeys(proxies, proxy)
        | dict.fromkeys(("NO_PROXY", "no_proxy"), "localhost,127.0.0.1")
        | dict.fromkeys(("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), str(bundle))
        | {
            "AZUREML_SERVICE_PRINCIPAL_TENANT_ID": TENANT,
            "AZUREML_SERVICE_PRINCIPAL_ID": CLIENT,
            "AZUREML_SERVICE_PRINCIPAL_PASSWORD": cloud.client_secret,
            "HOME": str(home),
            "NBHELPERS_HOME": str(cloud.workspace.store.home),
            # `AutoMLRun.get_output` opens a model only where the package is installed that Azure ML's own models need.
            # It is looked for in these folders after the SDK's, so that the real one is found first.
            "PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(home / "stand-in")]),
            # So that `python` and `jupyter` are those of this environment.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        }
    )


@contextmanager
def config_in(folder: Path) -> Iterator[str | None]:
    """Have ``.azureml/config.json`` in a folder for the length of a `with` block.

    ``Workspace.from_config()`` looks there and in the folders above, before any other place, and no variable leads it
    elsewhere. The file is shared with other emulators, and removed by the last one that uses it, also where an earlier
    one was killed.

    Yields
    ------
    str or None
        Why there is none, such as that the folder holds the config.json of another workspace.
    """
    path = folder / ".azureml" / "config.json"
    try:
        file = _share(path)
    except OSError as error:
        yield f"{path} cannot be made: {error.strerror}."
        return
    try:
        yield None if _is_ours(path) else f"{path} is not that of the emulated workspace."
    finally:
        # Fails while another emulator uses the file, or where COMMAND has put more into the folder.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_ours(path):
                path.unlink()
                path.parent.rmdir()
        os.close(file)


def _share(path: Path) -> int:
    """Make the file where it is missing, and lock it together with its other users; gives its descriptor."""
    while True:
        path.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # its last user has just removed it
            if not path.exists():
                new = path.with_name(f"{uuid.uuid4()}.json")
                new.write_text(json.dumps(_CONFIG))
                with suppress(FileExistsError):
                    path.hardlink_to(new)  # so that nobody sees it without its content
                new.unlink()
            file = os.open(path, os.O_RDONLY)
            fcntl.flock(file, fcntl.LOCK_SH)
            if os.fstat(file).st_nlink:
                return file
            os.close(file)


def _is_ours(path: Path) -> bool:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and all(config.get(key) == value for key, value in _CONFIG.items())
