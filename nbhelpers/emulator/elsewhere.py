"""Hosts that are none of the emulated ones: what a data set names by URL is fetched from where it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing

import httpx
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from nbhelpers.emulator.errors import CloudError

router = APIRouter()

#: Services of Azure, whose requests must not leave the machine; public data lies in storage accounts, though.
_AZURE = (
    ".azureml.ms",
    ".azureml.net",
    ".azure.com",
    ".azure.net",
    ".azurecr.io",
    ".microsoftonline.com",
    ".visualstudio.com",
    ".windows.net",
    "graph.microsoft.com",
)
_PUBLIC_DATA = (".blob.core.windows.net", ".dfs.core.windows.net")
#: Headers that concern one connection, and so are not handed on.
_OF_CONNECTION = {
    "connection",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
}

# Made when the module is imported: so it uses the proxy of the user's network, and not this emulator, should a program
# that runs one in its own process set the proxy variables later. Redirects are the client's to follow.
_client: httpx.Client | str  # or why there is none
try:
    _client = httpx.Client(timeout=httpx.Timeout(60, connect=10), follow_redirects=False)
    _client.headers.clear()  # what the client of the emulator sends is sent, such as no Accept-Encoding
except (ImportError, ValueError, httpx.InvalidURL) as error:  # ImportError: for a SOCKS proxy
    _client = f"the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names cannot be used ({error})"


@router.get("/{path:path}")
@router.head("/{path:path}")
def fetch(request: Request) -> Response:
    """Hand a request on, and the answer back."""
    url, host = request.state.target, request.state.host
    if is_azure(host):
        raise CloudError(
            501, "NotEmulated", f"The emulator does not answer {request.method} {request.state.url}: {host} is Azure's."
        )
    if isinstance(_client, str):
        raise _unreachable(url, _client)
    try:
        onward = _client.build_request(request.method, url, headers=_handed_on(request.headers))
        answer = _client.send(onward, stream=True)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unreachable(url, str(error) or type(error).__name__) from None
    if answer.status_code >= 500:
        answer.close()
        raise _unreachable(url, f"its host answers {answer.status_code}")
    return StreamingResponse(_content(answer), answer.status_code, _handed_on(answer.headers))


def is_azure(host: str) -> bool:
    """Whether a host is a service of Azure, which is not asked."""
    return host.endswith(_AZURE) and not host.endswith(_PUBLIC_DATA)


def _content(answer: httpx.Response) -> Iterator[bytes]:
    with closing(answer):
        yield from answer.iter_raw()


def _handed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_CONNECTION}


def _unreachable(url: str, reason: str) -> CloudError:
    """404 whatever the reason: on 5xx the client's native reader tries again for minutes."""
    return CloudError(404, "Unreachable", f"{url} cannot be read: {reason}. Use data that this machine can reach.")
