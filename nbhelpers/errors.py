"""The exceptions of the project.

Every one says what is wrong (with the value and the reason) and how to mend it::

    NbhelpersError
    ├── BackendError                 connect() cannot give the backend, or Azure refuses what is asked for
    ├── UserErrorException           a wrong call, name or argument (the SDK's name)
    │   ├── DataError                a file, table or column cannot be used
    │   ├── NotFoundError            the workspace has no such run, published pipeline, model or service
    │   ├── ConflictError            it is there, but its state does not allow what was asked for
    │   └── TokenError               a request is not allowed
    │       ├── AuthenticationException  it has no token, or not a valid one (the SDK's name)
    │       └── PermissionException  its token is for other things
    ├── ConfigException              settings of an AutoMLConfig (the SDK's name)
    ├── ComputeTargetException       a compute target is missing or misdescribed (the SDK's name)
    ├── ExperimentExecutionException waiting for a run was interrupted (the SDK's name)
    ├── ActivityFailedException      a run that was waited for failed (the SDK's name)
    ├── WebserviceException          a web service is missing, does not answer or refuses (the SDK's name)
    ├── TrainingError                the search ended without a model
    ├── ModelError                   a stored model is missing, changed or does not fit
    ├── StoreError                   the workspace folder cannot be used
    └── BatchError                   a chain of notebooks
        ├── ParameterError           a parameter of a notebook is unknown or has a wrong value
        └── StageError               a notebook failed
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: object, known: Iterable[object]) -> str | None:
    """The known name most like `name`, for a message about one that is not known; None if there is none like it."""
    found = get_close_matches(str(name), [str(candidate) for candidate in known], n=1)
    return found[0] if found else None


class NbhelpersError(Exception):
    """Base of all errors that this project raises on purpose.

    Parameters
    ----------
    problem : str
        What is wrong: the value, and the reason why it cannot be used.
    remedy : str
        What the reader can do about it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\nTo mend it: {self.remedy[:1].upper()}{self.remedy[1:]}"


class BackendError(NbhelpersError):
    """`connect` cannot give the backend that was asked for; or an error of the SDK is shown with its remedy."""


class UserErrorException(NbhelpersError):
    """A call, a name or an argument is wrong; the name is the SDK's."""


class DataError(UserErrorException):
    """A file, a table or a column cannot be used as data."""


class NotFoundError(UserErrorException):
    """The workspace has no run, published pipeline, model or web service of that name or id."""


class ConflictError(UserErrorException):
    """What was asked for is there, but its state does not allow it, such as a disabled pipeline."""


class TokenError(UserErrorException):
    """A request to the service is not allowed."""


class AuthenticationException(TokenError):
    """There is no token, or not a valid one; the name is the SDK's."""


class PermissionException(TokenError):
    """The token is valid, but for other things."""


class ConfigException(NbhelpersError):
    """One or more settings of an AutoMLConfig are wrong; the name is the SDK's."""


class ComputeTargetException(NbhelpersError):
    """A compute target is missing or wrongly described; the name is the SDK's."""


class ExperimentExecutionException(NbhelpersError):
    """Waiting for a run was interrupted while the run goes on; the name is the SDK's."""


class ActivityFailedException(NbhelpersError):
    """A run that was waited for failed or was cancelled; the name is the SDK's."""


class WebserviceException(NbhelpersError):
    """A web service is missing, does not answer, or refuses a request; the name is the SDK's."""


class TrainingError(NbhelpersError):
    """The search for a model ended without one."""


class ModelError(NbhelpersError):
    """A stored model is missing, was changed, or does not fit this environment or data."""


class StoreError(NbhelpersError):
    """The workspace folder cannot be opened, read or written."""


class BatchError(NbhelpersError):
    """A chain of notebooks cannot be run."""


class ParameterError(BatchError):
    """A notebook parameter is unknown, or its value has a wrong type."""


class StageError(BatchError):
    """A notebook of the chain failed."""
