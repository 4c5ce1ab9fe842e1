"""What every request passes first: which service it is for, whether it may, and faults on purpose."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from nbhelpers.emulator.errors import CloudError, error_response
from nbhelpers.emulator.names import HOSTS, RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE
from nbhelpers.emulator.state import State
from nbhelpers.emulator.tokens import check_bearer

#: Where a request goes whose host is none of the emulated ones.
ELSEWHERE = "/elsewhere"

_SCOPE = re.compile(
    r"(?P<service>/[a-z]+/v[0-9.]+|/rp/workspaces|)/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<workspace>[^/]+)(?P<rest>/.*|)",
    re.IGNORECASE,
)
#: Answered without a token, as nobody can have one yet.
_OPEN = ("/arm/metadata/", "/api/discovery")


class Front:
    """Turn ``https://host/…/workspaces/NAME/rest`` into the path of a route: ``/<service of the host>/…/rest``.

    Parameters
    ----------
    app : ASGI application
    cloud : State
    """

    def __init__(self, app: ASGIApp, cloud: State) -> None:
        self.app = app
        self.cloud = cloud

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # A proxy for plain HTTP is asked for a whole URL.
        parts = None if scope["path"].startswith("/") else urlsplit(scope["path"])
        host = parts.netloc if parts else dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        host, path = host.rpartition("@")[2].lower(), parts.path if parts else scope["path"]  # without a password
        shown = f"{scope['method']} {'http' if parts else 'https'}://{host}{path}"
        asked = scope["raw_path"].decode("latin-1")  # still percent-encoded
        target = f"{asked if parts else f'https://{host}{asked}'}?{scope['query_string'].decode('latin-1')}"
        scope["state"] = {
            **scope.get("state", {}),
            "url": shown.partition(" ")[2],
            "target": target.removesuffix("?"),
            "host": _name(host),
        }
        for fault in self.cloud.faults:
            if fault.hits(shown):
                await asyncio.sleep(fault.delay)
                if fault.drop:
                    await _drop(scope, receive)
                    return
                if fault.status is not None:
                    problem = CloudError(fault.status, "InjectedFault", "This answer was asked for by a test.")
                    await error_response(Request(scope), problem)(scope, receive, send)
                    return
        try:
            scope["path"] = self._route(_name(host), path, Request(scope))
        except CloudError as error:
            await error_response(Request(scope), error)(scope, receive, send)
            return
        scope["raw_path"] = scope["path"].encode()
        await self.app(scope, receive, send)

    def _route(self, host: str, path: str, request: Request) -> str:
        base = HOSTS.get(host, ELSEWHERE)
        if base not in ("/arm", "/api"):
            return base + path
        path = re.sub(r"/{2,}", "/", path)  # the client joins a base URL that ends in / and a path that begins with one
        found = _SCOPE.fullmatch(path)
        route = f"{base}{found['service'].lower()}{found['rest']}" if found else base + path
        if not route.startswith(_OPEN):
            check_bearer(self.cloud, request.headers.get("authorization"))
        if found and [found[key].lower() for key in ("subscription", "group", "workspace")] != [
            name.lower() for name in (SUBSCRIPTION, RESOURCE_GROUP, WORKSPACE)
        ]:
            raise CloudError(
                404,
                "ResourceNotFound",
                f"The emulated cloud has no workspace {found['workspace']!r} in resource group {found['group']!r}: "
                f"it has {WORKSPACE!r} in {RESOURCE_GROUP!r}. Use the config.json that `nbhelpers emulate` provides.",
            )
        return route


def _name(host: str) -> str:
    """A host without the port, and without the dot that a complete name may end with."""
    return re.sub(r":\d*$", "", host).removesuffix(".")


async def _drop(scope: Scope, receive: Receive) -> None:
    """Close the connection without an answer; the server tells us which it is in an extension of the scope."""
    scope["extensions"]["nbhelpers.transport"].abort()
    while (await receive())["type"] != "http.disconnect":  # else the server would answer for us
        pass
