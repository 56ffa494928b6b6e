"""Outages that last: what happened meanwhile is read up whole; being away costs no memory, few requests and lines."""

from __future__ import annotations

import logging
from random import Random

import pytest
import trio

from mmtrio.core.events import (
    AccountRead,
    BatchUnknown,
    Decision,
    Fill,
    FillSource,
    FillsRead,
    OrderStatusRead,
    ReadAccount,
    ReadFailed,
    ReadPurpose,
    SessionEnded,
    SessionLive,
    SessionName,
    SubmitBatch,
)
from mmtrio.core.types import Side
from mmtrio.exchange.faults import HttpReply
from mmtrio.exchange.feeds import FeedParams
from mmtrio.exchange.local_venue import VenueParams
from mmtrio.exchange.params import EngineParams
from tests.support.determinism import scenario
from tests.support.worlds import World, assert_agrees, eventually, maker_config, open_world


def slow_world():
    """A venue with a block every other second and few frames, so that minutes take no longer to test than seconds."""
    feeds = FeedParams(fast_book_interval_s=6.0, all_mids_interval_s=60.0)
    return open_world(engine_params=EngineParams(block_ms=2_000), venue_params=VenueParams(feeds=feeds))


async def resting(world: World, count: int = 20) -> None:
    await eventually(lambda: len(world.orders()) == count)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What somebody with the default log level reads."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]


def live_count(world: World) -> int:
    """How often the account session has been live."""
    return sum(event.session is SessionName.ACCOUNT for event, _ in world.told(SessionLive))


def refuse_rest(world: World, is_refused) -> None:
    """Let every request that is not a WebSocket fail to connect, while `is_refused()`."""
    plain = world.network.connect

    async def connect(kind):
        if kind.value in ("rest", "cleanup") and is_refused():
            raise ConnectionRefusedError("connection refused")
        return await plain(kind)

    world.connect = connect


@scenario
async def test_fills_of_a_long_gap_are_read_up_page_by_page_although_the_snapshot_shows_only_the_last(monkeypatch):
    monkeypatch.setattr("mmtrio.exchange.info.FILLS_PAGE_MAX", 4)
    monkeypatch.setattr("mmtrio.client.account.FILLS_PER_PAGE", 4)
    async with slow_world() as world:
        is_dead = [False]
        refuse_rest(world, lambda: is_dead[0])
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            is_dead[0] = True
            world.network.refuse()
            world.network.cut_all()
            rng = Random(3)
            for turn in range(18):
                await trio.sleep(20)
                world.take(Side.BUY if turn % 2 else Side.SELL, rng.choice(("0.5", "1", "1.5")))
            await trio.sleep(5)
            missed = len(world.engine.fills(world.account))
            assert missed >= 18
            world.network.refuse(False)
            # The stream is back before REST is, and brings its newest fills.
            await eventually(lambda: live_count(world) == 2)
            await trio.sleep(1)
            is_dead[0] = False
            await eventually(lambda: maker.desk.has_caught_up)
            snapshot = [event for event, _ in world.told(Fill) if event.source is FillSource.SNAPSHOT]
            pages = [len(read.fills) for read, _ in world.told(FillsRead) if read.purpose is ReadPurpose.CATCH_UP]
            assert len(snapshot) == 4
            assert max(pages) == 4
            await trio.sleep(30)
        assert_agrees(world, maker)
        assert maker.report.fills == missed


@scenario
async def test_a_reading_that_waits_to_be_repeated_gives_way_to_that_of_a_new_session():
    async with open_world() as world:
        is_dead = [False]
        refuse_rest(world, lambda: is_dead[0])
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            is_dead[0] = True
            for link in (*world.links("rest"), *world.links("account")):
                link.cut()
            # Five readings fail, each after twice the pause of the last: the sixth would come in 8 s.
            await eventually(lambda: len(world.told(ReadFailed)) == 5)
            is_dead[0] = False
            world.links("account")[-1].cut()
            await eventually(lambda: len(world.told(SessionEnded)) == 2)
            await eventually(lambda: live_count(world) == 3)
            live_s = world.told(SessionLive)[-1][1]
            await eventually(lambda: maker.desk.has_caught_up)
            assert trio.current_time() - live_s < 0.1
            await trio.sleep(5)
            caught_up = [e for e, _ in world.told(AccountRead) if e.purpose is ReadPurpose.CATCH_UP]
            assert len(caught_up) == 2  # And once more when REST has followed.
        assert_agrees(world, maker)


@scenario
async def test_sessions_that_come_and_go_while_rest_is_dead_pile_up_no_readings(caplog):
    caplog.set_level(logging.INFO)
    async with slow_world() as world:
        is_dead = [False]
        refuse_rest(world, lambda: is_dead[0])
        async with world.maker() as maker:
            await resting(world)
            is_dead[0] = True
            for link in world.links("rest"):
                link.cut()
            for _ in range(20):
                for link in world.links("account"):
                    link.cut()
                await trio.sleep(6)
            is_dead[0] = False
            since_s = trio.current_time()
            await eventually(lambda: maker.desk.has_caught_up)
            await trio.sleep(30)
            done = [at_s for e, at_s in world.told(AccountRead) if at_s > since_s]
            assert len(done) <= 3, done
            assert maker.desk.ip.used(maker.hub.clock.now()) < 400
            assert len(lines(caplog)) < 100
        assert_agrees(world, maker)


@scenario
async def test_four_minutes_of_refusal_cost_some_lines_a_minute_and_leave_nothing_behind(caplog):
    caplog.set_level(logging.INFO)
    async with slow_world() as world:
        async with world.maker() as maker:
            await resting(world)
            told_before = len(lines(caplog))
            world.network.refuse()
            world.network.cut_all()
            since_s = trio.current_time()
            await trio.sleep(240)
            told = lines(caplog)[told_before:]
            assert len(told) <= 36, "\n".join(told)
            assert sum("connection refused" in line for line in told) >= 8
            submitted = [
                command.batch
                for decision, at_s in world.told(Decision)
                if at_s > since_s
                for command in decision.commands
                if isinstance(command, SubmitBatch)
            ]
            assert len(submitted) < 30
            assert len(maker.hub._batches) == len(maker.desk._batches) == 0
            assert maker.desk.address.used <= world.engine.requests_used(world.account) + 20
            world.network.refuse(False)
            await eventually(lambda: maker.desk.has_caught_up and len(world.orders()) == 20)
        assert_agrees(world, maker)


@scenario
async def test_a_venue_that_answers_nothing_for_minutes_is_asked_with_few_requests_and_forgets_no_order(caplog):
    caplog.set_level(logging.INFO)
    async with slow_world() as world:
        async with world.maker() as maker:
            await resting(world)
            told_before = len(lines(caplog))
            asked = []

            async def hang(request):
                asked.append(request)
                await trio.sleep_forever()

            world.faults.on_request = hang
            world.take(Side.BUY, "3")
            await eventually(lambda: world.told(BatchUnknown))
            await trio.sleep(180)
            told = lines(caplog)[told_before:]
            assert len(told) <= 80, "\n".join(told)
            unknown = maker.desk.orders.unknown_count
            assert unknown >= 1
            assert len(maker.reading._asked) <= unknown
            world.faults.on_request = None
            await eventually(lambda: maker.desk.orders.unknown_count == 0, within_s=120)
            assert world.told(OrderStatusRead)
            await eventually(lambda: len(world.orders()) == 20, within_s=120)
            await trio.sleep(5)
        assert_agrees(world, maker)


@scenario
async def test_a_venue_that_answers_429_to_everything_for_minutes_is_left_in_peace_and_found_again(caplog):
    caplog.set_level(logging.INFO)
    async with slow_world() as world:
        async with world.maker() as maker:
            await resting(world)
            told_before = len(lines(caplog))
            asked_s = []

            async def refuse(request):
                asked_s.append(trio.current_time())
                return HttpReply(429)

            world.faults.on_request = refuse
            for _ in range(6):
                world.take(Side.BUY, "1")
                await trio.sleep(30)
            told = lines(caplog)[told_before:]
            assert len(told) <= 50, "\n".join(told)
            assert len(asked_s) <= 40
            world.faults.on_request = None
            await eventually(lambda: len(world.orders()) == 20, within_s=120)
            await trio.sleep(5)
        assert_agrees(world, maker)


@scenario
async def test_a_session_that_flaps_all_day_long_keeps_the_list_of_stops_short(monkeypatch):
    monkeypatch.setattr("mmtrio.live.hub.STOPS_MAX", 3)
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            for _ in range(5):
                for link in world.links("account"):
                    link.cut()
                await trio.sleep(20)
        assert_agrees(world, maker)
        assert len(maker.report.quote_stops) == 3
        assert maker.report.reconnects >= 5


def asked_for(world: World) -> list[ReadAccount]:
    return [
        command
        for decision, _ in world.told(Decision)
        for command in decision.commands
        if isinstance(command, ReadAccount)
    ]


@scenario
async def test_after_an_ordinary_minute_the_account_was_read_twice():
    async with open_world() as world:
        async with world.maker(maker_config(interval_s=3.0, reconcile_every=20)) as maker:
            await trio.sleep_until(65)
            assert [request.purpose for request in asked_for(world)] == [ReadPurpose.START, ReadPurpose.RECONCILE]
        assert_agrees(world, maker)


@scenario
async def test_a_reading_that_the_ip_weight_does_not_admit_waits_for_it_and_says_so_once(caplog):
    caplog.set_level(logging.INFO)
    async with slow_world() as world:
        async with world.maker(maker_config(reconcile_every=2)) as maker:
            await resting(world)
            await trio.sleep_until(2.5)
            spent_s = trio.current_time()
            maker.desk.ip.charge(maker.desk.ip.available(maker.hub.clock.now()), maker.hub.clock.now())
            await trio.sleep_until(70)
            told = [line for line in lines(caplog) if "of the IP weight is left" in line]
            assert len(told) == 1
            assert told[0].startswith("reading the account waits: ")
            done_s = [at_s for event, at_s in world.told(AccountRead) if event.purpose is ReadPurpose.RECONCILE]
            # What was spent at the start is free again after a minute, and that is enough.
            assert 60.0 <= done_s[0] <= spent_s + 60.0
            assert not world.told(ReadFailed)
        assert_agrees(world, maker)
