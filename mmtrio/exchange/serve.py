"""The venue's front door: HTTP and WebSocket on any Trio stream, TCP or memory.

`serve_connection` reads HTTP/1.1 with h11 and answers /info and /exchange. On a request to upgrade on /ws it hands
the stream to trio-websocket, with the opening handshake and what came after it put back. No exit waits for the
peer: who does not read, or does not close, is reset.
"""

from __future__ import annotations

import logging
import re
import socket
import struct
from functools import partial
from typing import Any, NoReturn

import attrs
import h11
import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from mmtrio.exchange.client_frames import Hangup, Post
from mmtrio.exchange.faults import HttpReply, HttpRequest
from mmtrio.exchange.hub import Connection
from mmtrio.exchange.local_venue import UNPROCESSABLE, LocalVenue

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 5 * 1024 * 1024
HEAD_BYTES_MAX = 64 * 1024
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
RECEIVE_BYTES = 64 * 1024
_WEBSOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
HANDSHAKE_S = 5.0
"""For what follows a request to upgrade; all of it is ours to do, so it never takes that long."""
LINGER_S = 1.0
"""How long a client may take to read a last reply."""


async def serve_exchange(
    venue: LocalVenue,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Serve a venue over TCP until cancelled. Starts with the URL it is bound to, like `http://127.0.0.1:3001`."""
    listeners = await trio.open_tcp_listeners(port, host=host)
    name, bound_port = listeners[0].socket.getsockname()[:2]
    task_status.started(f"http://{f'[{name}]' if ':' in name else name}:{bound_port}")
    await trio.serve_listeners(partial(serve_connection, venue=venue), listeners)


async def serve_connection(stream: trio.abc.HalfCloseableStream, venue: LocalVenue) -> None:
    """Serve one client for as long as its connection lasts. Whatever the client does, this only returns."""
    http = _HttpPeer(stream, _peer_name(stream))
    try:
        while True:
            request = await http.next_request()
            if request is None:
                return await http.linger()
            if isinstance(request, _Upgrade):
                reply = venue.refuse_connection(http.peer_name)
                if reply is None:
                    replay = _ReplayStream(stream, request.handshake, request.rest)
                    return await _serve_websocket(replay, venue, http.peer_name)
            else:
                reply = await _route(request, venue, http.peer_name)
            if reply is None:
                return abort_stream(stream)
            await http.send(reply)
            if not http.prepare_for_next():
                return await http.linger()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # The peer is gone; nothing is owed to it.
    finally:
        await trio.aclose_forcefully(stream)


def abort_stream(stream: trio.abc.Stream) -> None:
    """Close a stream so that its peer sees a reset, at once and whatever is still to be sent."""
    if isinstance(stream, trio.SocketStream):
        if stream.socket.fileno() == -1:
            return  # Closed already.
        no_lingering = struct.pack("ii", 1, 0)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_lingering)
        stream.socket.close()
    else:
        stream.abort()  # type: ignore[attr-defined]  # Memory streams, and what wraps them.


def _peer_name(stream: trio.abc.Stream) -> str:
    """What limits are counted by: the address of the other host; all memory streams are one."""
    if isinstance(stream, trio.SocketStream):
        try:
            return str(stream.socket.getpeername()[0])
        except OSError:
            return "gone"
    return "memory"


# HTTP


@attrs.frozen
class _Request:
    method: str
    path: str
    body: bytes
    is_too_large: bool = False


@attrs.frozen
class _Upgrade:
    """A request to speak WebSocket."""

    key: bytes
    rest: bytes
    """What was read after the opening handshake."""

    @property
    def handshake(self) -> bytes:
        """The opening handshake, written anew from what h11 has understood: other libraries stumble over odd headers.
        Extensions are left out, as the venue negotiates none."""
        head = b"GET /ws HTTP/1.1\r\nHost: venue\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        return head + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + self.key + b"\r\n\r\n"


class _HttpPeer:
    """HTTP/1.1 with one client: the Trio half of h11."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, peer_name: str) -> None:
        self.peer_name = peer_name
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._wants_body = True

    async def next_request(self) -> _Request | _Upgrade | None:
        """The next request; None where the client is done, or sent what is no HTTP and was told so."""
        self._wants_body = True
        try:
            event = await self._next_event()
            if not isinstance(event, h11.Request):
                return None  # ConnectionClosed.
            path = event.target.decode("latin-1").partition("?")[0]
            self._wants_body = event.method != b"HEAD"
            request = await self._with_body(event.method.decode("latin-1"), path)
            key = _websocket_key(event) if path == "/ws" else None
            return request if key is None else _Upgrade(key, self._http.trailing_data[0])
        except h11.RemoteProtocolError as error:
            if self._http.our_state is h11.IDLE or self._http.our_state is h11.SEND_RESPONSE:
                await self.send(HttpReply(error.error_status_hint, text="Bad Request"), is_last=True)
            return None

    async def _with_body(self, method: str, path: str) -> _Request:
        body = bytearray()
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                body += event.data
                if len(body) > BODY_BYTES_MAX:
                    return _Request(method, path, b"", is_too_large=True)
            else:
                assert isinstance(event, h11.EndOfMessage), event
                return _Request(method, path, bytes(body))

    async def _next_event(self) -> Any:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await self._stream.send_all(self._http.send(go_on) or b"")
            data = await self._stream.receive_some(RECEIVE_BYTES)
            self._http.receive_data(bytes(data))

    async def send(self, reply: HttpReply, *, is_last: bool = False) -> None:
        if reply.text is None:
            kind, body = b"application/json", msgspec.json.encode(reply.body)
        else:
            kind, body = b"text/plain; charset=utf-8", reply.text.encode()
        headers = [(b"Content-Type", kind), (b"Content-Length", str(len(body)).encode())]
        if is_last or self._http.their_state is not h11.DONE:
            headers.append((b"Connection", b"close"))
        response = h11.Response(status_code=reply.status, headers=headers)
        events = [response, *([h11.Data(data=body)] if self._wants_body else []), h11.EndOfMessage()]
        await self._stream.send_all(b"".join(self._http.send(event) or b"" for event in events))

    def prepare_for_next(self) -> bool:
        """False where this connection carries no further request."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def linger(self) -> None:
        """Let the last reply arrive: to close with bytes unread is a reset, and it would overtake the reply."""
        with trio.move_on_after(LINGER_S):
            await self._stream.send_eof()
            while await self._stream.receive_some(RECEIVE_BYTES):
                pass


async def _route(request: _Request, venue: LocalVenue, peer_name: str) -> HttpReply | None:
    """The reply to a request; None where a fault breaks the connection instead."""
    if request.path not in ("/info", "/exchange", "/ws"):
        return HttpReply(404, text="Not Found")
    if request.path == "/ws":
        return HttpReply(400, text="Connection header did not include 'upgrade'")
    if request.method != "POST":
        return HttpReply(405, text="Method Not Allowed")
    if request.is_too_large:
        return HttpReply(413, text="length limit exceeded")
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNPROCESSABLE
    return await venue.answer(HttpRequest(request.path, body, peer_name))


def _websocket_key(request: h11.Request) -> bytes | None:
    """The key of a complete opening handshake. Anything less would leave trio-websocket waiting for ever."""
    headers = {bytes(name).lower(): bytes(value) for name, value in request.headers}
    tokens = [token.strip() for token in headers.get(b"connection", b"").lower().split(b",")]
    key = headers.get(b"sec-websocket-key", b"")
    is_complete = (
        request.method == b"GET"
        and b"upgrade" in tokens
        and headers.get(b"upgrade", b"").lower() == b"websocket"
        and headers.get(b"sec-websocket-version") == b"13"
        and _WEBSOCKET_KEY.fullmatch(key) is not None
    )
    return key if is_complete else None


# WebSocket


@attrs.define(eq=False)
class _ReplayStream(trio.abc.Stream):
    """A stream that first gives again what was read from it already.

    After the handshake it gives nothing until that is `accepted`: trio-websocket would take frames that come before
    and look at them only when more has come.
    """

    _stream: trio.abc.Stream
    _handshake: bytes
    _rest: bytes
    accepted: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        assert max_bytes is None or max_bytes >= RECEIVE_BYTES, max_bytes
        await trio.lowlevel.checkpoint()
        if self._handshake:
            data, self._handshake = self._handshake, b""
            return data
        await self.accepted.wait()
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def abort(self) -> None:
        abort_stream(self._stream)


async def _serve_websocket(stream: _ReplayStream, venue: LocalVenue, peer_name: str) -> None:
    """Speak WebSocket until the client leaves, breaks the protocol, is dropped, or was sent nothing for a minute."""
    try:
        await _run_websocket(stream, venue, peer_name)
    except* (ConnectionClosed, LocalProtocolError):
        pass  # The reader of trio-websocket raises these where a peer breaks the protocol and leaves at once.


async def _run_websocket(stream: _ReplayStream, venue: LocalVenue, peer_name: str) -> None:
    async with trio.open_nursery() as nursery:
        # Everything of this connection lives in this nursery; its cancel scope is the off switch.
        quiet = nursery.cancel_scope
        websocket = await _accept(nursery, stream)
        if websocket is None:
            quiet.cancel()
            return

        def drop(reason: str) -> None:
            log.info("connection %d of %s is reset: %s", connection.number, peer_name, reason)
            abort_stream(stream)
            quiet.cancel(reason=reason)

        connection = venue.open_connection(peer_name, drop)
        try:
            quiet.deadline = trio.current_time() + venue.params.idle_close_s
            nursery.start_soon(
                partial(_write, websocket, connection, quiet, venue.params.idle_close_s),
                name=f"exchange/connection {connection.number}/write",
            )
            await _read(websocket, connection, venue, nursery)
        finally:
            venue.hub.close(connection)
            quiet.cancel(reason="the connection ended")


async def _accept(nursery: trio.Nursery, stream: _ReplayStream) -> WebSocketConnection | None:
    try:
        with trio.fail_after(HANDSHAKE_S):
            request = await wrap_server_stream(
                nursery, stream, max_message_size=MESSAGE_BYTES_MAX, receive_buffer_size=RECEIVE_BYTES
            )
            websocket: WebSocketConnection = await request.accept()
    except (ConnectionClosed, trio.TooSlowError):
        return None
    stream.accepted.set()
    return websocket


async def _write(
    websocket: WebSocketConnection, connection: Connection, quiet: trio.CancelScope, idle_close_s: float
) -> None:
    """The only task that sends frames. What it has sent puts the idle close off."""
    while True:
        frame = await connection.outbox.take()
        try:
            await websocket.send_message(frame)
        except (ConnectionClosed, LocalProtocolError):
            return  # Closing: the reading task sees why.
        quiet.deadline = trio.current_time() + idle_close_s


async def _read(
    websocket: WebSocketConnection, connection: Connection, venue: LocalVenue, nursery: trio.Nursery
) -> None:
    """Understand and answer frames until the client leaves or is hung up on."""
    while True:
        try:
            frame = await websocket.get_message()
        except ConnectionClosed:
            return
        request = venue.understand(connection, frame)
        if isinstance(request, Hangup):
            log.info("connection %d asked for %s: dropped", connection.number, request.reason)
            await trio.sleep(venue.params.hangup_after_s)
            return
        if isinstance(request, Post):
            nursery.start_soon(venue.answer_post, connection, request)
        else:
            venue.handle(connection, request)
