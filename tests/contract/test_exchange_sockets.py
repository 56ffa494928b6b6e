"""What only real sockets show of the served exchange: resets, and what it costs to leave it running."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import trio
from trio_websocket import ConnectionClosed, open_websocket_url

from mmtrio.exchange.engine import Engine
from mmtrio.exchange.flow import Flow
from mmtrio.exchange.hub import Connection
from mmtrio.exchange.local_venue import LocalVenue, VenueParams
from mmtrio.exchange.serve import serve_exchange
from mmtrio.exchange.world import default_world

pytestmark = pytest.mark.contract

HYPE = "@107"


@asynccontextmanager
async def open_served(params: VenueParams | None = None) -> AsyncIterator[tuple[LocalVenue, str]]:
    """A venue with its crowd, and the URL it is served at."""
    epoch_ms, world = int(time.time() * 1000), default_world()
    engine = Engine(world, seed=1, start_ms=epoch_ms - 1)
    venue = LocalVenue(engine, [Flow(world, seed=1)], epoch_ms=epoch_ms, params=params)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(venue.run)
            yield venue, await nursery.start(serve_exchange, venue)
            nursery.cancel_scope.cancel()


def subscribe(**subscription: object) -> str:
    return json.dumps({"method": "subscribe", "subscription": subscription})


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def post(body: bytes = b'{"type":"allMids"}', length: int | None = None) -> bytes:
    n_bytes = len(body) if length is None else length
    return b"POST /info HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (n_bytes, body)


async def connect(url: str) -> trio.SocketStream:
    address = urlsplit(url)
    return await trio.open_tcp_stream(address.hostname, address.port)


async def everything(stream: trio.SocketStream) -> bytes:
    """All that comes until the other side has no more to say. Raises where it breaks off."""
    heard = b""
    while piece := await stream.receive_some():
        heard += piece
    return heard


async def open_deaf(venue: LocalVenue, url: str) -> tuple[trio.SocketStream, Connection]:
    """A WebSocket whose client reads nothing but the handshake; both ends of it."""
    stream = await connect(url)
    await stream.send_all(UPGRADE)
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 101")
    while not venue.hub.connections:
        await trio.sleep(0.001)
    (connection,) = venue.hub.connections.values()
    return stream, connection


async def test_a_peer_that_does_not_read_is_reset() -> None:
    params = VenueParams(outbox_frames_max=100)
    async with open_served(params) as (venue, url):
        stream, connection = await open_deaf(venue, url)
        while venue.hub.connections:  # Nobody reads: the kernels fill up, then the outbox, then it is over.
            for _ in range(20):
                connection.send("x" * 100_000)
            await trio.sleep(0.001)
        with pytest.raises(trio.BrokenResourceError):
            await everything(stream)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [(post(b" " * 6_000_000), b"413"), (b"GET / HTTP/1.1\r\nX: " + b"a" * 3_000_000, b"431")],
)
async def test_a_refusal_arrives_though_nobody_read_what_it_refuses(
    request_bytes: bytes, status: bytes
) -> None:
    async with open_served() as (_, url):
        stream = await connect(url)
        await stream.send_all(request_bytes)
        assert (await everything(stream)).startswith(b"HTTP/1.1 " + status)


async def test_a_client_that_has_said_all_is_answered() -> None:
    async with open_served() as (_, url):
        stream = await connect(url)
        await stream.send_all(post() * 3)
        await stream.send_eof()
        assert (await everything(stream)).count(b"HTTP/1.1 200") == 3


async def test_a_websocket_client_that_has_sent_its_last_byte_is_forgotten() -> None:
    async with open_served() as (venue, url):
        stream, _ = await open_deaf(venue, url)
        await stream.send_eof()
        while venue.hub.connections:
            await trio.sleep(0.001)


async def test_a_dropped_socket_has_no_close_frame() -> None:
    async with open_served() as (_, url):
        async with open_websocket_url(url.replace("http", "ws") + "/ws", disconnect_timeout=1) as websocket:
            await websocket.send_message(subscribe(type="bbo", coin="@9999"))
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.get_message()
            assert closed.value.reason.code == 1006


async def test_stopping_does_not_wait_for_open_connections() -> None:
    async with open_served() as (_, url):
        streams = [await connect(url) for _ in range(5)]
        await streams[0].send_all(b"POST /info HTTP/1.1\r\n")
        await streams[1].send_all(post(b"{", length=100))
        await streams[2].send_all(UPGRADE)
        await streams[3].send_all(UPGRADE + b"\x81")
        await trio.sleep(0.05)
        started_s = trio.current_time()
    assert trio.current_time() - started_s < 0.5
    for stream in streams:
        await stream.aclose()


async def test_stopping_does_not_wait_for_a_peer_that_does_not_read() -> None:
    async with open_served() as (venue, url):
        stream, connection = await open_deaf(venue, url)
        while len(connection.outbox) < 20:  # The kernels are full, and the venue is in the middle of a frame.
            connection.send("x" * 100_000)
            await trio.sleep(0.001)
        lazy = await connect(url)
        while True:  # The same over HTTP: replies that nobody takes.
            with trio.move_on_after(0.2) as stuck:
                await lazy.send_all(post() * 100)
            if stuck.cancelled_caught:
                break
        started_s = trio.current_time()
    assert trio.current_time() - started_s < 0.5
    await trio.aclose_forcefully(stream)
    await trio.aclose_forcefully(lazy)


async def test_a_venue_with_its_crowd_and_a_listener_leaves_the_machine_to_others() -> None:
    async with open_served() as (venue, url):
        async with open_websocket_url(url.replace("http", "ws") + "/ws", disconnect_timeout=1) as websocket:
            for kind in ("bbo", "trades", "l2Book"):
                await websocket.send_message(subscribe(type=kind, coin=HYPE))

            async def read() -> None:
                while True:
                    await websocket.get_message()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                await trio.sleep(0.5)
                height, spent_s = venue.engine.height, time.process_time()
                await trio.sleep(2)
                spent_s = time.process_time() - spent_s
                assert venue.engine.height - height >= 20
                assert spent_s < 0.3, "less than 15 % of one core"
                nursery.cancel_scope.cancel()
