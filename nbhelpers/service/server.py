"""The process that serves a workspace: one for each, on its recorded port, until it is told to end."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import uvicorn
from fastapi import FastAPI
from filelock import FileLock, ReadWriteLock, Timeout

from nbhelpers.errors import ConflictError, UserErrorException
from nbhelpers.local.endpoints import service_port, set_service_port, workspace_id
from nbhelpers.local.processes import settle_all
from nbhelpers.local.store import Store, write_atomically
from nbhelpers.local.workspace import Workspace
from nbhelpers.service.app import create_app
from nbhelpers.service.log import LOGGING
from nbhelpers.service.protocol import PatientProtocol
from nbhelpers.service.security import LOOPBACK

#: Seconds for which requests may go on after the service was told to end.
DRAIN = 30

logger = logging.getLogger("nbhelpers.service")


def serve(
    workspace: Workspace,
    host: str = "127.0.0.1",
    port: int | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    *,
    lifeline: BinaryIO | None = None,
) -> None:
    """Serve a workspace until SIGTERM or Ctrl-C; requests are answered first, and runs go on.

    Parameters
    ----------
    workspace : Workspace
    host : str, default "127.0.0.1"
        The address to listen on, which is also the only name that requests may call it by, beside those of the machine
        itself. Any but a loopback address needs a certificate.
    port : int, optional
        Default: the port that the workspace has recorded. Another one is recorded; 0 takes one that is free.
    certificate, key : Path, optional
        PEM files, for HTTPS.
    lifeline : binary file, optional
        The service ends when this file does and no `serving` uses it. It may then take another port, too.

    Raises
    ------
    UserErrorException
        An argument cannot be used, or the port is taken.
    ConflictError
        The workspace has a service already.
    """
    if (certificate is None) != (key is None):
        raise UserErrorException("Only one of the TLS files was given.", "give the certificate and its key")
    if certificate is None and not _is_loopback(host):
        raise UserErrorException(
            f"The host {host!r} can be reached from other machines, where tokens would travel unencrypted.",
            "give --tls-certificate and --tls-key, or leave --host out",
        )
    store = workspace.store
    wanted = service_port(store) if port is None else port
    users = ReadWriteLock(users_file(store))
    with only_service(store), listen(host, wanted, or_any=lifeline is not None) as listener:
        number = listener.getsockname()[1]
        set_service_port(store, number)
        app = create_app(workspace, hosts=None if _is_everywhere(host) else (*LOOPBACK, host.lower()))
        server = make_server(app, certificate, key)
        settle_all(store)
        name = "127.0.0.1" if _is_everywhere(host) else f"[{host}]" if ":" in host else host
        url = f"{'https' if certificate else 'http'}://{name}:{number}"
        write_atomically(record_file(store), json.dumps({"pid": os.getpid(), "url": url}).encode())
        record_file(store).chmod(0o600)
        if lifeline is not None:
            threading.Thread(target=_end_with, args=(lifeline, server, users), daemon=True).start()
        logger.info("serving", extra={"fields": {"url": url, "workspace": workspace_id(store), "pid": os.getpid()}})
        _run(server, listener)
        logger.info("ended")


def make_server(app: FastAPI, certificate: Path | None = None, key: Path | None = None) -> uvicorn.Server:
    """The server of an application, for HTTPS if there is a certificate.

    Raises
    ------
    UserErrorException
        The TLS files cannot be used.
    """
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=app.state.limits.connections,
        timeout_graceful_shutdown=DRAIN,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise UserErrorException(
            f"The TLS files {certificate} and {key} cannot be used: {error}.",
            "give PEM files: the certificate, and its key without a password",
        ) from error
    return uvicorn.Server(config)


def record_file(store: Store) -> Path:
    """Where the service notes its process and URL."""
    return store.home / "service.json"


def users_file(store: Store) -> Path:
    """The lock that programs share while they use a service that one of them has started."""
    return store.home / "service.users.lock"


def log_file(store: Store) -> Path:
    """The log of the service that a program has started."""
    return store.home / "service.log"


@contextmanager
def only_service(store: Store) -> Iterator[None]:
    """Be the service of a workspace for the length of a `with` block; a ConflictError if it has one."""
    lock = FileLock(store.home / "service.lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        try:
            other = json.loads(record_file(store).read_bytes())
        except (OSError, ValueError):  # it has only just begun
            other = {"pid": "unknown", "url": "its port"}
        raise ConflictError(
            f"The workspace {store.home} is served already, by process {other['pid']} at {other['url']}.",
            "use that one, or end it first",
        ) from None
    try:
        record_file(store).unlink(missing_ok=True)  # of one that was killed
        yield
    finally:
        lock.release()


def listen(host: str, port: int, or_any: bool = False) -> socket.socket:
    """A socket that listens on an address; if the port is taken, with `or_any` on another one.

    Raises
    ------
    UserErrorException
        The port is taken, or there is no such address here.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        if or_any and port != 0:
            return listen(host, 0)
        raise UserErrorException(
            f"The service cannot listen on {host}, port {port}: {error.strerror or error}.",
            "end the program that listens there, or give another port: --port 0 takes one that is free",
        ) from error
    # Else the body of an answer, which is sent after its head, waits some 40 ms for the client to confirm that.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_everywhere(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Run until a signal, which uvicorn raises once more after it has drained: that must not end us in our turn."""
    previous = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end_with(lifeline: BinaryIO, server: uvicorn.Server, users: ReadWriteLock) -> None:
    lifeline.read()
    while not server.should_exit:
        try:  # not to wait for it: that would keep out who comes while another uses the service
            users.acquire_write(blocking=False)
        except Timeout:
            time.sleep(0.2)
        else:
            server.should_exit = True  # with the lock held until the end: who comes now waits and starts another
