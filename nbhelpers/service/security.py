"""Who may ask what: tokens with a scope, and requests that come from another site."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from nbhelpers.local.tokens import Token, check_token
from nbhelpers.service.errors import HTTPProblem

#: Names by which a program reaches its own machine.
LOOPBACK = ("127.0.0.1", "::1", "localhost")

_bearer = HTTPBearer(auto_error=False, description="A token of the workspace: `nbhelpers token create`")


@cache  # one function for each scope, so that another app can replace it (dependency_overrides)
def authorised(scope: str) -> Callable[..., Token]:
    """Make a dependency that lets a request with a valid token of a scope pass, at the rate that a token may ask.

    It gives the `Token`. Without one, or with an unknown or expired one, the answer is 401; with one of another scope
    403; above the rate 429.
    """

    def check(request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Token:
        state = request.app.state
        token = check_token(state.workspace.store, sent.credentials if sent else "", scope)
        request.state.token_id = token.id
        state.rates.take(token.id)
        return token

    return check


def check_source(request: Request, hosts: frozenset[str] | None) -> None:
    """Refuse a request that a page of another site has made a browser send.

    Parameters
    ----------
    request : Request
    hosts : frozenset of str or None
        Names in the Host header that are this service's. None: any, where a certificate proves the name.

    Raises
    ------
    HTTPProblem
        400 for another Host, 403 for another Origin.
    """
    host = request.headers.get("host", "")
    try:
        parts = urlsplit(f"//{host}")
        # Nothing but a name and a port, which is a number.
        name = parts.hostname if parts.netloc == host and "@" not in host and parts.port != -1 else None
    except ValueError:
        name = None
    if name is None or (hosts is not None and name not in hosts):
        raise HTTPProblem(400, "BadRequest", f"The Host {host[:100]!r} is not a name of this service.", "Host")
    origin = request.headers.get("origin")
    if origin not in (None, f"{request.url.scheme}://{host}"):
        raise HTTPProblem(403, "Forbidden", "Requests from the pages of other sites are refused.", "Origin")
