"""Reading an account: what is asked, how pages join, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from mmtrio.client.account import FILLS_PER_PAGE, AccountReader
from mmtrio.client.errors import OutcomeUnknown, RequestRefused
from mmtrio.client.rest import open_rest
from mmtrio.core.events import ReadPurpose
from mmtrio.core.types import Address, Cloid
from mmtrio.wire.translation import Translator
from tests.support.builders import instant
from tests.support.determinism import scenario
from tests.support.scripted_venue import VENUE, Asked, http, http_function, open_venue, reply
from tests.support.wire_samples import CLOID, USER, catalog, fill_row, order_row, update_row


def reader_of(rest, weights: list[int] | None = None, dexs=("",)) -> AccountReader:
    return AccountReader(
        rest,
        Address(USER),
        Translator(catalog(), Address(USER)),
        now=lambda: instant(trio.current_time()),
        on_weight=(weights if weights is not None else []).append,
        dexs=dexs,
    )


@scenario
async def test_each_read_asks_about_the_account_and_carries_when_it_was_asked():
    log: list[Asked] = []
    weights: list[int] = []
    answers = [
        reply([order_row()], after_s=1),
        reply(
            {"balances": [{"coin": "USDC", "token": 0, "total": "14.6", "hold": "0.6", "entryNtl": "0.0"}]}
        ),
        reply({"cumVlm": "357.45105", "nRequestsUsed": 231, "nRequestsCap": 10357, "nRequestsSurplus": 0}),
        reply({"status": "order", "order": update_row("open")}),
        reply({"status": "unknownOid"}),
    ]
    async with open_venue(http(*answers, log=log)) as venue, open_rest(venue.connect, VENUE) as rest:
        reader = reader_of(rest, weights)
        orders = await reader.open_orders(ReadPurpose.RECONCILE)
        balances = await reader.balances(ReadPurpose.START)
        budget = await reader.budget(ReadPurpose.START)
        status = await reader.order_status(Cloid(CLOID))
        missing = await reader.order_status(Cloid(CLOID))
    assert [order.cloid for order in orders.orders] == [CLOID]
    assert orders.requested_at == instant(0) and orders.purpose is ReadPurpose.RECONCILE
    assert balances.requested_at == instant(1)
    assert balances.by_token[0].total_units == 14_6000_0000
    assert budget.requests_used == 231
    assert status.status == "open" and missing.status is None
    assert [asked.json for asked in log] == [
        {"type": "openOrders", "user": USER},
        {"type": "spotClearinghouseState", "user": USER},
        {"type": "userRateLimit", "user": USER},
        {"type": "orderStatus", "user": USER, "oid": CLOID},
        {"type": "orderStatus", "user": USER, "oid": CLOID},
    ]
    assert weights == [20, 2, 20, 2, 2]


@scenario
async def test_orders_of_every_dex_make_one_read():
    def answer(asked: Asked):
        return reply([order_row(oid=2)] if asked.json.get("dex") == "xyz" else [order_row(oid=1)])

    async with open_venue(http_function(answer)) as venue, open_rest(venue.connect, VENUE) as rest:
        read = await reader_of(rest, dexs=("", "xyz")).open_orders(ReadPurpose.START)
    assert [order.oid for order in read.orders] == [1, 2]


def history(count: int) -> list[dict[str, Any]]:
    """Fills, three to a millisecond, each with its own tid."""
    return [fill_row(time=1_000 + n // 3, tid=n + 1) for n in range(count)]


def served(rows: list[dict[str, Any]], *, is_newest_first: bool = False):
    def answer(asked: Asked):
        page = [row for row in rows if row["time"] >= asked.json["startTime"]][:FILLS_PER_PAGE]
        return reply(page[::-1] if is_newest_first else page)

    return answer


@pytest.mark.parametrize("is_newest_first", [False, True])
@pytest.mark.parametrize("count", [0, 1, 1999, 2000, 2001, 5000])
async def test_fills_come_complete_and_once_whatever_the_pages(count, is_newest_first):
    log: list[Asked] = []
    weights: list[int] = []
    server = http_function(served(history(count), is_newest_first=is_newest_first), log)
    async with open_venue(server) as venue, open_rest(venue.connect, VENUE) as rest:
        read = await reader_of(rest, weights).fills_since(1_000, ReadPurpose.CATCH_UP)
    assert sorted(fill.key.tid for fill in read.fills) == list(range(1, count + 1))
    times = [fill.time_ms for fill in read.fills]
    assert times == sorted(times) and read.since_ms == 1_000
    assert len(log) == 1 + (count >= 2000) + (count >= 4000)
    assert sum(weights) >= 20 * len(log) + count // 20


async def test_pages_that_do_not_advance_are_an_error_and_not_a_loop():
    rows = [fill_row(time=1_000, tid=n + 1) for n in range(2_500)]
    async with open_venue(http_function(served(rows))) as venue, open_rest(venue.connect, VENUE) as rest:
        with pytest.raises(OutcomeUnknown, match="does not get beyond 1000"):
            await reader_of(rest).fills_since(1_000, ReadPurpose.CATCH_UP)


@pytest.mark.parametrize("nonsense", [None, 7, '"text"', {"rows": []}, [1], [{"coin": "@107"}]])
@scenario
async def test_half_an_account_is_not_a_reading_of_it(nonsense):
    async with (
        open_venue(http_function(lambda _asked: reply(nonsense))) as venue,
        open_rest(venue.connect, VENUE) as rest,
    ):
        reader = reader_of(rest)
        for read in (reader.open_orders, reader.balances, reader.budget):
            with pytest.raises(OutcomeUnknown):
                await read(ReadPurpose.RECONCILE)
        with pytest.raises(OutcomeUnknown):
            await reader.fills_since(0, ReadPurpose.RECONCILE)
        with pytest.raises(OutcomeUnknown):
            await reader.order_status(Cloid(CLOID))


@scenario
async def test_a_refusal_passes_through_and_its_weight_is_counted():
    weights: list[int] = []
    async with (
        open_venue(http_function(lambda _asked: reply("", 429))) as venue,
        open_rest(venue.connect, VENUE) as rest,
    ):
        with pytest.raises(RequestRefused):
            await reader_of(rest, weights).balances(ReadPurpose.RECONCILE)
    assert weights == [2]
