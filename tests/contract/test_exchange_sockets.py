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


async def test_a_peer_that_does_not_read_is_reset() -> None:
    params = VenueParams(outbox_frames_max=100)
    async with open_served(params) as (venue, url):
        address = urlsplit(url)
        stream = await trio.open_tcp_stream(address.hostname, address.port)
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        await stream.send_all(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + key + b"\r\n"
        )
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101")
        while not venue.hub.connections:
            await trio.sleep(0.001)
        (connection,) = venue.hub.connections.values()
        while venue.hub.connections:  # Nobody reads: the kernels fill up, then the outbox, then it is over.
            for _ in range(20):
                connection.send("x" * 100_000)
            await trio.sleep(0.001)
        with pytest.raises(trio.BrokenResourceError):
            while await stream.receive_some():
                pass


async def test_a_dropped_socket_has_no_close_frame() -> None:
    async with open_served() as (_, url):
        async with open_websocket_url(url.replace("http", "ws") + "/ws", disconnect_timeout=1) as websocket:
            await websocket.send_message(subscribe(type="bbo", coin="@9999"))
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.get_message()
            assert closed.value.reason.code == 1006


async def test_stopping_does_not_wait_for_open_connections() -> None:
    async with open_served() as (_, url):
        address = urlsplit(url)
        streams = [await trio.open_tcp_stream(address.hostname, address.port) for _ in range(3)]
        await streams[0].send_all(b"POST /info HTTP/1.1\r\n")
        await trio.sleep(0.05)
        started_s = trio.current_time()
    assert trio.current_time() - started_s < 0.5
    for stream in streams:
        await stream.aclose()


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
