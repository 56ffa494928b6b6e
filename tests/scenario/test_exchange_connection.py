"""How the venue treats a client's connection: HTTP, WebSocket, limits, silence, and peers that do not behave."""

from __future__ import annotations

import attrs
import pytest
import trio
import trio.testing

from mmtrio.exchange.faults import Faults, HttpReply
from mmtrio.exchange.local_venue import VenueParams
from tests.support.determinism import scenario
from tests.support.exchanges import EPOCH_MS, HYPE, open_exchange, open_socket, order, placed

MIDS = {"type": "allMids"}


# HTTP


@scenario
async def test_one_connection_carries_many_requests() -> None:
    async with open_exchange() as exchange:
        http = await exchange.open_http()
        for _ in range(3):
            status, mids = await http.post("/info", MIDS)
            assert (status, mids[HYPE]) == (200, "34.95")
        assert len(exchange.network.links) == 1


@scenario
async def test_an_order_is_answered_by_the_next_block_and_a_refusal_at_once() -> None:
    async with open_exchange() as exchange:
        http = await exchange.open_http()
        await trio.sleep(0.1)
        status, reply = await http.post("/exchange", placed(order(True, "34", "1", cloid=7)))
        (placing,) = reply["response"]["data"]["statuses"]
        assert (status, placing["resting"]["cloid"]) == (200, f"0x{7:032x}")
        assert trio.current_time() == pytest.approx(0.14)
        status, reply = await http.post("/exchange", placed(order(True, "34", "1")))
        assert (status, reply["status"]) == (200, "err")
        assert "duplicate nonce" in reply["response"]
        assert trio.current_time() == pytest.approx(0.14)
        assert len(exchange.engine.open_orders(exchange.trader)) == 1


@scenario
async def test_a_client_that_hangs_up_still_has_its_order_placed() -> None:
    async with open_exchange() as exchange:
        http = await exchange.open_http()
        with trio.move_on_after(0.01):
            await http.post("/exchange", placed(order(True, "34", "1")))
        http.stream.abort()
        await trio.sleep(0.2)
        assert len(exchange.engine.open_orders(exchange.trader)) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/nowhere", b"{}", 404),
        ("GET", "/info", b"", 405),
        ("PUT", "/exchange", b"{}", 405),
        ("POST", "/info", b"not json", 422),
        ("POST", "/info", b"\xff", 422),
        ("POST", "/info", b"[" * 100_000, 422),
        ("POST", "/info", b'"text"', 422),
        ("POST", "/info", b'{"type": "noSuchRequest"}', 422),
        ("POST", "/exchange", b"{}", 422),
        ("POST", "/exchange", b"null", 422),
        ("POST", "/info", b" " * (5 * 1024 * 1024 + 1), 413),
        ("GET", "/ws", b"", 400),
    ],
)
@scenario
async def test_a_senseless_request_gets_its_status(
    method: str, path: str, body: bytes, expected: int
) -> None:
    async with open_exchange() as exchange:
        http = await exchange.open_http()
        status, headers, raw = await http.request(method, path, body)
        assert status == expected
        assert headers["content-type"].startswith("text/plain")
        assert raw


@scenario
async def test_what_is_no_http_is_told_so_and_closed() -> None:
    async with open_exchange() as exchange:
        for garbage in (b"\x16\x03\x01 hello\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000):
            stream = await exchange.network.connect()
            await stream.send_all(garbage)
            answer = b""
            while piece := await stream.receive_some():
                answer += piece
            assert answer.startswith(b"HTTP/1.1 4")


@scenario
async def test_an_address_that_asks_too_much_gets_429_for_a_minute() -> None:
    async with open_exchange() as exchange:
        http = await exchange.open_http()
        for _ in range(600):  # Each weighs 2 of the 1200 a minute.
            assert (await http.post("/info", MIDS))[0] == 200
        assert (await http.post("/info", MIDS))[0] == 429
        assert (await (await exchange.open_http()).post("/info", MIDS))[0] == 429
        await trio.sleep(59.9)
        assert (await http.post("/info", MIDS))[0] == 429
        await trio.sleep(0.2)
        assert (await http.post("/info", MIDS))[0] == 200


@scenario
async def test_senseless_requests_weigh_too_and_posts_weigh_nothing() -> None:
    async with open_exchange() as exchange:
        http = await exchange.open_http()
        bodies = [("/info", {"type": "noSuchRequest"}), ("/info", []), ("/info", {"type": "userFills"})]
        for n in range(59):
            assert (await http.post(*bodies[n % 3]))[0] == 422, "20 each"
        for _ in range(19):
            assert (await http.post("/exchange", []))[0] == 422, "1 each"
        async with open_socket(exchange.network) as socket:
            for n in range(100):
                payload = {"type": "userRole", "user": exchange.trader}
                await socket.send(
                    {"method": "post", "id": n, "request": {"type": "info", "payload": payload}}
                )
                await socket.wait_for("post", n + 1)
        assert (await http.post("/info", MIDS))[0] == 200, "1199 were used, and a last one may overshoot"
        assert (await http.post("/info", MIDS))[0] == 429


@scenario
async def test_a_batch_weighs_one_more_for_every_forty() -> None:
    async with open_exchange() as exchange:
        http = await exchange.open_http()
        for nonce in range(2):
            rows = [order(True, "34", "0.1")] * 200
            assert (await http.post("/exchange", placed(*rows, nonce=EPOCH_MS + nonce)))[0] == 200
        for _ in range(594):
            assert (await http.post("/info", MIDS))[0] == 200
        assert (await http.post("/info", MIDS))[0] == 429, "2 x 6 and 594 x 2 are 1200"


# WebSocket


@scenario
async def test_an_ack_comes_before_the_first_state_and_a_ping_is_answered() -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        await socket.subscribe(type="l2Book", coin=HYPE)
        await socket.send({"method": "ping"})
        await socket.wait_for("pong")
        assert [frame["channel"] for _, frame in socket.frames] == ["subscriptionResponse", "l2Book", "pong"]
        assert socket.frames[0][1]["data"] == {
            "method": "subscribe",
            "subscription": {
                "type": "l2Book",
                "coin": HYPE,
                "nSigFigs": None,
                "mantissa": None,
                "fast": False,
            },
        }
        assert socket.frames[2][1] == {"channel": "pong"}


@scenario
async def test_subscribing_twice_is_answered_in_the_venues_words() -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        for _ in range(2):
            await socket.subscribe(type="bbo", coin=HYPE)
        for _ in range(2):
            await socket.send(
                {"method": "unsubscribe", "subscription": {"type": "bbo", "coin": HYPE, "more": 1}}
            )
        normalised = '{"type":"bbo","coin":"@107"}'
        await socket.wait_for("error", 2)
        assert [data for _, data in socket.of("error")] == [
            f"Already subscribed: {normalised}",
            f"Already unsubscribed: {normalised}",
        ]


@pytest.mark.parametrize(
    "subscription",
    [
        {"type": "bbo", "coin": "@9999"},
        {"type": "trades", "coin": "hype"},
        {"type": "l2Book", "coin": "btc"},
        {"type": "l2Book", "coin": HYPE, "nSigFigs": 6},
        {"type": "l2Book", "coin": HYPE, "mantissa": 2},
    ],
)
@scenario
async def test_a_subscription_the_venue_does_not_know_drops_the_socket(
    subscription: dict[str, object],
) -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        await socket.subscribe(type="bbo", coin=HYPE)
        await socket.wait_for("bbo")
        await socket.subscribe(**subscription)
        await socket.wait_closed()
        assert socket.closed_at_s == pytest.approx(0.1)
        assert socket.close_code == 1006, "no close frame"
        assert socket.of("error") == []
        assert exchange.venue.hub.connections == {}


@scenario
async def test_a_socket_on_which_the_venue_was_silent_for_a_minute_is_dropped() -> None:
    user = "0x" + "ab" * 20
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        await trio.sleep(5)
        await socket.subscribe(type="orderUpdates", user=user)
        await socket.wait_for("subscriptionResponse")
        await trio.sleep(30)
        await socket.send({"method": "ping"})
        await socket.wait_closed()
        assert socket.closed_at_s == pytest.approx(35 + 60)
        assert socket.close_code == 1006


@scenario
async def test_a_peer_that_does_not_read_is_reset_and_nobody_waits_for_it() -> None:
    params = VenueParams(outbox_frames_max=50)
    async with open_exchange(params=params) as exchange, open_socket(exchange.network) as lazy:
        async with open_socket(exchange.network) as busy:
            for socket in (lazy, busy):
                await socket.subscribe(type="l2Book", coin=HYPE, fast=True)
                await socket.wait_for("l2Book")
            link = exchange.network.links[0]
            link.to_client.buffer_bytes_max = 300
            link.stall()
            await trio.sleep(60)
            assert len(busy.of("l2Book")) == 1 + int(60 / 0.54)
            assert list(exchange.venue.hub.connections) == [2]
            link.resume()
            await lazy.wait_closed()
            assert lazy.close_code == 1006


@scenario
async def test_stopping_waits_for_no_peer() -> None:
    async with open_exchange() as exchange:
        async with open_socket(exchange.network) as socket:
            await socket.subscribe(type="l2Book", coin=HYPE, fast=True)
            await trio.sleep(1)
            exchange.network.stall_all()
            await trio.sleep(1)
    assert trio.current_time() == pytest.approx(2)


@scenario
async def test_frames_that_make_no_sense_are_quoted_back() -> None:
    senseless = [
        "hello",
        "[]",
        '{"method":"dance"}',
        '{"method":"subscribe","subscription":{"type":"bbo","coin":["BTC","ETH"]}}',
        '{"method":"subscribe","subscription":{"type":"noSuchFeed"}}',
        '{"method":"subscribe","subscription":{"type":"orderUpdates","user":"0x12"}}',
        '{"method":"post","request":{"type":"info","payload":{"type":"allMids"}}}',
    ]
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        for text in senseless:
            await socket.send(text)
        await socket.wait_for("error", len(senseless))
        prefix = "Error parsing JSON into valid websocket request: "
        assert [data for _, data in socket.of("error")] == [prefix + text for text in senseless]


@scenario
async def test_more_users_than_the_venue_tracks_are_refused_over_all_sockets() -> None:
    async with open_exchange() as exchange:
        async with open_socket(exchange.network) as first, open_socket(exchange.network) as second:
            for n in range(10):
                socket = first if n % 2 else second
                await socket.subscribe(type="orderUpdates", user=f"0x{n:040x}")
                await socket.subscribe(type="userFills", user=f"0x{n:040x}")
            await second.wait_for("userFills", 5)
            await first.wait_for("userFills", 5)
            await first.subscribe(type="spotState", user=f"0x{3:040X}")
            await first.subscribe(type="spotState", user=f"0x{99:040x}")
            assert await first.wait_for("error") == "Cannot track more than 10 total users."
            assert len(first.of("spotState")) == 1


@scenario
async def test_requests_over_the_socket_are_answered_as_over_http() -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:

        async def post(number: int, kind: str, payload: object) -> object:
            await socket.send({"method": "post", "id": number, "request": {"type": kind, "payload": payload}})
            answers = [await socket.wait_for("post", len(socket.of("post")) + 1)]
            assert answers[0]["id"] == number
            return answers[0]["response"]

        mids = await post(1, "info", MIDS)
        assert mids["payload"]["type"] == "allMids" and mids["payload"]["data"][HYPE] == "34.95"
        unknown = await post(2, "info", {"type": "l2Book", "coin": "nope"})
        assert unknown == {"type": "info", "payload": {"type": "l2Book", "data": None}}
        done = await post(3, "action", placed(order(True, "34", "1")))
        assert done["type"] == "action"
        assert "resting" in done["payload"]["response"]["data"]["statuses"][0]
        refused = await post(4, "action", {"action": "nonsense"})
        assert refused == {
            "type": "error",
            "payload": "422 Failed to deserialize the JSON body into the target type",
        }


@scenario
async def test_an_old_server_greets_with_words() -> None:
    params = VenueParams(greeting="Websocket connection established.")
    async with open_exchange(params=params) as exchange, open_socket(exchange.network) as socket:
        assert await socket.wait_for("text") == "Websocket connection established."


@scenario
async def test_a_client_that_closes_politely_is_answered_at_once() -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        await socket.subscribe(type="bbo", coin=HYPE)
        await socket.wait_for("bbo")
        await socket.websocket.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert exchange.venue.hub.connections == {}
        assert trio.current_time() == pytest.approx(0)


# Faults


@attrs.define
class _Troubles(Faults):
    is_order_lost: bool = False
    is_reply_lost: bool = False

    async def before_request(self, request):
        if request.action_type == "order" and self.is_order_lost:
            return HttpReply(502, text="Bad Gateway")
        return None

    async def before_reply(self, request, reply):
        return None if request.action_type == "order" and self.is_reply_lost else reply

    def passes_ack(self, topic):
        return topic.type != "bbo"

    def passes_frame(self, topic):
        return topic.type != "trades"


@scenario
async def test_faults_stand_in_for_the_venue_before_and_after_it_works() -> None:
    troubles = _Troubles(is_order_lost=True)
    async with open_exchange(faults=troubles) as exchange:
        http = await exchange.open_http()
        assert (await http.post("/exchange", placed(order(True, "34", "1"))))[0] == 502
        assert exchange.engine.open_orders(exchange.trader) == []
        troubles.is_order_lost, troubles.is_reply_lost = False, True
        with pytest.raises(trio.BrokenResourceError):
            await http.post("/exchange", placed(order(True, "34", "1")))
        assert len(exchange.engine.open_orders(exchange.trader)) == 1
        async with open_socket(exchange.network) as socket:
            await socket.subscribe(type="bbo", coin=HYPE)
            await socket.subscribe(type="trades", coin=HYPE)
            exchange.trade(False, "34", "1")
            await trio.sleep(1)
            acked = [data["subscription"]["type"] for _, data in socket.of("subscriptionResponse")]
            assert acked == ["trades"]
            assert socket.of("bbo") and not socket.of("trades")


@scenario
async def test_a_lost_reply_to_a_post_takes_its_socket_with_it() -> None:
    async with open_exchange(faults=_Troubles(is_reply_lost=True)) as exchange:
        async with open_socket(exchange.network) as socket:
            payload = placed(order(True, "34", "1"))
            await socket.send({"method": "post", "id": 1, "request": {"type": "action", "payload": payload}})
            await socket.wait_closed()
            assert (socket.close_code, socket.of("post")) == (1006, [])
            assert len(exchange.engine.open_orders(exchange.trader)) == 1


@scenario
async def test_a_delayed_path_delays_the_answer_by_its_round_trip() -> None:
    async with open_exchange() as exchange:
        exchange.network.set_delay(to_client_s=0.25, to_server_s=0.05)
        http = await exchange.open_http()
        assert trio.current_time() == pytest.approx(0.3)
        await http.post("/info", MIDS)
        assert trio.current_time() == pytest.approx(0.6)
        assert exchange.network.links[0].to_client.last_delivered_at_s == pytest.approx(0.6)
