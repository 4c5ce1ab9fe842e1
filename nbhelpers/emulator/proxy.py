"""The forward proxy that leads a client's requests, whatever host they are for, to the emulated cloud."""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: Seconds that the head of a request may take to arrive.
_HEAD_SECONDS = 60
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REFUSED = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nThis is a proxy: a request to it names a host.\n"
_UNKNOWN = (
    b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="nbhelpers emulator"\r\n'
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)
#: The name of the user that a client gives with the secret.
USER = "emulator"


class Proxy:
    """A proxy that connects to nothing but the two servers of the emulated cloud.

    A tunnel (CONNECT), to whatever host and port, leads to the server that speaks TLS, and any other request that names
    a host to the plain one.

    Other users of the machine, and web pages in a browser on it, reach the proxy but not the servers: so it serves
    those who have its secret alone.

    Parameters
    ----------
    tls, plain : Path
        The Unix sockets that the servers listen on.
    secret : str
        The password of `USER`, which clients take from the URL of the proxy.
    announce : callable
        Is given the host of each tunnel before there is a handshake in it.
    """

    def __init__(self, tls: Path, plain: Path, secret: str, announce: Callable[[str], None]) -> None:
        self._tls = tls
        self._plain = plain
        self._credentials = base64.b64encode(f"{USER}:{secret}".encode())
        self._announce = announce

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until one side closes it, or the emulated cloud ends."""
        # Nobody is to be told where a side went away, or sent a head that is too long or late.
        with suppress(OSError, TimeoutError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            try:
                await self._serve(reader, writer)
            finally:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        method, target = [*head.partition(b"\r\n")[0].split(), b"", b""][:2]
        is_tunnel = method == b"CONNECT"
        if not is_tunnel and not target.lower().startswith(b"http://"):
            writer.write(_REFUSED)
            return
        if not self._may(head):
            writer.write(_UNKNOWN)
            return
        if is_tunnel:
            self._announce(target.rpartition(b":")[0].decode("latin-1"))
        onward_reader, onward_writer = await asyncio.open_unix_connection(self._tls if is_tunnel else self._plain)
        if is_tunnel:
            writer.write(_ESTABLISHED)
        else:
            onward_writer.write(head)
        await asyncio.gather(_pipe(reader, onward_writer), _pipe(onward_reader, writer))

    def _may(self, head: bytes) -> bool:
        given = re.search(rb"\r\nproxy-authorization:[ \t]*basic[ \t]+(\S+)", head, re.IGNORECASE)
        return given is not None and hmac.compare_digest(given[1], self._credentials)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(2**16):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()
