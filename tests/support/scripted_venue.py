"""Small venues that do as a script says, at the other end of memory streams.

Each connection a client opens is served by the next entry of the script: an async function of the server's end, an
exception that the attempt to connect raises, or HANG for an attempt that nothing answers.

    async with open_venue(http(reply({"ok": 1}), hang), ConnectionRefusedError("refused")) as venue:
        async with open_rest(venue.connect, VENUE) as rest: ...

They know HTTP (h11) and WebSocket (wsproto) and nothing of the product's own client, codec or exchange.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import h11
import trio
import trio.testing
import wsproto
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from mmtrio.client.connect import ConnectionKind, VenueAddress

VENUE = VenueAddress("http", "127.0.0.1", 3001)
HANG = object()


@attrs.define(eq=False)
class ClientEnd(trio.abc.Stream):
    """The client's stream: a memory stream that can also be reset, and that notes whether it was closed."""

    inner: trio.abc.Stream
    is_reset: bool = False
    closed_at: float | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_reset:
            raise trio.BrokenResourceError("connection reset by peer")
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = await self.inner.receive_some(max_bytes)
        if self.is_reset:
            raise trio.BrokenResourceError("connection reset by peer")
        return bytes(data)

    async def aclose(self) -> None:
        if self.closed_at is None:
            self.closed_at = trio.current_time()
        await self.inner.aclose()


@attrs.define(eq=False)
class Peer:
    """The venue's end of one connection."""

    stream: trio.abc.Stream
    client: ClientEnd
    kind: ConnectionKind

    async def reset(self) -> None:
        """As a RST: whatever the client does next fails, and bytes under way are lost."""
        self.client.is_reset = True
        await self.stream.aclose()


Server = Callable[[Peer], Awaitable[None]]


@attrs.define(eq=False)
class ScriptedVenue:
    """Hands out connections by script; the last entry serves all further ones."""

    script: list[Any]
    _nursery: trio.Nursery
    _make_pair: Callable[[], Any]
    opened: list[tuple[float, ConnectionKind]] = attrs.field(factory=list)
    clients: list[ClientEnd] = attrs.field(factory=list)

    @property
    def opened_at(self) -> list[float]:
        return [at for at, _ in self.opened]

    async def connect(self, kind: ConnectionKind) -> trio.abc.Stream:
        self.opened.append((trio.current_time(), kind))
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        await trio.lowlevel.checkpoint()
        if isinstance(entry, BaseException):
            raise entry
        if entry is HANG:
            await trio.sleep_forever()
        client_stream, server_stream = self._make_pair()
        client = ClientEnd(client_stream)
        self.clients.append(client)
        self._nursery.start_soon(self._serve, entry, Peer(server_stream, client, kind))
        return client

    async def _serve(self, server: Server, peer: Peer) -> None:
        try:
            await server(peer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # The client has gone.
        finally:
            await trio.aclose_forcefully(peer.stream)


@asynccontextmanager
async def open_venue(
    *script: Any, make_pair: Callable[[], Any] = trio.testing.memory_stream_pair
) -> AsyncIterator[ScriptedVenue]:
    """A venue that serves connections until the block ends."""
    async with trio.open_nursery() as nursery:
        yield ScriptedVenue(list(script), nursery, make_pair)
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------------------------------------------------------
# HTTP


@attrs.frozen
class Asked:
    """One request as it arrived."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[Peer, Asked], Awaitable[bool]]
"""Answers one request; False ends the connection."""


def reply(
    body: Any,
    status: int = 200,
    *,
    content_type: str = "application/json",
    after_s: float = 0,
    **headers: str,
) -> Answer:
    """A whole HTTP reply. Bytes and text are sent as they are, everything else as JSON."""
    content = (
        body
        if isinstance(body, bytes)
        else body.encode()
        if isinstance(body, str)
        else json.dumps(body).encode()
    )
    head = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}", f"Content-Length: {len(content)}"]
    head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    async def answer(peer: Peer, _asked: Asked) -> bool:
        await trio.sleep(after_s)
        await peer.stream.send_all("\r\n".join(head).encode() + b"\r\n\r\n" + content)
        return headers.get("connection") != "close"

    return answer


def raw(data: bytes, then: str = "eof") -> Answer:
    """These bytes, then the end of the connection (`eof`, `reset`), or silence (`hang`)."""

    async def answer(peer: Peer, _asked: Asked) -> bool:
        await peer.stream.send_all(data)
        if then == "hang":
            await trio.sleep_forever()
        if then == "reset":
            await trio.sleep(0.1)  # Let the bytes arrive: a reset destroys those under way.
            await peer.reset()
        return False

    return answer


async def hang(_peer: Peer, _asked: Asked) -> bool:
    await trio.sleep_forever()
    return False


async def reset(peer: Peer, _asked: Asked) -> bool:
    await peer.reset()
    return False


async def eof(_peer: Peer, _asked: Asked) -> bool:
    return False


def http(*answers: Answer, log: list[Asked] | None = None) -> Server:
    """Serve one connection: the n-th request on it gets the n-th answer; after the last, the connection ends."""

    async def serve(peer: Peer) -> None:
        remaining = iter(answers)
        async for asked in requests_on(peer):
            if log is not None:
                log.append(asked)
            answer = next(remaining, None)
            if answer is None or not await answer(peer, asked):
                return

    return serve


def http_function(function: Callable[[Asked], Answer], log: list[Asked] | None = None) -> Server:
    """Serve a connection for ever, each request with the answer that `function` picks."""

    async def serve(peer: Peer) -> None:
        async for asked in requests_on(peer):
            if log is not None:
                log.append(asked)
            if not await function(asked)(peer, asked):
                return

    return serve


class requests_on:
    """The requests that arrive on one connection."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._http = h11.Connection(h11.SERVER)

    def __aiter__(self) -> requests_on:
        return self

    async def __anext__(self) -> Asked:
        head: h11.Request | None = None
        body = b""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                raise StopAsyncIteration from None
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._peer.stream.receive_some(65536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                self._http = h11.Connection(h11.SERVER)  # Replies are written by hand.
                headers = {name.decode(): value.decode() for name, value in head.headers}
                return Asked(trio.current_time(), head.target.decode(), headers, body)
            else:
                raise StopAsyncIteration


# ---------------------------------------------------------------------------------------------------------------
# WebSocket


@attrs.define(eq=False)
class Socket:
    """The venue's end of a WebSocket."""

    peer: Peer
    ws: wsproto.WSConnection = attrs.field(
        factory=lambda: wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    )
    sent_pongs: int = 0
    received: list[tuple[float, Any]] = attrs.field(factory=list)
    """(time, parsed frame) of everything the client has sent."""

    async def accept(self) -> None:
        await self._next(Request)
        await self.peer.stream.send_all(self.ws.send(AcceptConnection()))

    async def reject(self, status: int, body: bytes = b"") -> None:
        await self._next(Request)
        data = self.ws.send(RejectConnection(status_code=status, headers=[], has_body=bool(body)))
        if body:
            data += self.ws.send(RejectData(data=body))
        await self.peer.stream.send_all(data)

    async def receive(self) -> Any:
        """The next frame of the client, parsed."""
        event = await self._next(TextMessage)
        frame = json.loads(event.data)
        self.received.append((trio.current_time(), frame))
        return frame

    async def send(self, frame: Any) -> None:
        """Text is sent as it is, everything else as JSON."""
        text = frame if isinstance(frame, str) else json.dumps(frame)
        await self.peer.stream.send_all(self.ws.send(TextMessage(data=text)))

    async def send_raw(self, data: bytes) -> None:
        await self.peer.stream.send_all(data)

    async def ping(self, payload: bytes) -> None:
        await self.peer.stream.send_all(self.ws.send(Ping(payload=payload)))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self.peer.stream.send_all(self.ws.send(CloseConnection(code=code, reason=reason)))

    async def _next(self, wanted: type) -> Any:
        while True:
            for event in self.ws.events():
                if isinstance(event, wanted):
                    return event
                if isinstance(event, CloseConnection):
                    raise trio.ClosedResourceError
            data = await self.peer.stream.receive_some(65536)
            if not data:
                raise trio.ClosedResourceError
            self.ws.receive_data(data)


@attrs.define(eq=False)
class WebSocketVenue:
    """A venue that acknowledges, answers pings and probes, until `script` (run beside it) does something else.

    Switches: what it stops doing when set to False. `deaf_to` names subscriptions that never get an answer.
    """

    script: Callable[[WebSocketVenue, Socket], Awaitable[None]] | None = None
    answers_pings: bool = True
    answers_subscribes: bool = True
    deaf_to: tuple[str, ...] = ()
    refusals: dict[str, str] = attrs.field(factory=dict)
    """Subscription type -> the text of the error it gets."""
    subscribed: list[dict[str, Any]] = attrs.field(factory=list)
    sockets: list[Socket] = attrs.field(factory=list)

    async def __call__(self, peer: Peer) -> None:
        socket = Socket(peer)
        self.sockets.append(socket)
        self.subscribed.clear()
        await socket.accept()
        async with trio.open_nursery() as nursery:
            if self.script is not None:
                nursery.start_soon(self._run_script, socket, nursery.cancel_scope)
            with closes(nursery.cancel_scope):
                while True:
                    await self._answer(socket, await socket.receive())

    async def _run_script(self, socket: Socket, scope: trio.CancelScope) -> None:
        assert self.script is not None
        with closes(None):
            await self.script(self, socket)

    async def _answer(self, socket: Socket, frame: dict[str, Any]) -> None:
        if frame["method"] == "ping" and self.answers_pings:
            await socket.send({"channel": "pong"})
        if frame["method"] == "subscribe" and self.answers_subscribes:
            subscription = frame["subscription"]
            if subscription["type"] in self.deaf_to:
                return
            if subscription["type"] in self.refusals:
                await socket.send({"channel": "error", "data": self.refusals[subscription["type"]]})
            elif subscription in self.subscribed:
                echo = json.dumps(normalised(subscription))
                await socket.send({"channel": "error", "data": f"Already subscribed: {echo}"})
            else:
                self.subscribed.append(subscription)
                data = {"method": "subscribe", "subscription": normalised(subscription)}
                await socket.send({"channel": "subscriptionResponse", "data": data})


def normalised(subscription: dict[str, Any]) -> dict[str, Any]:
    """As the venue echoes it: defaults filled in."""
    defaults = {
        "l2Book": {"nSigFigs": None, "mantissa": None, "fast": False},
        "userFills": {"aggregateByTime": False},
    }
    return defaults.get(subscription["type"], {}) | subscription


@contextmanager
def closes(scope: trio.CancelScope | None) -> Iterator[None]:
    """The client's going ends this, and the scope with it, quietly."""
    try:
        yield
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        if scope is not None:
            scope.cancel()
