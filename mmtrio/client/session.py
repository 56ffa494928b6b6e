"""One WebSocket connection to a venue: opened, subscribed, acknowledged, kept under watch, and lost.

A session is one nursery. Its tasks (transport, read, write, ping, probe, and one watch per deadline) die as one, and
every way of losing it ends as one `SessionLost` with the cause in words: refused, closed, reset, silent, a pong, an
acknowledgement or a probe that stayed away, an oversized or invalid frame, a send that got stuck.

The reader hands each message to the caller's synchronous `on_frame` and waits for nobody; trio-websocket's queue
holds one message, so a reader that waited would also stop pongs and closes.

Leaving never waits: no close frame is sent. A writer cancelled half way has poisoned the stream for anything that
would come after, and the venue reads the end of the connection as well as a goodbye.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

import attrs
import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from mmtrio.client.connect import CONNECT_ERRORS, STREAM_ERRORS, Connect, ConnectionKind, VenueAddress
from mmtrio.client.errors import SessionLost, cause_text, excerpt
from mmtrio.client.subscriptions import CADENCE_FEEDS, Subscription, is_quoted, matches, name_of
from mmtrio.wire.codec import decode_frame, encode_ping, encode_subscribe
from mmtrio.wire.messages import (
    AlreadySubscribed,
    InvalidSubscription,
    Message,
    OtherError,
    PongFrame,
    RequestNotParsed,
    SubscriptionResponseFrame,
    TooManyUsers,
)

_RECEIVE_BYTES = 64 * 2**10
_PING = encode_ping()


@attrs.frozen
class SessionParams:
    """The deadlines of a session, in seconds (D10)."""

    connect_timeout_s: float = 5.0
    """For TCP, TLS and the WebSocket handshake together."""
    ack_timeout_s: float = 5.0
    silence_max_s: float = 8.0
    ping_interval_s: float = 2.5
    pong_timeout_s: float = 5.0
    probe_interval_s: float = 60.0
    probe_timeout_s: float = 5.0
    send_timeout_s: float = 5.0
    """A send that takes longer ends the session: half a frame may be on its way."""
    message_bytes_max: int = 16 * 2**20
    """A snapshot of 2,000 fills is about 0.7 MB; the library's own limit of 1 MiB is too near."""
    outbox_frames_max: int = 1024


@attrs.define
class SessionStatistics:
    """Counted since the socket opened; times are Trio's."""

    opened_at: float
    live_at: float | None = None
    frames: int = 0
    characters: int = 0
    pong_rtt_s: float | None = None
    probes_answered: int = 0


@attrs.define
class _Request:
    """A subscribe frame that waits for its answer."""

    subscription: Subscription
    sent_at: float


@attrs.define(eq=False)
class _Ending:
    """The one way a connection ends: its first cause is kept, and everything in its nursery is cancelled."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    cause: str | None = None

    def end(self, cause: str) -> None:
        if self.cause is None:
            self.cause = cause
        self.scope.cancel(reason=self.cause)


@attrs.define(eq=False)
class Session:
    """An open connection, as `on_open` receives it. Its methods never block."""

    statistics: SessionStatistics
    _subscriptions: tuple[Subscription, ...]
    _ending: _Ending
    _outbox: trio.MemorySendChannel[str]
    _unacknowledged: list[_Request] = attrs.field(factory=list, init=False)
    _probes: list[_Request] = attrs.field(factory=list, init=False)
    _pings_sent_at: deque[float] = attrs.field(factory=deque, init=False)
    _heard_at: float = attrs.field(init=False)
    _sending_since: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._heard_at = self.statistics.opened_at

    @property
    def is_live(self) -> bool:
        """Every subscription has been acknowledged and the session has not ended."""
        return self.statistics.live_at is not None and self.cause is None

    @property
    def cause(self) -> str | None:
        """Why the session ended; None while it lives."""
        return self._ending.cause

    def end(self, cause: str) -> None:
        """End the session: `run_session` raises SessionLost with this cause. The first cause stays."""
        self._ending.end(cause)

    def send_nowait(self, text: str) -> None:
        """Hand a frame to the writer.

        Raises:
            SessionLost: the session has ended, or its outbox is full; the frame was not sent.
        """
        if self.cause is None:
            try:
                self._outbox.send_nowait(text)
                return
            except trio.WouldBlock:
                self.end("the outbox is full: the venue does not read")
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.end("the session is over")
        assert self.cause is not None
        raise SessionLost(self.cause)

    def probe_now(self) -> None:
        """Ask every event feed whether it is still subscribed. A wrong answer, or none in time, ends the session.

        Does nothing before the session is live, and does not ask again where an answer is still due.
        """
        if not self.is_live:
            return
        waiting = [probe.subscription for probe in self._probes]
        for subscription in self._subscriptions:
            if subscription["type"] not in CADENCE_FEEDS and subscription not in waiting:
                self._probes.append(_Request(subscription, trio.current_time()))
                self._enqueue_own(encode_subscribe(subscription))

    # What the reader sees

    def note(self, message: Message, characters: int) -> None:
        """Book a frame: the silence is over, and it may answer a subscribe, a probe or a ping."""
        now = trio.current_time()
        self._heard_at = now
        self.statistics.frames += 1
        self.statistics.characters += characters
        match message:
            case PongFrame():
                if self._pings_sent_at:
                    self.statistics.pong_rtt_s = now - self._pings_sent_at.popleft()
            case SubscriptionResponseFrame() if message.data.method == "subscribe":
                self._note_subscribed(message.data.subscription)
            case AlreadySubscribed():
                if _take_match(self._probes, message.subscription) is not None:
                    self.statistics.probes_answered += 1
                else:
                    _take_match(self._unacknowledged, message.subscription)
            case InvalidSubscription(subscription):
                self._note_refused("invalid", lambda ours: matches(ours, subscription))
            case RequestNotParsed(request):
                self._note_refused(request, lambda ours: is_quoted(ours, request))
            case TooManyUsers(text) | OtherError(text):
                self._note_refused(text, lambda ours: False)

    def _note_subscribed(self, echo: Subscription) -> None:
        request = _take_match(self._unacknowledged, echo)
        if request is None and (probe := _take_match(self._probes, echo)) is not None:
            # A plain acknowledgement: until now we were not subscribed, and events have been missed.
            self.end(f"probe failed: the venue had dropped {name_of(probe.subscription)}")

    def _note_refused(self, text: str, is_about: Callable[[Subscription], bool]) -> None:
        """A refusal ends the session only while an answer is due; it may also be about somebody's post."""
        pending = [request.subscription for request in self._unacknowledged + self._probes]
        if pending:
            # Some refusals do not say what they refuse ("Cannot track more than 10 total users.").
            about = [subscription for subscription in pending if is_about(subscription)] or pending
            names = ", ".join(name_of(subscription) for subscription in about[:3])
            self.end(f"subscription refused ({names}): {excerpt(text)}")

    # What the tasks of the session do

    def subscribe_all(self) -> None:
        for subscription in self._subscriptions:
            self._unacknowledged.append(_Request(subscription, trio.current_time()))
            self._enqueue_own(encode_subscribe(subscription))

    async def read_forever(
        self,
        websocket: trio_websocket.WebSocketConnection,
        on_frame: Callable[[Message], None],
        on_live: Callable[[], None],
    ) -> None:
        self._go_live_if_acknowledged(on_live)
        while True:
            try:
                frame = await websocket.get_message()
            except trio_websocket.ConnectionClosed as closed:
                self.end(_closed_text(closed.reason) + self._unacknowledged_text())
                return
            text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
            message = decode_frame(text)
            self.note(message, len(text))
            on_frame(message)
            self._go_live_if_acknowledged(on_live)

    def _unacknowledged_text(self) -> str:
        names = ", ".join(name_of(request.subscription) for request in self._unacknowledged[:5])
        return f"; not acknowledged: {names} (the venue closes the socket on a coin it does not know)" * bool(
            names
        )

    def _go_live_if_acknowledged(self, on_live: Callable[[], None]) -> None:
        if self.statistics.live_at is None and not self._unacknowledged and self.cause is None:
            self.statistics.live_at = trio.current_time()
            on_live()

    async def ping_forever(self, interval_s: float) -> None:
        while True:
            self._pings_sent_at.append(trio.current_time())
            self._enqueue_own(_PING)
            await trio.sleep(interval_s)

    async def probe_forever(self, interval_s: float) -> None:
        while True:
            await trio.sleep(interval_s)
            self.probe_now()

    async def write_forever(self, websocket: trio_websocket.WebSocketConnection, frames: Any) -> None:
        async for text in frames:
            self._sending_since = trio.current_time()
            try:
                await websocket.send_message(text)
            except trio_websocket.ConnectionClosed:
                # What came before the close is still in the reader's queue: the reader ends the session after it.
                return
            except (ProtocolError, *STREAM_ERRORS) as error:
                self.end(f"sending failed: {cause_text(error)}")
            finally:
                self._sending_since = None

    def start_watches(self, params: SessionParams, nursery: trio.Nursery) -> None:
        """Start one watch for each way a peer can fail to do something in time."""

        def silence_began() -> float:
            return self._heard_at

        def oldest_ping() -> float | None:
            return self._pings_sent_at[0] if self._pings_sent_at else None

        def oldest_subscribe() -> float | None:
            return self._unacknowledged[0].sent_at if self._unacknowledged else None

        def oldest_probe() -> float | None:
            return self._probes[0].sent_at if self._probes else None

        def send_began() -> float | None:
            return self._sending_since

        watches: list[tuple[Callable[[], float | None], float, Callable[[], str]]] = [
            (silence_began, params.silence_max_s, lambda: f"silent for {params.silence_max_s:g} s"),
            (oldest_ping, params.pong_timeout_s, lambda: f"no pong within {params.pong_timeout_s:g} s"),
            (
                oldest_subscribe,
                params.ack_timeout_s,
                lambda: (
                    f"{name_of(self._unacknowledged[0].subscription)} not acknowledged within "
                    f"{params.ack_timeout_s:g} s"
                ),
            ),
            (
                oldest_probe,
                params.probe_timeout_s,
                lambda: (
                    f"probe failed: {name_of(self._probes[0].subscription)} gave no answer within "
                    f"{params.probe_timeout_s:g} s"
                ),
            ),
            (
                send_began,
                params.send_timeout_s,
                lambda: f"a send took longer than {params.send_timeout_s:g} s",
            ),
        ]
        for since, limit_s, cause in watches:
            nursery.start_soon(self._watch, since, limit_s, cause, name=f"session/watch {since.__name__}")

    async def _watch(
        self, since: Callable[[], float | None], limit_s: float, cause: Callable[[], str]
    ) -> None:
        """End the session when the moment `since()` is `limit_s` old.

        Sleeping for the whole limit while nothing is pending never oversleeps: what begins meanwhile is due later.
        """
        while True:
            began_at = since()
            due_at = (trio.current_time() if began_at is None else began_at) + limit_s
            if began_at is not None and trio.current_time() >= due_at:
                self.end(cause())
                return
            await trio.sleep_until(due_at)

    def _enqueue_own(self, text: str) -> None:
        """As `send_nowait`, for the session's own tasks: a full outbox ends the session, and that says it all."""
        try:
            self.send_nowait(text)
        except SessionLost:
            assert self.cause is not None


async def run_session(
    connect: Connect,
    kind: ConnectionKind,
    venue: VenueAddress,
    subscriptions: Sequence[Subscription],
    *,
    params: SessionParams = SessionParams(),
    on_open: Callable[[Session], None],
    on_frame: Callable[[Message], None],
    on_live: Callable[[], None],
) -> NoReturn:
    """Open one connection, subscribe, and serve it until it is lost.

    `on_open` is called when the socket is up, before anything is sent; `on_frame` for every message, acknowledgements
    and pongs included; `on_live` once, after the frame that acknowledged the last subscription. All three are called
    in place: they must not block, and what they raise ends everything, in an exception group.

    Raises:
        SessionLost: always, in the end, unless cancelled. Never inside a group.
    """
    open_until = trio.current_time() + params.connect_timeout_s
    stream = await _connect(connect, kind, venue, open_until, params.connect_timeout_s)
    ending = _Ending()
    try:
        with ending.scope:
            async with trio.open_nursery() as nursery:
                websocket = await _shake_hands(nursery, ending, stream, venue, open_until, params)
                outbox, frames = trio.open_memory_channel[str](params.outbox_frames_max)
                statistics = SessionStatistics(trio.current_time())
                session = Session(statistics, tuple(subscriptions), ending, outbox)
                on_open(session)
                session.subscribe_all()
                nursery.start_soon(session.read_forever, websocket, on_frame, on_live, name="session/read")
                nursery.start_soon(session.write_forever, websocket, frames, name="session/write")
                nursery.start_soon(session.ping_forever, params.ping_interval_s, name="session/ping")
                nursery.start_soon(session.probe_forever, params.probe_interval_s, name="session/probe")
                session.start_watches(params, nursery)
    finally:
        ending.end("the session was cancelled")  # For those who still hold it; an earlier cause stays.
        await trio.aclose_forcefully(stream)
    await (
        trio.lowlevel.checkpoint_if_cancelled()
    )  # Being told to stop matters more than a session lost meanwhile.
    assert ending.cause is not None
    raise SessionLost(ending.cause)


async def _connect(
    connect: Connect, kind: ConnectionKind, venue: VenueAddress, open_until: float, timeout_s: float
) -> trio.abc.Stream:
    with trio.move_on_at(open_until):
        try:
            return await connect(kind)
        except CONNECT_ERRORS as error:
            raise SessionLost(f"cannot connect to {venue.url}: {cause_text(error)}") from error
    raise SessionLost(f"cannot connect to {venue.url}: no connection within {timeout_s:g} s")


async def _shake_hands(
    nursery: trio.Nursery,
    ending: _Ending,
    stream: trio.abc.Stream,
    venue: VenueAddress,
    open_until: float,
    params: SessionParams,
) -> trio_websocket.WebSocketConnection:
    """The open WebSocket. Where the session ends instead, this is cancelled."""
    transport = _TransportNursery(nursery, ending)
    with trio.move_on_at(open_until):
        websocket = await trio_websocket.wrap_client_stream(
            transport,  # type: ignore[arg-type]
            stream,  # type: ignore[arg-type]
            venue.host_header,
            "/ws",
            max_message_size=params.message_bytes_max,
            receive_buffer_size=_RECEIVE_BYTES,
        )
        transport.is_open = True
        return websocket
    ending.end(f"no WebSocket handshake within {params.connect_timeout_s:g} s")
    await trio.lowlevel.checkpoint_if_cancelled()
    raise AssertionError("the scope of the session was cancelled")


@attrs.define(eq=False)
class _TransportNursery:
    """What `wrap_client_stream` needs of a nursery: its reader runs in ours, and its failures end the session.

    Without this the library's reader would raise into our nursery, in one group with the bugs of `on_frame`.
    """

    nursery: trio.Nursery
    ending: _Ending
    is_open: bool = False

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        self.nursery.start_soon(self._run, reader, name="session/transport")

    async def _run(self, reader: Callable[[], Awaitable[None]]) -> None:
        try:
            await reader()
        except trio_websocket.ConnectionRejected as rejected:
            body = excerpt((rejected.body or b"").decode("utf-8", "replace"))
            self.ending.end(f"WebSocket handshake refused: HTTP {rejected.status_code} {body}".rstrip())
        except Exception as error:
            # Whatever it is: only library code runs here, fed by the peer. It lets errors of wsproto and h11 through.
            what = (
                "WebSocket protocol broken" if self.is_open else "no valid answer to the WebSocket handshake"
            )
            self.ending.end(f"{what}: {cause_text(error)}")
        if not self.is_open:  # Once open, what arrived before the end is read first, by `read_forever`.
            self.ending.end("connection closed during the WebSocket handshake")


def _closed_text(reason: trio_websocket.CloseReason | None) -> str:
    if reason is None or reason.code == 1006:
        return "connection broken: it ended without a close frame"
    return f"connection closed with {reason.code} {reason.name}: {reason.reason or 'no reason given'}"


def _take_match(requests: list[_Request], echo: Subscription) -> _Request | None:
    """Remove and return the first request that the venue's echo is about."""
    for index, request in enumerate(requests):
        if matches(request.subscription, echo):
            return requests.pop(index)
    return None
