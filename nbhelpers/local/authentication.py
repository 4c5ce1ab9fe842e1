"""Signing in, under the SDK's name: on one's own machine, that is to be allowed to write to the workspace folder."""

from __future__ import annotations

from datetime import timedelta

from nbhelpers.local.store import open_store
from nbhelpers.local.tokens import create_token


class InteractiveLoginAuthentication:
    """Gives tokens for the service of the workspace in ``NBHELPERS_HOME``; nobody is asked anything.

    Parameters
    ----------
    force, tenant_id, cloud : optional
        The SDK's arguments; without effect.
    """

    def __init__(self, force: bool = False, tenant_id: str | None = None, cloud: str | None = None) -> None:
        pass

    def get_authentication_header(self) -> dict[str, str]:
        """The header of a request, with a new token for one hour that may submit and read.

        The dictionary does not show the token when it is printed, so that notebooks do not keep it.
        """
        token = create_token(open_store(), "get_authentication_header", ("submit", "read"), timedelta(hours=1))
        return _Header({"Authorization": f"Bearer {token}"})


class _Header(dict[str, str]):
    def __repr__(self) -> str:
        return "{'Authorization': 'Bearer <hidden>'}"
