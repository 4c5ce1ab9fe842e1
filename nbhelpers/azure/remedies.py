"""What to do about an error of the SDK, shown below it."""

from __future__ import annotations

import re
import sys
from types import TracebackType
from typing import Any

from nbhelpers.azure.signing_in import WAYS
from nbhelpers.errors import BackendError

#: Packages whose errors are meant.
PACKAGES = ("azureml", "azure", "msrest", "msrestazure")
#: Characters of the SDK's text that are repeated with the remedy.
MOST_TEXT = 300
#: What the text of an error, or its HTTP status, is looked through for, and the remedy. The first that fits counts.
REMEDIES = (
    (
        r"config\.json,? could not be found",
        "download config.json (in the portal, on the page of the workspace) into the folder of the notebooks, or one "
        "above it, or name it with config_path",
    ),
    (
        r"Workspace not found|ResourceNotFound|ResourceGroupNotFound",
        "see that config.json names a workspace that is still there (those of labs are removed when their time is up)",
    ),
    (
        r"experiment_timeout_(?:hours|minutes).*range",
        "Azure searches for at least 15 minutes: set experiment_timeout_minutes to 15 or more (iterations ends a "
        "search earlier)",
    ),
    (
        r"ComputeTargetNotFound",
        "run notebook 01_compute.ipynb first, or name another compute target",
    ),
    (
        r"Cannot find dataset",
        "run notebook 02_data.ipynb first, or name another data set",
    ),
    (
        r"quota|not enough cores",
        "create the compute target with fewer max_nodes or another vm_size, or ask for more cores: in the portal, "
        "the subscription's Usage + quotas",
    ),
    (
        r"^401$|code\W+401\b|Unauthorized|InvalidAuthenticationToken|ExpiredAuthenticationToken|AADSTS\d+|AuthenticationException",
        WAYS,
    ),
    (
        r"^403$|code\W+403\b|Forbidden|AuthorizationFailed|don't have access|does not have authorization",
        "have the owner of the workspace give this identity a role there: AzureML Data Scientist for data and runs, "
        "AzureML Compute Operator or Contributor for compute targets; and see that config.json names the right "
        "subscription",
    ),
    (
        r"^409$|code\W+409\b|already exists|AlreadyExists|already .*registered|NameNotAvailable|name is not available",
        "the name is taken: choose another one (compute_name, dataset_name, experiment_name …), or use what it names",
    ),
    (
        r"^429$|code\W+429\b|TooManyRequests|too many requests",
        "the service asks for a pause: wait some minutes, then run the cell again",
    ),
    (
        r"^5\d\d$|code\W+5\d\d\b|ServiceUnavailable|InternalServerError",
        "the service has a fault: wait some minutes, then run the cell again; see https://status.azure.com, too",
    ),
    (
        r"stream was not found",
        "see whether the file or URL of the data is there, and whether this identity may read and write the default "
        "datastore (role Storage Blob Data Contributor, or the datastore's key)",
    ),
    (
        r"string starting with .?http",
        "give a local file or a data frame to nbhelpers.prepare_data, which uploads it to the default datastore",
    ),
    (
        r"Max retries exceeded|Failed to (?:resolve|establish)|Name or service not known|outbound access",
        "see whether this machine reaches https://management.azure.com, through a proxy if need be (HTTPS_PROXY)",
    ),
)


def remedy_for(error: BaseException) -> str | None:
    """What to do about an error of the SDK; None for other errors, and where nothing is known."""
    if type(error).__module__.split(".")[0] not in PACKAGES:
        return None
    facts = _facts(error)
    return next((remedy for pattern, remedy in REMEDIES if re.search(pattern, facts, re.IGNORECASE | re.M)), None)


def with_remedy(error: BaseException) -> BaseException:
    """The error to show: with the beginning of the SDK's own, which is its cause, and the remedy, if one is known."""
    remedy = remedy_for(error)
    if remedy is None:
        return error
    text = " ".join(_text(error).partition("\nTo mend it: ")[0].split())
    if answer := re.search(r'"message"\s*:\s*"([^"]+)"', text):  # the service's own words, in an answer as JSON
        text = answer[1]
    shown = BackendError(f"{type(error).__name__}: {text[:MOST_TEXT]}{'…' if len(text) > MOST_TEXT else ''}", remedy)
    shown.__cause__ = error
    return shown


def show_remedies() -> None:
    """Show remedies with errors that nothing catches, in notebooks and in programs.

    The exceptions themselves stay the SDK's, so that ``except ml.ComputeTargetException`` goes on to work.
    """
    from IPython.core.getipython import get_ipython

    shell = get_ipython()  # type: ignore[no-untyped-call]
    if shell is None:
        if sys.excepthook is sys.__excepthook__:
            sys.excepthook = _print
    elif _show not in vars(shell).get("_nbhelpers", ()):
        shell._nbhelpers = (_show,)
        shell.set_custom_exc((Exception,), _show)


def _print(_kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    shown = with_remedy(error)
    sys.__excepthook__(type(shown), shown, trace if shown is error else None)


def _show(
    shell: Any, _kind: type[Exception], error: Exception, trace: TracebackType | None, tb_offset: int | None = None
) -> None:
    shown = with_remedy(error)
    shell.showtraceback((type(shown), shown, trace), tb_offset=tb_offset)


def _facts(error: BaseException | None) -> str:
    """The kinds, texts and HTTP states of an error and of those that led to it, a line or more each."""
    found = []
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", "")
        found += [type(error).__name__, str(status), _text(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(found)


def _text(error: BaseException) -> str:
    """What an error says; the SDK's own words come without the JSON that follows them."""
    try:
        return str(getattr(error, "message", None) or error).strip()
    except TypeError:  # which the SDK raises where a service's answer has no details
        return ""
