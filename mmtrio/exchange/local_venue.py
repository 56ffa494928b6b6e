"""The running local exchange: an engine, whoever else trades, a block every 70 ms, and the clients' connections.

    venue = LocalVenue(engine, participants, epoch_ms=wall_ms)
    await nursery.start(venue.run)
    url = await nursery.start(serve_exchange, venue)       # over TCP; or serve_connection over any Trio stream

Blocks follow Trio's clock, so under a virtual clock the venue is as deterministic as its engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

import attrs
import msgspec
import trio

from mmtrio.exchange.actions import UNREADABLE
from mmtrio.exchange.budgets import action_weight, info_weight
from mmtrio.exchange.client_frames import (
    ClientRequest,
    Ping,
    Post,
    Refused,
    Subscribe,
    Topic,
    Unsubscribe,
    understand,
)
from mmtrio.exchange.engine import Engine, Immediate, InfoRefused
from mmtrio.exchange.faults import Faults, HttpReply, HttpRequest
from mmtrio.exchange.feeds import FeedParams, Feeds, frame_of
from mmtrio.exchange.hub import Connection, Hub, Outbox
from mmtrio.exchange.limits import MinuteWindow, PeerLimits

UNPROCESSABLE = HttpReply(422, text=UNREADABLE)


class Participant(Protocol):
    """Somebody else who trades. Sees prices, never whose orders they are."""

    def act(self, engine: Engine, now_ms: int) -> None:
        """Called before each block."""


@runtime_checkable
class Stepper(Protocol):
    """A participant whose actions up to now do not all belong into one block."""

    def stop_ms(self, now_ms: int) -> int:
        """When the next block has to run for its sake: now at the latest, and later than it last acted."""


@attrs.frozen
class VenueParams:
    """How the venue treats its clients. The defaults are the real venue's (protocol 2, 3, 11)."""

    feeds: FeedParams = attrs.field(factory=FeedParams)
    idle_close_s: float = 60.0
    """A socket on which the venue has sent nothing for so long is dropped."""
    hangup_after_s: float = 0.1
    """From a subscription to an unknown coin to the end of the socket."""
    ip_weight_per_minute: int | None = 1200
    """This and what follows are limits of one address of the network. None: counted, never refused."""
    connections_max: int | None = 10
    connects_per_minute_max: int | None = 30
    messages_per_minute_max: int | None = 2000
    subscriptions_max: int = 1000
    users_max: int = 10
    posts_in_flight_max: int = 100
    outbox_frames_max: int = 4096
    outbox_bytes_max: int = 8 * 1024 * 1024
    greeting: str | None = None
    """A first text frame that is not JSON, as old servers sent it."""


@attrs.define(eq=False)
class _Waiting:
    """A client waits for the block that decides its action."""

    decided: trio.Event = attrs.field(factory=trio.Event)
    reply: Any = None


class LocalVenue:
    """One exchange. Made inside a running Trio loop, whose time it takes for the venue's."""

    def __init__(
        self,
        engine: Engine,
        participants: Iterable[Participant] = (),
        *,
        epoch_ms: int,
        params: VenueParams | None = None,
        faults: Faults | None = None,
    ) -> None:
        """`epoch_ms` is the venue's time at this moment."""
        self.engine = engine
        self.participants = tuple(participants)
        self._steppers = tuple(each for each in self.participants if isinstance(each, Stepper))
        self.params = params or VenueParams()
        self.faults = faults or Faults()
        self.hub = Hub()
        self.feeds = Feeds(engine, self.params.feeds)
        self._epoch_ms = epoch_ms
        self._epoch_at_s = trio.current_time()
        self._waiting: dict[int, _Waiting] = {}
        self._peers: dict[str, PeerLimits] = {}

    def now_ms(self) -> int:
        """The venue's time, in milliseconds since 1970."""
        return self._epoch_ms + round((trio.current_time() - self._epoch_at_s) * 1000)

    # Blocks

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run a block at once, then one every `block_ms` of the engine until cancelled.

        A block that is late delays those after it: none is made up for.
        """
        block_s = self.engine.params.block_ms / 1000
        self.run_block()
        due_s = trio.current_time() + block_s
        task_status.started()
        while True:
            await trio.sleep_until(due_s)
            self.run_block()
            due_s += block_s
            if due_s <= trio.current_time():
                due_s = trio.current_time() + block_s

    def run_block(self) -> None:
        """Run the block of this moment, and before it those that are still needed for moments since the last one."""
        now_ms = self.now_ms()
        while (stop_ms := min((s.stop_ms(now_ms) for s in self._steppers), default=now_ms)) < now_ms:
            self._run_block(stop_ms)
        self._run_block(now_ms)

    def _run_block(self, now_ms: int) -> None:
        """Let everybody act, run the block, answer who waits, and push what changed."""
        for participant in self.participants:
            participant.act(self.engine, now_ms)
        block = self.engine.run_block(now_ms)
        for ticket, reply in block.replies:
            waiting = self._waiting.pop(ticket, None)
            if waiting is not None:  # Participants of the house do not wait, nor does who hung up.
                waiting.reply = reply
                waiting.decided.set()
        for topic, frame in self.feeds.frames_after(block, self.hub.topics):
            self._push(topic, frame)

    def _push(self, topic: Topic, frame: str) -> None:
        if self.faults.passes_frame(topic):
            for connection in self.hub.listeners(topic):
                connection.send(frame)

    # Requests: HTTP, and the same over a WebSocket

    async def answer(self, request: HttpRequest) -> HttpReply | None:
        """What the venue says to a request on /info or /exchange. None: the connection breaks instead."""
        instead = await self.faults.before_request(request)
        if instead is not None:
            return instead
        if not request.is_post and not self._peer(request.peer_name).weight.admits(self.now_ms()):
            return HttpReply(429)
        if request.path == "/info":
            reply = self._info(request)
        else:
            reply = await self._exchange(request)
        return await self.faults.before_reply(request, reply)

    def _info(self, request: HttpRequest) -> HttpReply:
        if not isinstance(request.body, dict) or not isinstance(request.body.get("type"), str):
            self._charge(request, info_weight(None))
            return UNPROCESSABLE
        try:
            body = self.engine.info(request.body, self.now_ms())
        except InfoRefused as refused:
            self._charge(request, info_weight(request.body["type"]))
            return HttpReply(refused.status, text=refused.text)
        n_rows = len(body) if isinstance(body, list) else 0
        self._charge(request, info_weight(request.body["type"], n_rows))
        return HttpReply(200, body)

    async def _exchange(self, request: HttpRequest) -> HttpReply:
        if not isinstance(request.body, dict):
            self._charge(request, action_weight(0))
            return UNPROCESSABLE
        self._charge(request, action_weight(_element_count(request.body)))
        outcome = self.engine.submit(request.body, self.now_ms())
        if isinstance(outcome, Immediate):
            if isinstance(outcome.body, str):
                return HttpReply(outcome.status, text=outcome.body)
            return HttpReply(outcome.status, outcome.body)
        waiting = self._waiting[outcome] = _Waiting()
        try:
            await waiting.decided.wait()
        finally:
            self._waiting.pop(outcome, None)
        return HttpReply(200, waiting.reply)

    def _charge(self, request: HttpRequest, weight: int) -> None:
        if not request.is_post:
            self._peer(request.peer_name).weight.charge(weight, self.now_ms())

    def _peer(self, peer_name: str) -> PeerLimits:
        peer = self._peers.get(peer_name)
        if peer is None:
            params = self.params
            peer = self._peers[peer_name] = PeerLimits(
                weight=MinuteWindow(params.ip_weight_per_minute),
                connects=MinuteWindow(params.connects_per_minute_max),
                messages=MinuteWindow(params.messages_per_minute_max),
            )
        return peer

    # WebSocket frames

    def refuse_connection(self, peer_name: str) -> HttpReply | None:
        """The reply to a handshake of an address that has too many sockets, or opens them too fast; None lets it in.

        How the venue refuses these was never recorded; a refusal counts as no connection.
        """
        connects = self._peer(peer_name).connects
        connections_max = self.params.connections_max
        if connections_max is not None and len(self.hub.connections_of(peer_name)) >= connections_max:
            return HttpReply(429, text=f"Cannot have more than {connections_max} connections.")
        if not connects.admits(self.now_ms()):
            return HttpReply(429, text=f"Cannot open more than {connects.spent_max} connections per minute.")
        connects.charge(1, self.now_ms())
        return None

    def open_connection(self, peer_name: str, drop: Callable[[str], None]) -> Connection:
        outbox = Outbox(self.params.outbox_frames_max, self.params.outbox_bytes_max)
        connection = self.hub.open(peer_name, outbox, drop)
        if self.params.greeting is not None:
            connection.send(self.params.greeting)
        return connection

    def understand(self, connection: Connection, frame: str | bytes) -> ClientRequest:
        messages = self._peer(connection.peer_name).messages
        if not messages.admits(self.now_ms()):  # What the venue says then was never recorded.
            return Refused(f"Cannot send more than {messages.spent_max} messages per minute.")
        messages.charge(1, self.now_ms())
        return understand(frame, self.engine.is_listed)

    def handle(self, connection: Connection, request: Ping | Subscribe | Unsubscribe | Refused) -> None:
        """Answer what can be answered at once."""
        match request:
            case Ping():
                connection.send(frame_of("pong"))
            case Subscribe(topic):
                self._subscribe(connection, topic)
            case Unsubscribe(topic):
                self._unsubscribe(connection, topic)
            case Refused(text):
                connection.send(frame_of("error", text))

    def _subscribe(self, connection: Connection, topic: Topic) -> None:
        if topic in connection.topics:
            connection.send(frame_of("error", f"Already subscribed: {topic.text}"))
            return
        watched = self.hub.users_watched(connection.peer_name)
        if topic.user is not None and topic.user not in watched and len(watched) >= self.params.users_max:
            text = f"Cannot track more than {self.params.users_max} total users."
            connection.send(frame_of("error", text))
            return
        if self.hub.subscription_count(connection.peer_name) >= self.params.subscriptions_max:
            text = f"Cannot have more than {self.params.subscriptions_max} total subscriptions."
            connection.send(frame_of("error", text))
            return
        self.hub.subscribe(connection, topic)
        if self.faults.passes_ack(topic):
            connection.send(_ack("subscribe", topic))
        for frame in self.feeds.first_frames(topic, self.now_ms()):
            if self.faults.passes_frame(topic):
                connection.send(frame)

    def _unsubscribe(self, connection: Connection, topic: Topic) -> None:
        if topic not in connection.topics:
            connection.send(frame_of("error", f"Already unsubscribed: {topic.text}"))
            return
        self.hub.unsubscribe(connection, topic)
        connection.send(_ack("unsubscribe", topic))

    async def answer_post(self, connection: Connection, post: Post) -> None:
        """Answer a request that came over the WebSocket; replies may overtake each other."""
        if self.hub.posts_in_flight(connection.peer_name) >= self.params.posts_in_flight_max:
            connection.send(frame_of("error", f"too many pending post requests id={post.id}"))
            return
        connection.posts_in_flight += 1
        try:
            path = "/info" if post.kind == "info" else "/exchange"
            request = HttpRequest(path, post.payload, connection.peer_name, is_post=True)
            reply = await self.answer(request)
        finally:
            connection.posts_in_flight -= 1
        if reply is None:
            connection.drop("a fault broke the connection")
            return
        connection.send(frame_of("post", {"id": post.id, "response": _post_response(post, reply)}))


def _post_response(post: Post, reply: HttpReply) -> dict[str, Any]:
    """The reply to a post. Reads carry one level more than over HTTP, and know no unknown coin (protocol 4)."""
    if reply.status == 200:
        payload = reply.body
        if post.kind == "info":
            payload = {"type": post.payload["type"], "data": reply.body}
        return {"type": post.kind, "payload": payload}
    if post.kind == "info" and reply.status == 500:
        return {"type": "info", "payload": {"type": post.payload["type"], "data": None}}
    return {"type": "error", "payload": f"{reply.status} {reply.text or ''}".rstrip()}


def _element_count(body: dict[str, Any]) -> int:
    """Orders, cancels or modifies in an action."""
    action = body.get("action")
    if not isinstance(action, dict):
        return 0
    lists = (action.get(key) for key in ("orders", "cancels", "modifies"))
    return sum(len(elements) for elements in lists if isinstance(elements, list))


def _ack(method: str, topic: Topic) -> str:
    data = {"method": method, "subscription": msgspec.Raw(topic.text.encode())}
    return frame_of("subscriptionResponse", data)
