"""Whatever bytes a client sends, in whatever pieces, and however it leaves: the venue goes on and forgets it."""

from __future__ import annotations

import random

import pytest
import trio

from mmtrio.exchange.local_venue import VenueParams
from mmtrio.exchange.memory_streams import MemoryStream
from tests.support.determinism import run_seeded
from tests.support.exchanges import HYPE, Exchange, open_exchange

CLIENTS = 40
UNLIMITED = VenueParams(connections_max=None, connects_per_minute_max=None)
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
POST = b'POST /info HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n\r\n{"type":"allMids"}'
PING = b'{"method":"ping"}'
SUBSCRIBE = f'{{"method":"subscribe","subscription":{{"type":"bbo","coin":"{HYPE}"}}}}'.encode()


@pytest.mark.parametrize("seed", range(8))
def test_garbage_breaks_nothing_and_leaves_nothing_behind(seed: int) -> None:
    async def world() -> None:
        rng = random.Random(seed)
        async with open_exchange(params=UNLIMITED) as exchange:
            for _ in range(CLIENTS):
                await _be_a_bad_client(exchange, rng)
            await trio.sleep(61)
            assert exchange.venue.hub.connections == {}
            http = await exchange.open_http()
            assert (await http.post("/info", {"type": "allMids"}))[0] == 200

    run_seeded(seed, world)


async def _be_a_bad_client(exchange: Exchange, rng: random.Random) -> None:
    stream = await exchange.network.connect()
    try:
        await _send_in_pieces(stream, _garbage(rng), rng)
        with trio.move_on_after(rng.random()):
            while await stream.receive_some():
                pass
    except trio.BrokenResourceError:
        pass
    match rng.randrange(4):
        case 0:
            stream.abort()
        case 1:
            await stream.aclose()
        case 2:
            exchange.network.links[-1].cut()


async def _send_in_pieces(stream: MemoryStream, data: bytes, rng: random.Random) -> None:
    while data:
        cut = rng.randrange(1, len(data) + 1)
        await stream.send_all(data[:cut])
        data = data[cut:]
        if rng.random() < 0.5:
            await trio.sleep(rng.random() * 0.1)


def _garbage(rng: random.Random) -> bytes:
    match rng.randrange(4):
        case 0:
            return rng.randbytes(rng.randrange(1, 200))
        case 1:
            method = rng.choice((b"POST", b"GET", b"HEAD", b"PUT", b"CONNECT", b"OPTIONS"))
            request = POST.replace(b"POST", method)
            return _spoilt(request * rng.randrange(1, 4), rng.randrange(6), rng)
        case 2:
            return _spoilt(UPGRADE, rng.randrange(3), rng)
    return UPGRADE + b"".join(_frame_or_not(rng) for _ in range(rng.randrange(1, 6)))


def _spoilt(data: bytes, n_bytes: int, rng: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(n_bytes):
        spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
    return bytes(spoilt)


def _frame_or_not(rng: random.Random) -> bytes:
    match rng.randrange(6):
        case 0:
            return rng.randbytes(rng.randrange(1, 60))
        case 1:  # Any opcode, masked or not, whole or the first of several.
            flags = rng.choice((0x80, 0x80, 0x00)), rng.choice((0x80, 0x80, 0x00))
            return _frame(rng.randrange(16), rng.randbytes(rng.randrange(100)), *flags)
        case 2:
            return _frame(1, PING)
        case 3:
            return _frame(1, SUBSCRIBE)
        case 4:
            return _frame(8, b"\x03\xe8")
    return _frame(9, b"hi")


def _frame(opcode: int, payload: bytes, final: int = 0x80, masked: int = 0x80) -> bytes:
    mask = b"\0\0\0\0" if masked else b""
    return bytes((final | opcode, masked | len(payload))) + mask + payload
