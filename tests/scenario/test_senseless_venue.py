"""A venue that sends what makes no sense: it is counted and told, and neither the bot nor its books suffer."""

from __future__ import annotations

import json

import pytest
import trio

from mmtrio.client.session import SessionParams
from mmtrio.core.events import Fill, MismatchKind, ReadFailed, SessionEnded, SessionName, Undecodable
from mmtrio.core.types import Side
from mmtrio.exchange.faults import HttpReply
from mmtrio.exchange.local_venue import VenueParams
from mmtrio.live.errors import VenueUnreachable
from tests.support.determinism import scenario
from tests.support.worlds import World, assert_agrees, eventually, maker_config, open_world

SESSIONS = pytest.mark.parametrize("session", ["account", "market"])
TOPIC_OF = {"account": "orderUpdates", "market": "bbo"}


async def resting(world: World, count: int = 20) -> None:
    await eventually(lambda: len(world.orders()) == count)


def push(world: World, session: str, frame: str) -> None:
    """Let the venue send this frame to the bot, on one of its sessions."""
    (connection,) = [
        each
        for each in world.venue.hub.connections.values()
        if any(topic.type == TOPIC_OF[session] for topic in each.topics)
    ]
    connection.send(frame)


def frame(channel: str, data: object) -> str:
    return json.dumps({"channel": channel, "data": data})


ORDER = {"coin": "@107", "side": "B", "limitPx": "34.0", "sz": "1.0", "oid": 5, "timestamp": 1, "origSz": "1.0"}
FILL = {
    "coin": "@107", "px": "34.0", "sz": "1.0", "side": "B", "time": 1, "startPosition": "0.0", "dir": "Buy",
    "closedPnl": "0.0", "hash": "0x0", "oid": 5, "crossed": False, "fee": "0.0", "tid": 9, "feeToken": "HYPE",
}  # fmt: skip
LEVEL = {"px": "34.0", "sz": "1.0", "n": 1}
BOOK = {"coin": "@107", "time": 1_790_000_000_000, "levels": [[LEVEL], []]}
TRADE = {"coin": "@107", "side": "A", "px": "34.0", "sz": "1.0", "time": 1, "tid": 1}
BALANCE = {"coin": "USDC", "token": 0, "total": "lots", "hold": "0.0"}

NONSENSE = {
    "empty": "",
    "no json": "what a lovely day",
    "json, no object": "[1, 2, 3]",
    "no channel": '{"data": {}}',
    "unknown channel": frame("weather", {"sun": True}),
    "channel of another type": '{"channel": 7, "data": {}}',
    "order updates without an order": frame("orderUpdates", [{"status": "open", "statusTimestamp": 1}]),
    "order updates that are no list": frame("orderUpdates", {"order": ORDER}),
    "order update with a price that is no number": frame(
        "orderUpdates", [{"order": ORDER | {"limitPx": "NaN"}, "status": "open", "statusTimestamp": 1}]
    ),
    "order update with infinite size": frame(
        "orderUpdates", [{"order": ORDER | {"sz": "1e400"}, "status": "open", "statusTimestamp": 1}]
    ),
    "fills without fills": frame("userFills", {"user": "0x0"}),
    "fill of nothing": frame("userFills", {"user": "{account}", "fills": [FILL | {"sz": "0.0"}]}),
    "fill at a price that is no number": frame("userFills", {"user": "{account}", "fills": [FILL | {"px": "NaN"}]}),
    "fill in a market nobody knows": frame("userFills", {"user": "{account}", "fills": [FILL | {"coin": "@9999"}]}),
    "fills of somebody else": frame("userFills", {"user": "0x" + "12" * 20, "fills": [FILL]}),
    "balances that are no numbers": frame("spotState", {"user": "{account}", "spotState": {"balances": [BALANCE]}}),
    "book with prices that are no numbers": frame("l2Book", BOOK | {"levels": [[LEVEL | {"px": "NaN"}], []]}),
    "book with one side": frame("l2Book", BOOK | {"levels": [[]]}),
    "book upside down": frame("l2Book", BOOK | {"levels": [[LEVEL | {"px": "90.0"}], [LEVEL | {"px": "10.0"}]]}),
    "trades with a number too long": frame("trades", [TRADE | {"px": "9" * 5_000}]),
    "deep nesting": '{"channel":"bbo","data":' + "[" * 5_000 + "]" * 5_000 + "}",
    "an error out of the blue": frame("error", "the end is near"),
    "a surrogate": '{"channel":"\\ud800","data":1}',
}  # fmt: skip


@SESSIONS
@scenario
async def test_frames_that_make_no_sense_end_no_session_and_disturb_no_order(session):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            before = {order["cloid"] for order in world.orders()}
            for text in NONSENSE.values():
                push(world, session, text.replace("{account}", world.account))
                await trio.sleep(0.1)
            await trio.sleep(1)
            assert not world.told(SessionEnded)
            assert {order["cloid"] for order in world.orders()} == before
            assert maker.desk.inventory.fills_booked == 0
            assert len(world.told(Undecodable)) >= 18
            assert maker.desk.nonsense.counts.total() == len(world.told(Undecodable))
            world.take(Side.BUY, "3")
            await eventually(lambda: len(world.told(Fill)) == 2)
            await trio.sleep(3)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)


@scenario
async def test_a_status_nobody_has_heard_of_makes_the_bot_ask_and_believe_the_answer():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            (row, *_) = world.orders(Side.BUY)
            order = ORDER | {key: row[key] for key in ("coin", "side", "limitPx", "sz", "oid", "cloid")}
            order |= {"origSz": row["sz"], "timestamp": row["timestamp"]}
            update = {"order": order, "status": "frozenByAliens", "statusTimestamp": 9}
            push(world, "account", frame("orderUpdates", [update]))
            await eventually(lambda: maker.desk.orders.unknown_count == 1)
            await eventually(lambda: maker.desk.orders.unknown_count == 0)
            assert [each["cloid"] for each in world.orders(Side.BUY)][0] == row["cloid"]
        assert_agrees(world, maker)


@scenario
async def test_a_fill_that_never_was_is_disproved_by_the_balances_and_undone():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            push(world, "account", frame("userFills", {"user": world.account, "fills": [FILL]}))
            await eventually(lambda: len(maker.desk.mismatches) == 2)
            assert {note.kind for note in maker.desk.mismatches} == {MismatchKind.BALANCE_DRIFT}
            await trio.sleep(5)
            assert len(world.orders()) == 20
        assert_agrees(world, maker, mismatches=2)


@SESSIONS
@scenario
async def test_bytes_that_are_no_text_end_the_session_and_a_new_one_follows(session):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            world.links(session)[0].to_client.put_nowait(b"\x81\x02\xff\xfe")
            await eventually(lambda: world.told(SessionEnded))
            ((ended, ended_s),) = world.told(SessionEnded)
            assert ended.session is SessionName(session)
            assert ended_s == 10.0
            assert "protocol" in ended.cause.lower() or "1007" in ended.cause
            await trio.sleep(5)
            world.take(Side.BUY, "2")
            await trio.sleep(5)
        assert_agrees(world, maker)
        assert maker.report.fills == 1
        assert maker.report.reconnects == 1


@scenario
async def test_a_frame_of_twenty_megabytes_ends_the_session_and_a_new_one_follows():
    async with open_world(venue_params=VenueParams(outbox_bytes_max=2**26)) as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            push(world, "account", "x" * 20_000_000)
            await eventually(lambda: world.told(SessionEnded))
            ((ended, ended_s),) = world.told(SessionEnded)
            assert ended.session is SessionName.ACCOUNT
            assert "1009" in ended.cause
            assert 10.0 <= ended_s <= 10.1
            await trio.sleep(5)
        assert_agrees(world, maker)


@scenario
async def test_a_snapshot_larger_than_we_take_is_tried_again_ever_more_slowly_and_told():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            for _ in range(5):
                world.take(Side.BUY, "0.5")
                await trio.sleep(0.5)
            account = maker.feeds[0]
            account.params = SessionParams(message_bytes_max=1_000)
            world.links("account")[0].cut()
            await trio.sleep(20)
            causes = [event.cause for event, _ in world.told(SessionEnded)][1:]
            assert 3 <= len(causes) <= 24
            assert all("1009" in cause for cause in causes)
            account.params = SessionParams()
            await eventually(lambda: maker.desk.has_caught_up and len(world.orders()) == 20)
        assert_agrees(world, maker)


INFO_TYPES = ["userFillsByTime", "openOrders", "spotClearinghouseState", "userRateLimit"]
SENSELESS = {
    "html": HttpReply(200, text="<html>Just a moment...</html>"),
    "null": HttpReply(200, None),
    "a number": HttpReply(200, 17),
    "wrong rows": HttpReply(200, [{"a": 1}]),
    "wrong object": HttpReply(200, {"balances": 3, "nRequestsUsed": "many"}),
    "server error": HttpReply(500, text="null"),
}


@scenario
async def test_readings_that_make_no_sense_are_no_readings_and_change_nothing():
    async with open_world() as world:
        answers = {info_type: list(SENSELESS.values()) for info_type in INFO_TYPES}

        async def answer(request, reply):
            info_type = request.body.get("type") if isinstance(request.body, dict) else None
            return answers[info_type].pop() if answers.get(info_type) else reply

        async with world.maker(maker_config(interval_s=1.0, reconcile_every=1)) as maker:
            await resting(world)
            world.faults.on_reply = answer
            await eventually(lambda: not any(answers.values()), within_s=300)  # The IP weight allows no more.
            world.take(Side.BUY, "2")
            await trio.sleep(5)
            assert len(world.told(ReadFailed)) == len(SENSELESS) * len(INFO_TYPES)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)


@pytest.mark.parametrize("info_type", ["spotMeta", "meta", "perpDexs"])
@pytest.mark.parametrize("kind", ["html", "a number"])
@scenario
async def test_metadata_that_makes_no_sense_ends_the_start_with_one_sentence(info_type, kind):
    async with open_world() as world:

        async def answer(request, reply):
            is_meant = isinstance(request.body, dict) and request.body.get("type") == info_type
            return SENSELESS[kind] if is_meant else reply

        world.faults.on_reply = answer
        with pytest.raises(VenueUnreachable):
            async with world.maker(maker_config(startup_timeout_s=10.0)):
                pass
        assert world.engine.requests_used(world.account) == 0


@scenario
async def test_a_stamp_from_the_future_gives_no_order_a_longer_life():
    async with open_world() as world:
        lives_ms = []

        async def note(request):
            if request.action_type in ("order", "batchModify"):
                lives_ms.append(request.body["expiresAfter"] - world.venue.now_ms())
                lives_ms.append(request.body["nonce"] - world.venue.now_ms() + 15_000)

        async with world.maker() as maker:
            await resting(world)
            world.faults.on_request = note
            for ahead_ms in (60_000, 3_600_000, 10**12):
                push(world, "market", frame("l2Book", BOOK | {"time": world.venue.now_ms() + ahead_ms}))
                await trio.sleep(0.2)
                world.take(Side.BUY, "2")
                await trio.sleep(2)
            assert len(lives_ms) >= 6
            assert all(14_000 <= life_ms <= 15_100 for life_ms in lives_ms), lives_ms
        assert_agrees(world, maker)
