from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nbhelpers.emulator import proxy as module
from nbhelpers.emulator.proxy import USER, Proxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SECRET = "s3cret"  # noqa: S105
MAY = b"Proxy-Authorization: Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()) + b"\r\n"
CONNECT = b"CONNECT data.example.org:443 HTTP/1.1\r\nHost: data.example.org:443\r\n" + MAY + b"\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def echo(name: bytes) -> Handler:
    """A server that says its name and then what it is told."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name)
        while chunk := await reader.read(2**16):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    return handle


async def abort(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@asynccontextmanager
async def connection(tls: Handler | None = None, announced: list[str] | None = None) -> AsyncIterator[Streams]:
    """A connection to a proxy whose servers are `tls` and one that echoes."""
    with tempfile.TemporaryDirectory() as folder:
        handlers = {Path(folder) / "tls": tls or echo(b"tls:"), Path(folder) / "plain": echo(b"plain:")}
        servers = [await asyncio.start_unix_server(handler, path) for path, handler in handlers.items()]
        announce = ([] if announced is None else announced).append
        proxy = await asyncio.start_server(Proxy(*handlers, SECRET, announce).handle, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*proxy.sockets[0].getsockname())
        try:
            async with asyncio.timeout(60):
                yield reader, writer
        finally:
            writer.close()
            for server in (*servers, proxy):
                server.close()


async def answer_to(request: bytes) -> bytes:
    """All that the proxy itself answers; it closes the connection."""
    async with connection() as (reader, writer):
        writer.write(request)
        return await reader.read()


@pytest.mark.parametrize("given", [b"", MAY.replace(b"Basic", b"Bearer"), MAY[:-4] + b"\r\n", b"X: " + MAY])
@pytest.mark.parametrize("request_line", [b"CONNECT data.example.org:443", b"GET http://data.example.org/"])
def test_who_lacks_the_secret_is_refused(request_line: bytes, given: bytes) -> None:
    answer = asyncio.run(answer_to(request_line + b" HTTP/1.1\r\n" + given + b"\r\n"))
    assert answer.startswith(b"HTTP/1.1 407 ")


def test_the_host_of_a_tunnel_is_announced_before_it_is_open() -> None:
    announced: list[str] = []

    async def scenario() -> None:
        async with connection(announced=announced) as (reader, writer):
            writer.write(CONNECT.replace(b"data.example.org", b"[2001:db8::1]"))
            await reader.readexactly(len(ESTABLISHED))
            assert announced == ["[2001:db8::1]"]

    asyncio.run(scenario())


@pytest.mark.parametrize("port", [443, 8443])
def test_connect_makes_a_tunnel_to_the_tls_server(port: int) -> None:
    async def scenario() -> None:
        async with connection() as (reader, writer):
            writer.write(CONNECT.replace(b"443", str(port).encode()))
            assert await reader.readexactly(len(ESTABLISHED)) == ESTABLISHED
            writer.write(b"hello")
            assert await reader.readexactly(9) == b"tls:hello"

    asyncio.run(scenario())


def test_another_request_goes_to_the_plain_server_as_it_is() -> None:
    request = b"POST http://data.example.org/x?y HTTP/1.1\r\nContent-Length: 4\r\n" + MAY + b"\r\nbody"

    async def scenario() -> None:
        async with connection() as (reader, writer):
            writer.write(request)
            assert await reader.readexactly(6 + len(request)) == b"plain:" + request

    asyncio.run(scenario())


def test_much_is_handed_on_in_both_directions() -> None:
    content = bytes(range(256)) * 2**16  # 16 MB, more than all buffers hold

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    async def scenario() -> None:
        async with connection(echo(b"")) as (reader, writer):
            writer.write(CONNECT)
            await reader.readexactly(len(ESTABLISHED))
            received, _ = await asyncio.gather(reader.readexactly(len(content)), send(writer))
            assert received == content

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\nHost: 127.0.0.1", b"GET ftp://data.example.org/ HTTP/1.1", b"\xff\x00 \xff", b"GET", b""],
)
def test_a_request_that_names_no_host_is_refused(head: bytes) -> None:
    answer = asyncio.run(answer_to(head + b"\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"names a host" in answer


def test_a_connection_that_a_server_drops_is_closed() -> None:
    async def scenario() -> None:
        async with connection(abort) as (reader, writer):
            writer.write(CONNECT)
            assert (await reader.read()).removeprefix(ESTABLISHED) == b""

    asyncio.run(scenario())


def test_who_sends_no_request_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HEAD_SECONDS", 0.1)
    assert asyncio.run(answer_to(b"GET http://data.example.org/")) == b""
