"""One WebSocket session, from opening to each way of losing it. Times are virtual and exact."""

from __future__ import annotations

import json
from functools import partial

import attrs
import pytest
import trio
import trio.testing

from mmtrio.client.connect import ConnectionKind
from mmtrio.client.errors import SessionLost
from mmtrio.client.session import Session, SessionParams, run_session
from mmtrio.wire.messages import (
    AlreadySubscribed,
    GreetingFrame,
    L2BookFrame,
    OtherFrame,
    PongFrame,
    SubscriptionResponseFrame,
    UndecodableFrame,
)
from tests.support.determinism import scenario
from tests.support.scripted_venue import (
    HANG,
    VENUE,
    Peer,
    Socket,
    WebSocketVenue,
    eof,
    http,
    open_venue,
    raw,
    reply,
    reset,
)

USER = "0x" + "ab" * 20
BOOK = {"type": "l2Book", "coin": "@107", "fast": True}
UPDATES = {"type": "orderUpdates", "user": USER}
FILLS = {"type": "userFills", "user": USER}
ALL = (BOOK, UPDATES, FILLS)
BOOK_FRAME = {"channel": "l2Book", "data": {"coin": "@107", "time": 1, "levels": [[], []]}}


@attrs.define(eq=False)
class Client:
    """Runs one session and writes down what it was told."""

    story: list[tuple[float, str]] = attrs.field(factory=list)
    messages: list[object] = attrs.field(factory=list)
    session: Session | None = None
    live_at: float | None = None

    def on_open(self, session: Session) -> None:
        self.session = session
        self.story.append((trio.current_time(), "open"))

    def on_frame(self, message: object) -> None:
        self.messages.append(message)
        if not isinstance(message, PongFrame):
            self.story.append((trio.current_time(), type(message).__name__))

    def on_live(self) -> None:
        self.live_at = trio.current_time()
        self.story.append((trio.current_time(), "live"))

    async def run(self, venue, subscriptions=ALL, **params) -> None:
        await run_session(
            venue.connect,
            ConnectionKind.ACCOUNT,
            VENUE,
            subscriptions,
            params=SessionParams(**params),
            on_open=self.on_open,
            on_frame=self.on_frame,
            on_live=self.on_live,
        )

    async def lost(self, venue, subscriptions=ALL, **params) -> tuple[float, str]:
        """When and why the session was lost; its stream must be closed by then."""
        with pytest.raises(SessionLost) as caught:
            await self.run(venue, subscriptions, **params)
        assert all(client.closed_at == trio.current_time() for client in venue.clients)
        return trio.current_time(), caught.value.cause


def kinds(client: Client) -> list[str]:
    return [what for _, what in client.story]


# ---------------------------------------------------------------------------------------------------------------
# Opening


@scenario
async def test_a_session_goes_live_when_every_subscription_is_acknowledged():
    async def script(_venue: WebSocketVenue, socket: Socket) -> None:
        await trio.sleep(4)
        await socket.close()

    client, server = Client(), WebSocketVenue(script)
    async with open_venue(server) as venue:
        assert await client.lost(venue) == (4, "connection closed with 1000 NORMAL_CLOSURE: no reason given")
    acknowledged = SubscriptionResponseFrame.__name__
    assert client.story == [(0, "open"), (0, acknowledged), (0, acknowledged), (0, acknowledged), (0, "live")]
    sent = [frame for _, frame in server.sockets[0].received]
    assert [frame["subscription"] for frame in sent if frame["method"] == "subscribe"] == list(ALL)
    assert [at for at, frame in server.sockets[0].received if frame["method"] == "ping"] == [0, 2.5]
    assert venue.opened == [(0, ConnectionKind.ACCOUNT)]
    assert client.session is not None and not client.session.is_live
    statistics = client.session.statistics
    assert (statistics.opened_at, statistics.live_at, statistics.frames) == (0, 0, 5)
    assert statistics.pong_rtt_s == 0


@scenario
async def test_a_session_without_subscriptions_is_live_at_once():
    client = Client()
    async with open_venue(WebSocketVenue()) as venue:
        with trio.move_on_after(1):
            await client.run(venue, subscriptions=())
    assert client.story == [(0, "open"), (0, "live")]


@scenario
async def test_what_is_already_subscribed_counts_as_acknowledged():
    client, server = Client(), WebSocketVenue()
    async with open_venue(server) as venue:
        with trio.move_on_after(1):
            await client.run(venue, subscriptions=(UPDATES, UPDATES))
    assert kinds(client) == ["open", "SubscriptionResponseFrame", AlreadySubscribed.__name__, "live"]


@pytest.mark.parametrize(
    ("entry", "lost"),
    [
        (
            ConnectionRefusedError(111, "Connection refused"),
            (0, "cannot connect to http://127.0.0.1:3001: Connection refused"),
        ),
        (
            trio.BrokenResourceError("TLS not agreed"),
            (0, "cannot connect to http://127.0.0.1:3001: TLS not agreed"),
        ),
        (HANG, (5, "cannot connect to http://127.0.0.1:3001: no connection within 5 s")),
        (http(eof), (0, "connection closed during the WebSocket handshake")),
        (http(reset), (0, "connection closed during the WebSocket handshake")),
        (http(raw(b"", "hang")), (5, "no WebSocket handshake within 5 s")),
        (http(reply("slow down", 429)), (0, "WebSocket handshake refused: HTTP 429 slow down")),
        (http(reply("", 503)), (0, "WebSocket handshake refused: HTTP 503")),
        (http(reply({"hello": 1}, 200)), (0, 'WebSocket handshake refused: HTTP 200 {"hello": 1}')),
        (
            http(raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "hang")),
            (
                0,
                "no valid answer to the WebSocket handshake: "
                "can't handle event type Response when role=CLIENT and state=SEND_BODY",
            ),
        ),
    ],
    ids=lambda _: "",
)
@scenario
async def test_a_connection_that_does_not_open_is_a_lost_session(entry, lost):
    client = Client()
    async with open_venue(entry) as venue:
        assert await client.lost(venue) == lost
    assert client.story == []


@scenario
async def test_connecting_and_shaking_hands_share_one_deadline():
    async def slow(peer: Peer) -> None:
        await trio.sleep_forever()

    async with open_venue(slow) as venue:

        async def slow_connect(kind):
            await trio.sleep(3)
            return await venue.connect(kind)

        with pytest.raises(SessionLost, match="no WebSocket handshake within 5 s"):
            await run_session(
                slow_connect,
                ConnectionKind.MARKET,
                VENUE,
                ALL,
                on_open=lambda session: None,
                on_frame=lambda message: None,
                on_live=lambda: None,
            )
        assert trio.current_time() == 5


@scenario
async def test_an_acknowledgement_that_never_comes_ends_the_session_by_name():
    client = Client()
    async with open_venue(WebSocketVenue(deaf_to=("orderUpdates",))) as venue:
        assert await client.lost(venue) == (5, "orderUpdates not acknowledged within 5 s")
    assert client.live_at is None


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "Invalid subscription " + json.dumps(FILLS),
            "subscription refused (userFills): invalid",
        ),
        (
            "Cannot track more than 10 total users.",
            "subscription refused (l2Book:@107, orderUpdates, userFills): Cannot track more than 10 total users.",
        ),
        (
            "Error parsing JSON into valid websocket request: "
            + json.dumps({"method": "subscribe", "subscription": FILLS}),
            "subscription refused (userFills): " + json.dumps({"method": "subscribe", "subscription": FILLS}),
        ),
    ],
    ids=["invalid", "users", "not parsed"],
)
@scenario
async def test_a_refused_subscription_ends_the_session_at_once_by_name(text, cause):
    client = Client()
    server = WebSocketVenue(deaf_to=("l2Book", "orderUpdates"), refusals={"userFills": text})
    async with open_venue(server) as venue:
        assert await client.lost(venue) == (0, cause)
    assert client.live_at is None


@scenario
async def test_a_socket_closed_in_answer_to_a_subscription_says_which_may_be_to_blame():
    async def script(_venue: WebSocketVenue, socket: Socket) -> None:
        await trio.sleep(0.1)
        await socket.peer.stream.aclose()

    client = Client()
    async with open_venue(WebSocketVenue(script, deaf_to=("l2Book",))) as venue:
        at, cause = await client.lost(venue)
    assert at == 0.1
    assert cause == (
        "connection broken: it ended without a close frame; not acknowledged: l2Book:@107 "
        "(the venue closes the socket on a coin it does not know)"
    )


# ---------------------------------------------------------------------------------------------------------------
# Losing it


async def end_by_close(socket: Socket) -> None:
    await socket.close(1001, "going away")


async def end_by_reset(socket: Socket) -> None:
    await socket.peer.reset()


async def end_by_eof(socket: Socket) -> None:
    await socket.peer.stream.aclose()


async def end_in_the_middle_of_a_frame(socket: Socket) -> None:
    await socket.send_raw(b"\x81\x7e\x10\x00half a frame")
    await socket.peer.stream.aclose()


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (end_by_close, "connection closed with 1001 GOING_AWAY: going away"),
        (end_by_reset, "connection broken: it ended without a close frame"),
        (end_by_eof, "connection broken: it ended without a close frame"),
        (end_in_the_middle_of_a_frame, "connection broken: it ended without a close frame"),
    ],
)
@scenario
async def test_whatever_ends_the_connection_what_arrived_before_is_read_first(end, cause):
    async def script(_venue: WebSocketVenue, socket: Socket) -> None:
        await trio.sleep(1)
        for _ in range(3):
            await socket.send(BOOK_FRAME)
        await trio.sleep(0.25)
        await end(socket)

    client = Client()
    async with open_venue(WebSocketVenue(script)) as venue:
        assert await client.lost(venue) == (1.25, cause)
    assert client.story[-3:] == [(1, L2BookFrame.__name__)] * 3


@scenario
async def test_frames_sent_in_one_breath_with_the_close_are_read():
    async def script(_venue: WebSocketVenue, socket: Socket) -> None:
        await trio.sleep(1)
        for _ in range(20):
            await socket.send(BOOK_FRAME)
        await socket.close()

    client = Client()
    async with open_venue(WebSocketVenue(script)) as venue:
        at, cause = await client.lost(venue)
    assert at == 1 and cause.startswith("connection closed with 1000")
    assert kinds(client).count(L2BookFrame.__name__) == 20


@scenario
async def test_a_half_open_connection_is_lost_when_a_pong_stays_away():
    async def script(venue: WebSocketVenue, _socket: Socket) -> None:
        await trio.sleep(11)
        venue.answers_pings = False

    client = Client()
    async with open_venue(WebSocketVenue(script)) as venue:
        # Pings leave at 0, 2.5 … 10, and the one at 12.5 is not answered: within 8 s of the last frame, at 10.
        assert await client.lost(venue) == (17.5, "no pong within 5 s")


@scenario
async def test_pongs_must_come_even_while_other_frames_do():
    async def script(_venue: WebSocketVenue, socket: Socket) -> None:
        while True:
            await trio.sleep(0.5)
            await socket.send(BOOK_FRAME)

    client = Client()
    async with open_venue(WebSocketVenue(script, answers_pings=False)) as venue:
        assert await client.lost(venue) == (5, "no pong within 5 s")


@scenario
async def test_silence_of_eight_seconds_ends_the_session_whatever_pings_do():
    async def script(venue: WebSocketVenue, _socket: Socket) -> None:
        await trio.sleep(3)
        venue.answers_pings = False

    client = Client()
    async with open_venue(WebSocketVenue(script)) as venue:
        assert await client.lost(venue, pong_timeout_s=60) == (10.5, "silent for 8 s")


@scenario
async def test_slow_pongs_are_matched_in_order_and_timed():
    async def script(venue: WebSocketVenue, socket: Socket) -> None:
        venue.answers_pings = False
        for _ in range(4):
            await trio.sleep(4.75 if not socket.sent_pongs else 2.5)
            socket.sent_pongs += 1
            await socket.send({"channel": "pong"})

    client = Client()
    async with open_venue(WebSocketVenue(script)) as venue:
        with trio.move_on_after(12.3):
            await client.run(venue)
    assert client.session is not None
    assert client.session.statistics.pong_rtt_s == 4.75


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"\x81\x02\xff\xfe", "connection closed with 1007 INVALID_FRAME_PAYLOAD_DATA"),
        (b"\x8f\x00", "connection closed with 1002 PROTOCOL_ERROR"),
        (b"\xff\xff\xff\xff\xff\xff", "connection closed with 1002 PROTOCOL_ERROR"),
        (
            b"\x81\x7f\x00\x00\x00\x00\x00\x01\x86\xa0" + b"x" * 100_000,
            "connection closed with 1009 MESSAGE_TOO_BIG",
        ),
    ],
    ids=["not UTF-8", "unknown opcode", "noise", "oversized"],
)
@scenario
async def test_invalid_and_oversized_frames_end_the_session(data, cause):
    async def script(_venue: WebSocketVenue, socket: Socket) -> None:
        await trio.sleep(1)
        await socket.send_raw(data)

    client = Client()
    async with open_venue(WebSocketVenue(script)) as venue:
        at, text = await client.lost(venue, message_bytes_max=99_999)
    assert at == 1 and text.startswith(cause)


@scenario
async def test_odd_but_harmless_frames_are_handed_on():
    async def script(_venue: WebSocketVenue, socket: Socket) -> None:
        await trio.sleep(1)
        await socket.send("Websocket connection established.")
        await socket.send("[]")
        await socket.send({"channel": "somethingNew", "data": 1})
        await socket.send({"channel": "error", "data": "something nobody waits for"})
        await socket.send(
            {"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": BOOK}}
        )
        await socket.send_raw(b"\x82\x02\xff\xfe")  # A binary frame.
        await socket.ping(b"are you there")

    client = Client()
    async with open_venue(WebSocketVenue(script)) as venue:
        with trio.move_on_after(30):
            await client.run(venue)
    assert kinds(client)[-6:] == [
        GreetingFrame.__name__,
        UndecodableFrame.__name__,
        OtherFrame.__name__,
        "OtherError",
        SubscriptionResponseFrame.__name__,
        UndecodableFrame.__name__,
    ]
    assert trio.current_time() == 30


@scenario
async def test_a_venue_that_does_not_read_ends_the_session():
    async def deaf(peer: Peer) -> None:
        await Socket(peer).accept()
        await trio.sleep_forever()

    client = Client()
    async with open_venue(deaf, make_pair=trio.testing.lockstep_stream_pair) as venue:
        patient = {"ack_timeout_s": 60, "pong_timeout_s": 60, "silence_max_s": 60}
        assert await client.lost(venue, **patient) == (5, "a send took longer than 5 s")
        assert await client.lost(venue, **patient, outbox_frames_max=2) == (
            5,
            "the outbox is full: the venue does not read",
        )
    assert client.session is not None
    with pytest.raises(SessionLost, match="the outbox is full"):
        client.session.send_nowait("{}")


# ---------------------------------------------------------------------------------------------------------------
# Probes


def subscribes(server: WebSocketVenue) -> list[tuple[float, str]]:
    return [
        (at, frame["subscription"]["type"]) for at, frame in server.sockets[-1].received if len(frame) > 1
    ]


@scenario
async def test_event_feeds_are_probed_once_a_minute_and_cadence_feeds_are_not():
    client, server = Client(), WebSocketVenue()
    async with open_venue(server) as venue:
        with trio.move_on_after(130):
            await client.run(venue)
    probes = [(60, "orderUpdates"), (60, "userFills"), (120, "orderUpdates"), (120, "userFills")]
    assert subscribes(server)[3:] == probes
    assert client.session is not None
    assert client.session.statistics.probes_answered == 4


@scenario
async def test_a_probe_without_an_answer_ends_the_session():
    async def script(venue: WebSocketVenue, _socket: Socket) -> None:
        await trio.sleep(61)
        venue.deaf_to = ("userFills",)

    client = Client()
    async with open_venue(WebSocketVenue(script)) as venue:
        assert await client.lost(venue) == (125, "probe failed: userFills gave no answer within 5 s")


@scenario
async def test_a_probe_that_is_acknowledged_anew_shows_a_feed_that_was_dropped():
    async def script(venue: WebSocketVenue, _socket: Socket) -> None:
        await trio.sleep(61)
        venue.subscribed.remove(UPDATES)

    client = Client()
    async with open_venue(WebSocketVenue(script)) as venue:
        assert await client.lost(venue) == (120, "probe failed: the venue had dropped orderUpdates")


@scenario
async def test_a_probe_can_be_asked_for_and_is_not_doubled():
    client, server = Client(), WebSocketVenue()

    async def ask() -> None:
        await trio.sleep(10)
        assert client.session is not None
        server.deaf_to = ("orderUpdates",)
        client.session.probe_now()
        await trio.sleep(1)
        client.session.probe_now()

    async with open_venue(server) as venue, trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        assert await client.lost(venue) == (15, "probe failed: orderUpdates gave no answer within 5 s")
    assert subscribes(server)[3:] == [(10, "orderUpdates"), (10, "userFills"), (11, "userFills")]


@scenario
async def test_no_probe_leaves_before_the_session_is_live():
    client, server = Client(), WebSocketVenue(deaf_to=("orderUpdates",))
    async with open_venue(server) as venue, trio.open_nursery() as nursery:

        async def ask() -> None:
            await trio.sleep(1)
            assert client.session is not None
            client.session.probe_now()

        nursery.start_soon(ask)
        await client.lost(venue)
    assert len(subscribes(server)) == 3


# ---------------------------------------------------------------------------------------------------------------
# Being told to end


@scenario
async def test_the_owner_can_end_a_session_with_a_cause_and_only_the_first_counts():
    client = Client()
    async with open_venue(WebSocketVenue()) as venue, trio.open_nursery() as nursery:

        async def end() -> None:
            await trio.sleep(3)
            assert client.session is not None
            client.session.end("an accepted order did not appear on orderUpdates")
            client.session.end("too late")

        nursery.start_soon(end)
        assert await client.lost(venue) == (3, "an accepted order did not appear on orderUpdates")


@scenario
async def test_cancelling_a_session_takes_no_time_even_if_the_venue_is_deaf():
    async def deaf(peer: Peer) -> None:
        await Socket(peer).accept()
        await trio.sleep_forever()

    for make_pair in (trio.testing.memory_stream_pair, trio.testing.lockstep_stream_pair):
        client = Client()
        start = trio.current_time()
        async with open_venue(deaf, make_pair=make_pair) as venue:
            with trio.move_on_after(2) as scope:
                await client.run(venue)
            assert scope.cancelled_caught
            assert trio.current_time() == start + 2
            assert venue.clients[0].closed_at == start + 2
        assert client.session is not None
        with pytest.raises(SessionLost, match="the session was cancelled"):
            client.session.send_nowait("{}")


@scenario
async def test_being_cancelled_matters_more_than_a_loss_at_the_same_instant():
    async def script(_venue: WebSocketVenue, socket: Socket) -> None:
        await trio.sleep(2)
        await socket.close()

    client = Client()
    async with open_venue(WebSocketVenue(script)) as venue:
        try:
            with trio.move_on_after(2) as scope:
                await client.run(venue)
        except SessionLost:
            pass  # The close was read before the deadline was looked at: that order is the scheduler's.
        else:
            assert scope.cancelled_caught


@pytest.mark.parametrize(
    "bug", [KeyError("bug"), OSError("disk full"), trio.BrokenResourceError("a bug too")]
)
@scenario
async def test_a_bug_in_a_callback_is_not_a_lost_session(bug):
    class BrokenClient(Client):
        def on_frame(self, message: object) -> None:
            raise bug

    client = BrokenClient()
    async with open_venue(WebSocketVenue()) as venue:
        with pytest.RaisesGroup(type(bug)):
            await client.run(venue)
        assert trio.current_time() == 0
        assert venue.clients[0].closed_at == 0


@scenario
async def test_frames_of_the_owner_leave_in_order():
    client, server = Client(), WebSocketVenue()
    async with open_venue(server) as venue, trio.open_nursery() as nursery:
        nursery.start_soon(partial(client.lost, venue))
        await trio.sleep(1)
        assert client.session is not None
        for n in range(50):
            client.session.send_nowait(json.dumps({"method": "post", "id": n}))
        await trio.sleep(0.1)
        client.session.end("done")
    ids = [frame["id"] for _, frame in server.sockets[0].received if frame["method"] == "post"]
    assert ids == list(range(50))
