"""`connect`: one vocabulary, the SDK's own, on the backend of choice."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from nbhelpers.azure.costs import cost_line
from nbhelpers.errors import BackendError, nearest

#: The backends, and the module that has the SDK's names for each.
BACKENDS = {"local": "nbhelpers.local", "azure": "nbhelpers.azure"}


class Backend:
    """The SDK's names as attributes: ``ml.Workspace``, ``ml.AutoMLConfig`` … See `connect`.

    Attributes
    ----------
    name : str
        ``"local"`` or ``"azure"``.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._seed = seed
        self._module = import_module(BACKENDS[name])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in dir(self._module):
            near = nearest(name, dir(self._module))
            hint = f" Did you mean {near!r}?" if near else ""
            raise AttributeError(f"The {self.name} backend has no {name!r}.{hint}")
        value = getattr(self._module, name)
        if self.name == "local" and name == "AutoMLConfig":
            return partial(value, seed=self._seed)
        return value

    def __dir__(self) -> list[str]:
        return ["name", *dir(self._module)]

    def __repr__(self) -> str:
        return f"connect({self.name!r}, seed={self._seed})"


def connect(backend: str = "local", *, seed: int = 0) -> Backend:
    """Get the names of the Azure ML SDK v1 on a backend.

    Parameters
    ----------
    backend : {"local", "azure"}
        ``"local"``: this project's workspace in a folder of this machine. ``"azure"``: the real SDK's classes.
    seed : int, default 0
        Seed of folds, samples and models of every `AutoMLConfig` made through the result. Only ``"local"``: the
        Azure service takes none.

    Returns
    -------
    Backend
        Has the SDK's names as attributes.

    Raises
    ------
    BackendError
        The backend is unknown, or a seed was given for Azure.
    """
    if backend not in tuple(BACKENDS):  # a tuple, as what was given may not be hashable
        raise BackendError(
            f"There is no backend {backend!r}.",
            f"choose one of {', '.join(map(repr, BACKENDS))}; the default is 'local'",
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise BackendError(f"The seed {seed!r} is not a whole number from 0 on.", "give for example seed=0")
    if backend == "azure" and seed != 0:
        raise BackendError(
            f"seed={seed} cannot be honoured on Azure: the service takes no seed for AutoML.", "leave seed at 0"
        )
    return Backend(backend, seed)


def announce_cost(ml: Backend, compute_target: Any, minutes: float) -> None:
    """Print what a training on a compute target may cost at most; nothing where it costs none.

    Parameters
    ----------
    ml : Backend
    compute_target : ComputeTarget
    minutes : float
        After which the search ends.
    """
    if ml.name == "azure":
        print(cost_line(compute_target, minutes))
