"""The one writer of orders: what leaves, in which order, and what is told of what did not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio

from mmtrio.client.errors import OutcomeUnknown, RequestNotSent, RequestRefused
from mmtrio.client.keys import development_account
from mmtrio.client.signer import NonceSource, Signer
from mmtrio.core.events import (
    Batch,
    BatchDone,
    BatchKind,
    BatchNotSent,
    BatchUnknown,
    CancelItem,
    Event,
    OutcomeKind,
    Refusal,
)
from mmtrio.core.types import Cloid, Coin
from mmtrio.live.clocks import Clock
from mmtrio.live.gateway import Gateway
from mmtrio.live.venue_time import VenueTime
from tests.support.builders import market, place_item


@attrs.define
class FakeRest:
    """Answers every action by `answer`."""

    answer: Callable[[], Awaitable[object]]
    bodies: list[bytes] = attrs.field(factory=list)

    async def exchange(self, body: bytes) -> object:
        self.bodies.append(body)
        await trio.lowlevel.checkpoint()
        return await self.answer()


class FakeTranslator:
    def batch_result(self, batch: Batch, reply: object) -> tuple:
        return ()


@attrs.define
class Bench:
    gateway: Gateway
    told: list[Event]
    rest: FakeRest
    clock: Clock


async def accept() -> object:
    return {}


def bench(answer: Callable[[], Awaitable[object]] = accept) -> Bench:
    told: list[Event] = []
    rest = FakeRest(answer)
    clock = Clock(epoch_ms=1_790_000_000_000)
    signer = Signer(development_account(0).key, is_mainnet=False)
    markets = {Coin("@107"): market()}
    gateway = Gateway(
        rest, signer, NonceSource(), VenueTime(), clock, markets, FakeTranslator(), told.append
    )
    return Bench(gateway, told, rest, clock)


def batch(number: int, kind: BatchKind = BatchKind.PLACE) -> Batch:
    cloid = Cloid(f"0x{number:032x}")
    if kind is BatchKind.CANCEL:
        return Batch(number, kind, (CancelItem(cloid, Coin("@107")),), None)
    return Batch(number, kind, (place_item(cloid=cloid),), 15.0)


async def test_a_batch_that_waits_when_the_gateway_is_cancelled_never_left(autojump_clock):
    world = bench()
    world.gateway.submit_nowait(batch(1), world.clock.now())
    assert world.gateway.take_abandoned() == [BatchNotSent(1, "stopping")]
    assert world.gateway.take_abandoned() == []
    assert world.rest.bodies == []


async def test_a_batch_on_its_way_when_the_gateway_is_cancelled_has_an_unknown_outcome(autojump_clock):
    world = bench(trio.sleep_forever)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.gateway.run)
        world.gateway.submit_nowait(batch(1), world.clock.now())
        await trio.sleep(1)
        assert world.gateway.take_abandoned() == []  # Somebody still waits for the answer.
        nursery.cancel_scope.cancel()
    (abandoned,) = world.gateway.take_abandoned()
    assert isinstance(abandoned, BatchUnknown)
    assert abandoned.batch_id == 1
    assert world.gateway.in_flight_count == 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RequestNotSent("no connection"), BatchNotSent(1, "no connection")),
        (OutcomeUnknown("timeout"), BatchUnknown(1, "timeout")),
    ],
)
async def test_failures_become_the_events_that_say_what_is_certain(autojump_clock, error, told):
    async def fail():
        raise error

    world = bench(fail)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.gateway.run)
        world.gateway.submit_nowait(batch(1), world.clock.now())
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert world.told == [told]


async def test_a_429_refuses_every_item_and_is_known_as_such(autojump_clock):
    async def refuse():
        raise RequestRefused(429, "")

    world = bench(refuse)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.gateway.run)
        world.gateway.submit_nowait(batch(1), world.clock.now())
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    (done,) = world.told
    assert isinstance(done, BatchDone)
    assert [(each.kind, each.refusal) for each in done.outcomes] == [
        (OutcomeKind.REFUSED, Refusal.TOO_MANY_REQUESTS)
    ]


async def test_a_place_that_waited_too_long_is_not_sent_and_a_cancel_always_is(autojump_clock):
    world = bench()
    decided_at = world.clock.now()
    await trio.sleep(2.5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.gateway.run)
        world.gateway.submit_nowait(batch(1), decided_at)
        world.gateway.submit_nowait(batch(2, BatchKind.CANCEL), decided_at)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert BatchNotSent(1, "it waited 2.5 s to be sent") in world.told
    assert len(world.rest.bodies) == 1


async def test_once_closed_only_cancels_leave(autojump_clock):
    world = bench()
    world.gateway.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.gateway.run)
        world.gateway.submit_nowait(batch(1), world.clock.now())
        world.gateway.submit_nowait(batch(2, BatchKind.CANCEL), world.clock.now())
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert BatchNotSent(1, "stopping") in world.told
    assert len(world.rest.bodies) == 1
