"""The forward proxy that leads a client's requests, whatever host they are for, to the emulated cloud."""

from __future__ import annotations

import asyncio
from contextlib import suppress

#: Seconds that the head of a request may take to arrive.
_HEAD_SECONDS = 60
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REFUSED = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nThis is a proxy: a request to it names a host.\n"


class Proxy:
    """A proxy that connects to nothing but the two servers of the emulated cloud.

    A tunnel (CONNECT), to whatever host and port, leads to the server that speaks TLS, and any other request that names
    a host to the plain one.

    Parameters
    ----------
    tls_port, plain_port : int
        Where the servers listen on 127.0.0.1.
    """

    def __init__(self, tls_port: int, plain_port: int) -> None:
        self._tls_port = tls_port
        self._plain_port = plain_port

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
        if method == b"CONNECT":
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._tls_port)
            writer.write(_ESTABLISHED)
        elif target.lower().startswith(b"http://"):
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._plain_port)
            onward_writer.write(head)
        else:
            writer.write(_REFUSED)
            return
        await asyncio.gather(_pipe(reader, onward_writer), _pipe(onward_reader, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(2**16):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()
