"""When blocks run: by the clock, more often where a participant needs it, and never for what has not arrived."""

from __future__ import annotations

import attrs
import pytest
import trio

from mmtrio.exchange.engine import Engine
from mmtrio.exchange.flow import Flow
from mmtrio.exchange.local_venue import Stepper
from mmtrio.exchange.recorded import RecordedMarket
from mmtrio.exchange.world import default_world
from tests.support.determinism import scenario
from tests.support.exchanges import EPOCH_MS, open_exchange, open_socket, order, placed


@attrs.define
class Impatient:
    """Wants blocks at given times (ms after the start), and sells an HYPE in each."""

    wanted_ms: list[int]
    seller: str
    acted_ms: list[int] = attrs.field(factory=list)

    def stop_ms(self, now_ms: int) -> int:
        last_ms = self.acted_ms[-1] if self.acted_ms else -1
        ahead = (EPOCH_MS + at_ms for at_ms in self.wanted_ms if at_ms > last_ms)
        return min((at_ms for at_ms in ahead if at_ms < now_ms), default=now_ms)

    def act(self, engine: Engine, now_ms: int) -> None:
        self.acted_ms.append(now_ms - EPOCH_MS)
        if now_ms - EPOCH_MS in self.wanted_ms:
            action = {"type": "order", "orders": [order(False, "34", "1", "Ioc")], "grouping": "na"}
            engine.submit_direct(self.seller, action, now_ms)


@scenario
async def test_a_block_runs_for_each_moment_somebody_needs_and_no_order_goes_back_in_time() -> None:
    impatient = Impatient([80, 95, 120, 300], default_world().house[0].address)
    async with open_exchange([impatient]) as exchange, open_socket(exchange.network) as socket:
        await socket.subscribe(type="trades", coin="@107")
        http = await exchange.open_http()
        await trio.sleep(0.1)  # The order comes at 100 ms: after the sales of 80 and 95, before that of 120.
        status, _ = await http.post("/exchange", placed(order(True, "34", "3")))
        assert status == 200 and trio.current_time() == pytest.approx(0.14)
        await trio.sleep(0.3)
        assert impatient.acted_ms[:6] == [0, 70, 80, 95, 120, 140]
        traded = [(at_s, row["time"] - EPOCH_MS) for at_s, data in socket.of("trades") for row in data]
        assert traded == [(pytest.approx(0.14), 120), (pytest.approx(0.35), 300)]
        (resting,) = exchange.engine.open_orders(exchange.trader)
        assert (resting["timestamp"] - EPOCH_MS, resting["sz"]) == (120, "1.0")


@scenario
async def test_the_times_of_a_feed_never_go_back() -> None:
    impatient = Impatient([75, 120], default_world().house[0].address)
    async with open_exchange([impatient]) as exchange, open_socket(exchange.network) as socket:
        http = await exchange.open_http()
        await http.post("/exchange", placed(order(True, "34", "3")))
        await trio.sleep(0.03)
        await socket.subscribe(type="bbo", coin="@107")
        await socket.subscribe(type="l2Book", coin="@107", fast=True)
        await trio.sleep(2)
        for channel in ("bbo", "l2Book"):
            times = [data["time"] - EPOCH_MS for _, data in socket.of(channel)]
            assert times == sorted(times) and times[0] == 70
        assert [data["time"] - EPOCH_MS for _, data in socket.of("bbo")] == [70, 75, 120]


def test_recorded_markets_step_and_the_crowd_does_not() -> None:
    assert issubclass(RecordedMarket, Stepper)
    assert not isinstance(Flow(default_world(), seed=1), Stepper)


@scenario
async def test_the_venues_time_begins_when_the_venue_does() -> None:
    await trio.sleep(1000)
    async with open_exchange() as exchange:
        await trio.sleep(0.1)
        assert (exchange.venue.now_ms(), exchange.engine.time_ms) == (EPOCH_MS + 100, EPOCH_MS + 70)


@scenario
async def test_blocks_missed_while_the_machine_was_busy_are_not_made_up_for() -> None:
    async with open_exchange() as exchange:
        trio.lowlevel.current_clock().jump(10)
        await trio.sleep(0.75)
        assert exchange.engine.height == 1 + 1 + 10, "one when it could again, and on from there"
        assert exchange.engine.time_ms == EPOCH_MS + 10_700
