"""What one address of the network may have and send, over all its sockets (protocol 2, 4, 11.1)."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

import pytest
import trio

from mmtrio.exchange.faults import Faults
from mmtrio.exchange.local_venue import VenueParams
from tests.support.determinism import scenario
from tests.support.exchanges import (
    EPOCH_MS,
    HYPE,
    Exchange,
    SocketClient,
    open_exchange,
    open_socket,
    order,
    placed,
)

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ACCOUNT = "0x" + "ab" * 20


async def handshake(exchange: Exchange) -> bytes:
    """The first bytes that a client hears who wants a WebSocket; the client is then gone."""
    stream = await exchange.network.connect()
    await stream.send_all(UPGRADE)
    answer = await stream.receive_some()
    stream.abort()
    await trio.sleep(0.001)
    return answer


@scenario
async def test_an_address_has_ten_sockets() -> None:
    async with open_exchange() as exchange, AsyncExitStack() as stack:
        for _ in range(9):
            await stack.enter_async_context(open_socket(exchange.network))
        async with open_socket(exchange.network):
            refused = await handshake(exchange)
            assert refused.startswith(b"HTTP/1.1 429") and b"more than 10 connections" in refused
        await trio.sleep(0.001)
        assert (await handshake(exchange)).startswith(b"HTTP/1.1 101"), "one has left"


@scenario
async def test_an_address_opens_thirty_sockets_a_minute_and_refusals_do_not_count() -> None:
    async with open_exchange() as exchange:
        for _ in range(30):
            assert (await handshake(exchange)).startswith(b"HTTP/1.1 101")
        await trio.sleep(30)
        for _ in range(5):
            refused = await handshake(exchange)
            assert refused.startswith(b"HTTP/1.1 429") and b"30 connections per minute" in refused
        await trio.sleep(30)
        assert (await handshake(exchange)).startswith(b"HTTP/1.1 101")


@scenario
async def test_an_address_sends_two_thousand_messages_a_minute() -> None:
    async with open_exchange() as exchange:
        async with open_socket(exchange.network) as one, open_socket(exchange.network) as other:
            for n in range(2000):
                await (one if n % 2 else other).send({"method": "ping"})
            await one.wait_for("pong", 1000)
            await other.wait_for("pong", 1000)
            await one.send({"method": "ping"})
            assert "2000 messages per minute" in await one.wait_for("error")
            await trio.sleep(59.9)
            await one.send({"method": "ping"})
            await one.wait_for("error", 2)
            await trio.sleep(0.2)
            await one.send({"method": "ping"})
            await one.wait_for("pong", 1001)


@scenario
async def test_a_hundred_posts_are_in_flight_over_all_sockets_and_the_next_is_refused_by_its_id() -> None:
    async with open_exchange() as exchange:
        async with open_socket(exchange.network) as one, open_socket(exchange.network) as other:
            for n in range(100):
                body = placed(order(True, "34", "1"), nonce=EPOCH_MS + n)
                await post(one if n < 60 else other, n, body)
            await trio.sleep(0.001)
            await post(one, 7777, placed(order(True, "34", "1"), nonce=EPOCH_MS + 7777))
            assert await one.wait_for("error") == "too many pending post requests id=7777"
            await one.wait_for("post", 60)
            await other.wait_for("post", 40)
            assert len(exchange.engine.open_orders(exchange.trader)) == 100
            await post(one, 8888, {"type": "nothing of ours"})
            assert (await one.wait_for("post", 61))["id"] == 8888


@scenario
async def test_posts_whose_socket_died_are_not_in_flight_any_more() -> None:
    class Stuck(Faults):
        async def before_request(self, request):
            await trio.sleep_forever()

    async with open_exchange(params=VenueParams(posts_in_flight_max=2), faults=Stuck()) as exchange:
        async with open_socket(exchange.network) as dying:
            await post(dying, 1, {})
            await post(dying, 2, {})
            await post(dying, 3, {})
            assert await dying.wait_for("error") == "too many pending post requests id=3"
        async with open_socket(exchange.network) as next_one:
            await post(next_one, 4, {})
            await trio.sleep(1)
            assert next_one.of("error") == []


async def post(socket: SocketClient, number: int, body: object) -> None:
    await socket.send({"method": "post", "id": number, "request": {"type": "action", "payload": body}})


@scenario
async def test_an_address_has_a_thousand_subscriptions() -> None:
    async with open_exchange(params=VenueParams(messages_per_minute_max=None)) as exchange:
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(open_socket(exchange.network)) for _ in range(7)]
            coins = [market.coin for market in exchange.world.markets]
            coins += [perp.name for perp in exchange.world.perps]
            books = [(figures, None) for figures in (None, 2, 3, 4, 5)] + [(5, 2), (5, 5)]
            wanted = [{"type": kind, "coin": coin} for kind in ("bbo", "trades") for coin in coins]
            wanted += [
                {"type": "l2Book", "coin": coin, "nSigFigs": figures, "mantissa": mantissa, "fast": is_fast}
                for coin in coins
                for figures, mantissa in books
                for is_fast in (False, True)
            ]
            pairs = [(socket, each) for socket in sockets for each in wanted]
            assert len(pairs) > 1001
            for socket, subscription in pairs[:1001]:
                await socket.subscribe(**subscription)
            last = pairs[1000][0]
            refusal = "Cannot have more than 1000 total subscriptions."
            assert await last.wait_for("error") == refusal
            await trio.sleep(6)
            acks = sum(len(socket.of("subscriptionResponse")) for socket in sockets)
            assert (acks, exchange.venue.hub.subscription_count("memory")) == (1000, 1000)
            assert exchange.engine.height == 1 + int(6 / 0.07)
            await last.send({"method": "unsubscribe", "subscription": pairs[999][1]})
            await last.subscribe(**pairs[1000][1])
            await trio.sleep(0.001)
            assert len(last.of("error")) == 1 and exchange.venue.hub.subscription_count("memory") == 1000
        await trio.sleep(0.001)
        assert exchange.venue.hub.topics == ()


SUBSCRIPTIONS = [
    {"type": "l2Book", "coin": HYPE},
    {"type": "l2Book", "coin": HYPE, "nSigFigs": 5, "mantissa": 2, "fast": True, "unknown": 1},
    {"type": "bbo", "coin": HYPE},
    {"type": "trades", "coin": HYPE},
    {"type": "activeAssetCtx", "coin": HYPE},
    {"type": "allMids"},
    {"type": "allMids", "dex": ""},
    {"type": "orderUpdates", "user": ACCOUNT.upper().replace("X", "x")},
    {"type": "userEvents", "user": ACCOUNT},
    {"type": "userFills", "user": ACCOUNT},
    {"type": "userFills", "user": ACCOUNT, "aggregateByTime": True},
    {"type": "spotState", "user": ACCOUNT},
    {"type": "openOrders", "user": ACCOUNT},
    {"type": "clearinghouseState", "user": ACCOUNT, "dex": ""},
    {"type": "notification", "user": ACCOUNT},
    {"type": "webData2", "user": ACCOUNT},
]


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=lambda s: json.dumps(s)[:60])
@scenario
async def test_a_duplicate_is_answered_with_the_subscription_as_it_was_echoed(
    subscription: dict[str, object],
) -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        await socket.subscribe(**subscription)
        await socket.subscribe(**subscription)
        echo = (await socket.wait_for("subscriptionResponse"))["subscription"]
        text = await socket.wait_for("error")
        prefix, quoted = text.split(": ", 1)
        assert prefix == "Already subscribed"
        assert quoted == json.dumps(echo, separators=(",", ":")), "to the letter, in the order of the echo"
        await socket.send({"method": "unsubscribe", "subscription": echo})
        await socket.send({"method": "unsubscribe", "subscription": echo})
        assert await socket.wait_for("error", 2) == f"Already unsubscribed: {quoted}"
        assert [data["method"] for _, data in socket.of("subscriptionResponse")] == [
            "subscribe",
            "unsubscribe",
        ]
        assert socket.closed_at_s is None
