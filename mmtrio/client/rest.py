"""/info and /exchange over HTTP/1.1: h11 on the connect seam, a few kept-alive connections, a deadline on everything.

Every way a request can end is one of: a parsed JSON value, RequestRefused, OutcomeUnknown, RequestNotSent. The
difference between the last two decides whether an order may exist: a request is "not sent" only while `send_all`
has not been called.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import h11
import msgspec
import trio

from mmtrio import __version__
from mmtrio.client.connect import CONNECT_ERRORS, STREAM_ERRORS, Connect, ConnectionKind, VenueAddress
from mmtrio.client.errors import OutcomeUnknown, RequestNotSent, RequestRefused, cause_text, excerpt

REPLY_BYTES_MAX = 16 * 2**20
HEAD_BYTES_MAX = 64 * 2**10
IDLE_MAX_S = 20.0
_RECEIVE_BYTES = 64 * 2**10


@attrs.frozen
class _Reply:
    status: int
    content_type: str
    location: str
    body: bytes


class _ConnectionDied(Exception):
    """The stream or the HTTP on it ended before a whole reply came. `is_stale`: not a byte of a reply had come."""

    def __init__(self, cause: str, *, is_stale: bool) -> None:
        super().__init__(cause)
        self.cause = cause
        self.is_stale = is_stale


@attrs.define(eq=False)
class _Attempt:
    """How far one request has got: what a timeout means depends on it."""

    has_sent: bool = False


@attrs.define(eq=False)
class _Connection:
    """One kept-alive connection. Used by one request at a time; after any failure it is closed, never reused."""

    stream: trio.abc.Stream
    reply_bytes_max: int
    http: h11.Connection = attrs.field(init=False)
    idle_since: float = -math.inf

    def __attrs_post_init__(self) -> None:
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)

    @property
    def is_reused(self) -> bool:
        return self.idle_since != -math.inf

    def looks_alive(self, now: float) -> bool:
        """Idle for a short time, and nothing to read: an idle peer has nothing to say but goodbye."""
        if now - self.idle_since > IDLE_MAX_S:
            return False
        transport = self.stream
        if isinstance(transport, trio.SSLStream):
            transport = transport.transport_stream
        return not (isinstance(transport, trio.SocketStream) and transport.socket.is_readable())

    async def request(
        self, path: str, headers: list[tuple[str, str]], body: bytes, attempt: _Attempt
    ) -> _Reply:
        length = [("Content-Length", str(len(body)))]
        parts = [
            self.http.send(h11.Request(method="POST", target=path, headers=headers + length)),
            self.http.send(h11.Data(data=body)),
            self.http.send(h11.EndOfMessage()),
        ]
        attempt.has_sent = True  # From here on it may arrive: `send_all` can fail or be cancelled half way.
        try:
            await self.stream.send_all(b"".join(part for part in parts if part))
        except STREAM_ERRORS as error:
            raise _ConnectionDied(
                f"connection lost while sending: {cause_text(error)}", is_stale=True
            ) from error
        return await self._read_reply()

    async def _read_reply(self) -> _Reply:
        head: h11.Response | None = None
        body = bytearray()
        while True:
            event = await self._next_event(is_started=head is not None)
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self.reply_bytes_max:
                    raise _ConnectionDied(f"the reply exceeds {self.reply_bytes_max} bytes", is_stale=False)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                fields = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
                return _Reply(
                    head.status_code, fields.get("content-type", ""), fields.get("location", ""), bytes(body)
                )

    async def _next_event(self, *, is_started: bool) -> Any:
        while True:
            try:
                event = self.http.next_event()
            except h11.RemoteProtocolError as error:
                has_bytes = is_started or bool(self.http.trailing_data[0])
                cause = f"connection lost, or no HTTP: {cause_text(error)}"
                raise _ConnectionDied(cause, is_stale=not has_bytes) from error
            if event is not h11.NEED_DATA:
                return event
            try:
                data = await self.stream.receive_some(_RECEIVE_BYTES)
            except STREAM_ERRORS as error:
                is_stale = not is_started and not self.http.trailing_data[0]
                raise _ConnectionDied(f"connection lost: {cause_text(error)}", is_stale=is_stale) from error
            if not data and not is_started and not self.http.trailing_data[0]:
                raise _ConnectionDied("connection closed before a reply came", is_stale=True)
            self.http.receive_data(bytes(data))

    def can_be_reused(self) -> bool:
        """Prepare for another request; False where either side said close, or the peer sent too much."""
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        if self.http.trailing_data[0]:
            return False
        self.http.start_next_cycle()
        return True


@attrs.define(eq=False)
class RestClient:
    """Requests to one venue. Opened by `open_rest`; any number of tasks may call it at once."""

    connect: Connect
    venue: VenueAddress
    kind: ConnectionKind
    timeout_s: float
    reply_bytes_max: int
    _slots: trio.CapacityLimiter
    _headers: list[tuple[str, str]]
    _idle: list[_Connection] = attrs.field(factory=list, init=False)
    request_count: int = attrs.field(default=0, init=False)
    connection_count: int = attrs.field(default=0, init=False)

    async def info(self, request: dict[str, Any]) -> Any:
        """POST /info: a read. Repeated once where a kept-alive connection turned out to be dead.

        Raises:
            RequestRefused: 4xx (429: IP weight used up), or an answer that is no venue's.
            OutcomeUnknown: timeout, connection lost, 5xx, truncated or oversized reply.
            RequestNotSent: no connection.
        """
        reply = await self._request("/info", msgspec.json.encode(request), may_repeat=True)
        try:
            return _json(reply.body)
        except ValueError:
            raise RequestRefused(reply.status, self._not_a_venue(reply)) from None

    async def exchange(self, body: bytes) -> dict[str, Any]:
        """POST /exchange: a signed action, sent at most once.

        Raises:
            RequestRefused: 4xx; it was not applied.
            OutcomeUnknown: timeout, connection lost after the first byte, 5xx, or a reply that is no JSON object.
            RequestNotSent: no connection; it was certainly not applied.
        """
        reply = await self._request("/exchange", body, may_repeat=False)
        try:
            answer = _json(reply.body)
        except ValueError:
            raise OutcomeUnknown(self._not_a_venue(reply)) from None
        if not isinstance(answer, dict):
            raise OutcomeUnknown(
                f"{self.venue.url}/exchange answered {excerpt(repr(answer))}, no JSON object"
            )
        return answer

    async def _request(self, path: str, body: bytes, *, may_repeat: bool) -> _Reply:
        self.request_count += 1
        attempt = _Attempt()
        with trio.move_on_after(self.timeout_s):
            async with self._slots:
                reply = await self._request_in_slot(path, body, attempt, may_repeat=may_repeat)
            return self._checked(path, reply)
        if attempt.has_sent:
            raise OutcomeUnknown(f"{self.venue.url}{path}: no answer within {self.timeout_s:g} s")
        raise RequestNotSent(f"{self.venue.url}: no connection within {self.timeout_s:g} s")

    async def _request_in_slot(
        self, path: str, body: bytes, attempt: _Attempt, *, may_repeat: bool
    ) -> _Reply:
        while True:
            connection = await self._take_connection()
            is_kept = False
            try:
                reply = await connection.request(path, self._headers, body, attempt)
                is_kept = connection.can_be_reused()
                return reply
            except _ConnectionDied as died:
                if not (may_repeat and died.is_stale and connection.is_reused):
                    raise OutcomeUnknown(f"{self.venue.url}{path}: {died.cause}") from died
            finally:
                if is_kept:
                    connection.idle_since = trio.current_time()
                    self._idle.append(connection)
                else:  # A cancelled request, too: its late answer must never be read as the next one's.
                    await trio.aclose_forcefully(connection.stream)

    async def _take_connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()  # The freshest first, so that the others may grow old and go.
            if connection.looks_alive(trio.current_time()):
                return connection
            await trio.aclose_forcefully(connection.stream)
        try:
            stream = await self.connect(self.kind)
        except CONNECT_ERRORS as error:
            raise RequestNotSent(f"{self.venue.url}: cannot connect: {cause_text(error)}") from error
        self.connection_count += 1
        return _Connection(stream, self.reply_bytes_max)

    def _checked(self, path: str, reply: _Reply) -> _Reply:
        """Pass 2xx; raise what every other status means."""
        if 200 <= reply.status < 300:
            return reply
        if 300 <= reply.status < 400:
            text = f"{self.venue.url}{path} redirects to {excerpt(reply.location)!r}, which is not followed"
            raise RequestRefused(reply.status, f"{text}: put the venue's own address into the base URL")
        text = _words(reply.body)
        if reply.status >= 500 or reply.status == 408:  # 408 is a timeout, and a timeout is never a "no".
            raise OutcomeUnknown(f"{self.venue.url}{path}: HTTP {reply.status} {text}".rstrip())
        if _is_html(reply) or reply.status in (404, 405):
            raise RequestRefused(reply.status, self._not_a_venue(reply))
        raise RequestRefused(reply.status, text or "no reason given")

    def _not_a_venue(self, reply: _Reply) -> str:
        what = (
            "an HTML page" if _is_html(reply) else repr(_words(reply.body)) if reply.body else "an empty body"
        )
        return (
            f"{self.venue.url} answered with {what}, not with Hyperliquid's JSON: "
            f"check that the base URL is a Hyperliquid API's"
        )

    async def close_idle(self) -> None:
        """Close the connections that no request is using."""
        while self._idle:
            await trio.aclose_forcefully(self._idle.pop().stream)


@asynccontextmanager
async def open_rest(
    connect: Connect,
    venue: VenueAddress,
    *,
    kind: ConnectionKind = ConnectionKind.REST,
    connections_max: int = 8,
    timeout_s: float = 5.0,
    reply_bytes_max: int = REPLY_BYTES_MAX,
) -> AsyncIterator[RestClient]:
    """A client for one venue; connections open when needed and close with the block.

    `timeout_s` bounds each request as a whole: waiting for a free connection, connecting, sending, reading.
    """
    headers = [
        ("Host", venue.host_header),
        ("User-Agent", f"trio-mm/{__version__}"),
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
    ]
    slots = trio.CapacityLimiter(connections_max)
    client = RestClient(connect, venue, kind, timeout_s, reply_bytes_max, slots, headers)
    try:
        yield client
    finally:
        await client.close_idle()


def _json(body: bytes) -> Any:
    """Raises ValueError where the body is not one JSON value."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _is_html(reply: _Reply) -> bool:
    return "html" in reply.content_type.lower() or reply.body.lstrip()[:1] == b"<"


def _words(body: bytes) -> str:
    """The venue's own words: plain text, a JSON string, or the `msg` of a JSON object."""
    try:
        value = _json(body)
    except ValueError:
        return excerpt(body[:2000].decode("utf-8", "replace"))
    if isinstance(value, dict):
        value = value.get("msg") or value.get("response") or value.get("error") or value
    return "" if value is None else excerpt(value if isinstance(value, str) else str(value))
