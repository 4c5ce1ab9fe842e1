"""Signing in to Azure.

The SDK's own classes do it, in this order: a managed identity (``MSI_ENDPOINT``, or a compute instance), a service
principal from environment variables, what an earlier interactive sign-in has left, what ``az login`` has left (for any
other machine with a managed identity: ``az login --identity``). Where none of these works, they ask for a sign-in in a
browser, and wait for it. In a batch that would be for ever.
"""

from __future__ import annotations

import os
import sys
from typing import Any

#: Variables of the SDK, and those that other tools of Azure have for the same.
VARIABLES = {
    "AZUREML_SERVICE_PRINCIPAL_TENANT_ID": "AZURE_TENANT_ID",
    "AZUREML_SERVICE_PRINCIPAL_ID": "AZURE_CLIENT_ID",
    "AZUREML_SERVICE_PRINCIPAL_PASSWORD": "AZURE_CLIENT_SECRET",
}
#: How to sign in where nobody can answer.
WAYS = (
    "sign in with `az login` (on a machine with a managed identity: `az login --identity`); or set "
    f"{', '.join(VARIABLES)} (or {', '.join(VARIABLES.values())}) for a service principal; or run notebook "
    "00_workspace.ipynb in JupyterLab, which asks once and keeps the sign-in"
)


def refuse_prompts() -> None:
    """Let the SDK ask for a sign-in only where a person can answer, and read the variables of other tools.

    Else its `AuthenticationException` says how to sign in.
    """
    from azureml.core import authentication

    if all(name in os.environ for name in VARIABLES.values()) and not VARIABLES.keys() & os.environ.keys():
        os.environ.update({name: os.environ[other] for name, other in VARIABLES.items()})
    prompt = authentication.perform_interactive_login
    if getattr(prompt, "__module__", None) == __name__:  # it was done before
        return

    def sign_in(*args: Any, **options: Any) -> Any:
        if can_answer():
            return prompt(*args, **options)
        raise authentication.AuthenticationException(
            f"Nobody is signed in to Azure, and nobody can answer a question here.\nTo mend it: {WAYS}."
        )

    authentication.perform_interactive_login = sign_in


def can_answer() -> bool:
    """Whether a person can answer a question: in a terminal, or in a notebook that was not started by a program."""
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)  # type: ignore[no-untyped-call]
    if kernel is None:
        return sys.stdin is not None and sys.stdin.isatty()
    # JupyterLab says with each cell that it can ask its user; papermill, nbconvert and nbval say that they cannot.
    return bool(kernel._allow_stdin)
