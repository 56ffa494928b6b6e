"""A local exchange in memory and small clients for it: bytes on streams, nothing of the market maker's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import h11
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from mmtrio.client.keys import development_account
from mmtrio.client.signer import Signer
from mmtrio.core.types import Address
from mmtrio.exchange.engine import Engine, EngineParams
from mmtrio.exchange.faults import Faults
from mmtrio.exchange.local_venue import LocalVenue, Participant, VenueParams
from mmtrio.exchange.memory_streams import MemoryNetwork, MemoryStream, open_memory_network
from mmtrio.exchange.serve import serve_connection
from mmtrio.exchange.world import World, default_world

EPOCH_MS = 1_790_000_000_000
HYPE = "@107"
HYPE_ASSET = 10107


@attrs.define(eq=False)
class Exchange:
    """A running venue, its network, and what it began with."""

    venue: LocalVenue
    network: MemoryNetwork
    world: World

    @property
    def engine(self) -> Engine:
        return self.venue.engine

    @property
    def trader(self) -> Address:
        """The account whose key `signed` uses."""
        return self.world.traders[0].address

    @property
    def somebody(self) -> Address:
        """Somebody else who trades, without a key."""
        return self.world.house[0].address

    def trade(self, is_buy: bool, price: str, size: str, tif: str = "Ioc") -> None:
        """Somebody else sends an order, for the next block."""
        action = {"type": "order", "orders": [order(is_buy, price, size, tif)], "grouping": "na"}
        self.engine.submit_direct(self.somebody, action, self.venue.now_ms())

    async def open_http(self) -> HttpClient:
        return HttpClient(await self.network.connect("http"))


@asynccontextmanager
async def open_exchange(
    participants: Iterable[Participant] = (),
    *,
    params: VenueParams | None = None,
    engine_params: EngineParams | None = None,
    faults: Faults | None = None,
) -> AsyncIterator[Exchange]:
    """An exchange whose blocks run at 0, 0.07, 0.14 … seconds of the virtual clock."""
    world = default_world()
    engine = Engine(world, seed=1, params=engine_params, start_ms=EPOCH_MS - 1)
    venue = LocalVenue(engine, participants, epoch_ms=EPOCH_MS, params=params, faults=faults)
    async with open_memory_network(partial(serve_connection, venue=venue)) as network:
        async with trio.open_nursery() as nursery:
            await nursery.start(venue.run)
            yield Exchange(venue, network, world)
            nursery.cancel_scope.cancel()


def order(is_buy: bool, price: str, size: str, tif: str = "Alo", cloid: int | None = None) -> dict[str, Any]:
    """An order for HYPE/USDC as it stands in an action."""
    element = {
        "a": HYPE_ASSET, "b": is_buy, "p": price, "s": size, "r": False, "t": {"limit": {"tif": tif}},
    }  # fmt: skip
    return element if cloid is None else element | {"c": f"0x{cloid:032x}"}


def signed(action: dict[str, Any], nonce: int = EPOCH_MS, account: int = 0) -> dict[str, Any]:
    """The action of a development account, as it stands in a body for /exchange."""
    envelope: dict[str, Any] = json.loads(
        Signer(development_account(account).key, False).envelope(action, nonce)
    )
    return envelope


def placed(*orders: dict[str, Any], nonce: int = EPOCH_MS) -> dict[str, Any]:
    """A signed action that places these orders."""
    return signed({"type": "order", "orders": list(orders), "grouping": "na"}, nonce)


@attrs.define(eq=False)
class HttpClient:
    """One HTTP connection, kept alive."""

    stream: MemoryStream
    _http: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.CLIENT))

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        """(status, body), JSON where it is JSON."""
        status, _, raw = await self.request("POST", path, json.dumps(body).encode())
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw.decode()

    async def request(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict, bytes]:
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        head = [("Host", "local"), ("Content-Length", str(len(body))), *headers.items()]
        out = self._http.send(h11.Request(method=method, target=path, headers=head))
        out += self._http.send(h11.Data(data=body))
        await self.stream.send_all(out + self._http.send(h11.EndOfMessage()))
        response = await self._event()
        raw = b""
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            raw += event.data
        return response.status_code, {k.decode(): v.decode() for k, v in response.headers}, raw

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self.stream.receive_some())
        if isinstance(event, h11.ConnectionClosed):
            raise trio.BrokenResourceError("the venue closed the connection")
        return event


@attrs.define(eq=False)
class SocketClient:
    """One WebSocket, with everything it received and when."""

    websocket: WebSocketConnection
    stream: MemoryStream
    frames: list[tuple[float, dict[str, Any]]] = attrs.field(factory=list)
    closed_at_s: float | None = None
    close_code: int | None = None
    _news: trio.Event = attrs.field(factory=trio.Event)

    async def send(self, message: object) -> None:
        await self.websocket.send_message(message if isinstance(message, str) else json.dumps(message))

    async def subscribe(self, **subscription: object) -> None:
        await self.send({"method": "subscribe", "subscription": subscription})

    def of(self, channel: str) -> list[tuple[float, Any]]:
        """(time, data) of the frames of one channel, so far."""
        return [(at_s, frame.get("data")) for at_s, frame in self.frames if frame["channel"] == channel]

    async def wait_for(self, channel: str, count: int = 1) -> Any:
        """The data of the count-th frame of a channel."""
        while len(self.of(channel)) < count:
            assert self.closed_at_s is None, "the venue closed the socket"
            self._news = trio.Event()
            await self._news.wait()
        return self.of(channel)[count - 1][1]

    async def wait_closed(self) -> None:
        while self.closed_at_s is None:
            self._news = trio.Event()
            await self._news.wait()

    async def listen(self) -> None:
        try:
            while True:
                text = await self.websocket.get_message()
                frame = json.loads(text) if text[0] == "{" else {"channel": "text", "data": text}
                self.frames.append((trio.current_time(), frame))
                self._news.set()
        except ConnectionClosed as closed:
            self.closed_at_s = trio.current_time()
            self.close_code = closed.reason.code if closed.reason else None
            self._news.set()


@asynccontextmanager
async def open_socket(network: MemoryNetwork) -> AsyncIterator[SocketClient]:
    """A WebSocket to the exchange. On leaving it is simply gone."""
    stream = await network.connect("websocket")
    async with trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(nursery, stream, "local", "/ws")
        client = SocketClient(websocket, stream)
        nursery.start_soon(client.listen)
        yield client
        nursery.cancel_scope.cancel()
    stream.abort()
