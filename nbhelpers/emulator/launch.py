"""The emulated cloud at work: its servers, and what a program needs to take it for Azure."""

from __future__ import annotations

import asyncio
import secrets
import socket
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from filelock import FileLock, Timeout
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from nbhelpers.emulator.app import create_app
from nbhelpers.emulator.authority import Authority
from nbhelpers.emulator.client import client_environment
from nbhelpers.emulator.faults import Fault
from nbhelpers.emulator.log import RequestLog, logged_to
from nbhelpers.emulator.names import HOSTS
from nbhelpers.emulator.proxy import USER, Proxy
from nbhelpers.emulator.seeding import provide
from nbhelpers.emulator.state import State
from nbhelpers.errors import ConflictError, UserErrorException
from nbhelpers.local.store import Store
from nbhelpers.local.workspace import Workspace
from nbhelpers.service.server import listen

#: Seconds that requests may go on for after the program has ended.
_DRAIN = 2
#: Seconds for which a client may keep a connection for its next request.
_KEEP = 600


@dataclass(frozen=True)
class Emulator:
    """An emulated cloud that is running.

    Attributes
    ----------
    cloud : State
        What its services share; ``cloud.faults`` may be changed.
    proxy : str
        The URL of the proxy that leads to it, with the secret that opens it.
    environment : dict of str to str
        The environment variables for a program that shall take it for Azure.
    """

    cloud: State
    proxy: str = field(repr=False)
    environment: dict[str, str] = field(repr=False)


@contextmanager
def running(workspace: Workspace, faults: Iterable[Fault] = ()) -> Iterator[Emulator]:
    """Have the emulated cloud of a workspace running for the length of a `with` block.

    It has a compute target and a data set, listens on 127.0.0.1 alone, and logs to ``emulator/log`` in the folder of
    the workspace. Runs that were submitted go on after the block.

    Parameters
    ----------
    workspace : Workspace
    faults : iterable of Fault
        What goes wrong on purpose.

    Raises
    ------
    ConflictError
        The workspace has an emulated cloud already.
    UserErrorException
        No port is free, or the folder for temporary files has too long a name.
    """
    with (
        _only_emulator(workspace.store) as folder,
        # What a program leaves behind may still write there.
        tempfile.TemporaryDirectory(prefix="nbhelpers-", ignore_cleanup_errors=True) as private,
    ):
        cloud = State(workspace, list(faults))
        authority, home = Authority(Path(private)), Path(private) / "home"
        home.mkdir()
        with (
            logged_to(folder / "log"),
            _serving(RequestLog(create_app(cloud)), authority, Path(private)) as proxy,
        ):
            cloud.client_environment = client_environment(cloud, proxy, authority.bundle, home)
            provide(cloud)
            yield Emulator(cloud, proxy, dict(cloud.client_environment))


@contextmanager
def _only_emulator(store: Store) -> Iterator[Path]:
    """Be the emulated cloud of a workspace; gives the folder for its files."""
    folder = store.home / "emulator"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(folder / "lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise ConflictError(
            f"The workspace {store.home} is used by an emulator already.",
            "run the command under that one, end it first, or set NBHELPERS_HOME to another folder",
        ) from None
    try:
        yield folder
    finally:
        lock.release()


@contextmanager
def _serving(app: ASGIApp, authority: Authority, folder: Path) -> Iterator[str]:
    """Serve an application behind a proxy, in a thread; gives the URL of the proxy."""
    context, secret = authority.server_context(next(iter(HOSTS))), secrets.token_urlsafe(32)
    tls_file, plain_file = files = [folder / "tls", folder / "plain"]
    tls_socket, plain_socket = map(_listen, files)
    proxy_socket = listen("127.0.0.1", 0)
    tls, plain = servers = [_server(app, ssl_context_factory=lambda _config, _default: context), _server(app)]
    handle = Proxy(tls_file, plain_file, secret, authority.include).handle

    async def serve() -> None:
        proxy = await asyncio.start_server(handle, sock=proxy_socket)
        await asyncio.gather(tls.serve([tls_socket]), plain.serve([plain_socket]))
        proxy.close()  # and does not wait for its clients

    port = proxy_socket.getsockname()[1]
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(asyncio.run, serve())
        try:
            while not all(server.started for server in servers):
                with suppress(TimeoutError):
                    ended.result(0.01)  # raises what has ended them
            yield f"http://{USER}:{secret}@127.0.0.1:{port}"
        finally:
            for server in servers:
                server.should_exit = True
            ended.result()


def _listen(path: Path) -> socket.socket:
    """A Unix socket, which nobody else reaches: the folder is private."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
    except OSError as error:
        raise UserErrorException(
            f"The emulator cannot listen on {path}: {error}.", "set TMPDIR to a folder with a short name"
        ) from error
    listener.listen(512)
    return listener


def _server(app: ASGIApp, **options: Any) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP,
        timeout_graceful_shutdown=_DRAIN,
        **options,
    )
    return uvicorn.Server(config)


class _Protocol(H11Protocol):
    """uvicorn's HTTP, with the connection in the scope: a fault may close it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _with_transport(self.app, transport)


def _with_transport(app: Any, transport: asyncio.Transport) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"] = {"nbhelpers.transport": transport}
        await app(scope, receive, send)

    return call
