"""No order outlives us: the clean-up against venues that lag, hang, refuse and let orders land late.

The venue here is a few lines: what rests, what it answers, and from when on. Times are virtual and exact; a reply
takes 0.1 s, and the reading side lags 0.5 s behind, unless told otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio

from mmtrio.client.account import AccountReader
from mmtrio.client.clean_up import CleanUpParams, CleanUpReport, CleanUpSeams, prove_empty
from mmtrio.client.connect import ConnectionKind
from mmtrio.client.rest import open_rest
from mmtrio.core.events import CancelItem, OrderStatusRead
from mmtrio.core.types import Address, Cloid, Coin
from mmtrio.wire.translation import Translator
from tests.support.builders import instant
from tests.support.determinism import scenario
from tests.support.scripted_venue import (
    HANG,
    VENUE,
    Answer,
    Asked,
    ScriptedVenue,
    eof,
    hang,
    http_function,
    open_venue,
    reply,
    reset,
)
from tests.support.wire_samples import USER, catalog, order_row, update_row

COIN = Coin("@107")
ONE, TWO, ZOMBIE = (Cloid(f"0x7470aaaaaaaa{n:020x}") for n in (1, 2, 3))
FOREIGN = Cloid(f"0x7470bbbbbbbb{1:020x}")


def is_ours(cloid: Cloid | None) -> bool:
    return cloid is not None and cloid.startswith("0x7470aaaaaaaa")


@attrs.define(eq=False)
class RestingBook:
    """A venue's resting orders: each from a time on, until it is cancelled."""

    rests_from: dict[Cloid, float] = attrs.field(factory=dict)
    gone_at: dict[Cloid, float] = attrs.field(factory=dict)
    lag_s: float = 0.5
    trouble: Callable[[Asked], Answer | None] = lambda _asked: None
    asked: list[tuple[float, str]] = attrs.field(factory=list)
    """(time, what) of every request: `cancel 2`, `openOrders`, `orderStatus`."""

    def resting(self, at: float) -> list[Cloid]:
        return [
            cloid
            for cloid, since in self.rests_from.items()
            if since <= at and not self.gone_at.get(cloid, float("inf")) <= at
        ]

    def answer(self, asked: Asked) -> Answer:
        request = asked.json
        is_cancel = asked.path == "/exchange"
        what = f"cancel {len(request['cancels'])}" if is_cancel else request["type"]
        self.asked.append((round(asked.at, 6), what))
        if (trouble := self.trouble(asked)) is not None:
            return trouble
        return reply(self._cancel(request["cancels"]) if is_cancel else self._read(request), after_s=0.1)

    def _cancel(self, cloids: list[Cloid]) -> dict[str, Any]:
        statuses: list[Any] = []
        for cloid in cloids:
            if cloid in self.resting(trio.current_time()):
                self.gone_at[cloid] = trio.current_time()
                statuses.append("success")
            else:
                statuses.append({"error": "Order was never placed, already canceled, or filled."})
        return {"status": "ok", "response": {"type": "cancel", "data": {"statuses": statuses}}}

    def _read(self, request: dict[str, Any]) -> Any:
        seen_at = trio.current_time() - self.lag_s
        if request["type"] == "openOrders":
            return [order_row(cloid=cloid, oid=n) for n, cloid in enumerate(self.resting(seen_at))]
        cloid = request["oid"]
        if self.gone_at.get(cloid, float("inf")) <= seen_at:
            return {"status": "order", "order": update_row("canceled", cloid=cloid)}
        if cloid in self.resting(seen_at):
            return {"status": "order", "order": update_row("open", cloid=cloid)}
        return {"status": "unknownOid"}


@attrs.define(eq=False)
class Owner:
    """What we know of our orders: each may live until the venue calls it canceled, or until it has expired."""

    sent: dict[Cloid, float] = attrs.field(factory=dict)
    """cloid -> when it can no longer land (infinity for one that rests)."""

    def may_live(self) -> list[CancelItem]:
        return [CancelItem(cloid, COIN) for cloid, until in self.sent.items() if trio.current_time() < until]

    def note_status(self, read: OrderStatusRead) -> None:
        if read.status == "canceled":
            del self.sent[read.cloid]

    def seams(self, venue: ScriptedVenue, timeout_s: float = 5) -> CleanUpSeams:
        return CleanUpSeams(
            open_rest=partial(
                open_rest, venue.connect, VENUE, kind=ConnectionKind.CLEANUP, timeout_s=timeout_s
            ),
            reader_of=lambda rest: AccountReader(
                rest,
                Address(USER),
                Translator(catalog(), Address(USER)),
                lambda: instant(trio.current_time()),
            ),
            sign_cancels=lambda items: json.dumps({"cancels": [item.cloid for item in items]}).encode(),
            is_ours=is_ours,
            may_live=self.may_live,
            note_status=self.note_status,
        )


FOREVER = float("inf")


async def clean_up(book: RestingBook, owner: Owner, *entries: Any, **params: Any) -> CleanUpReport:
    async with open_venue(*entries, http_function(book.answer)) as venue:
        report = await prove_empty(owner.seams(venue), CleanUpParams(**params))
        assert all(client.closed_at is not None for client in venue.clients)
        assert all(kind is ConnectionKind.CLEANUP for _, kind in venue.opened)
    return report


@scenario
async def test_where_nothing_was_sent_two_reads_apart_are_proof():
    book = RestingBook()
    report = await clean_up(book, Owner())
    assert book.asked == [(0, "openOrders"), (2, "openOrders")]
    assert report == CleanUpReport(True, (), 0, 2, 0, "", took_s=2.1)


@scenario
async def test_the_first_thing_is_the_cancel_and_the_proof_waits_for_the_venues_word():
    book = RestingBook({ONE: -100, TWO: -100})
    report = await clean_up(book, Owner({ONE: FOREVER, TWO: FOREVER}))
    assert book.asked == [
        (0, "cancel 2"),
        (0.1, "openOrders"),  # Still shows both: it lags.
        (0.7, "openOrders"),  # Shows none, but we have not heard what became of them.
        (0.8, "orderStatus"),
        (0.8, "orderStatus"),
        (1.9, "openOrders"),
        (3.9, "openOrders"),
    ]
    assert report.confirmed and report.cloids_that_may_live == ()
    assert (report.cancels_sent, report.reads, report.took_s) == (2, 4, 4.0)


@scenario
async def test_orders_of_an_earlier_run_are_cancelled_and_those_of_others_left_alone():
    book = RestingBook({ONE: -100, FOREIGN: -100})
    report = await clean_up(book, Owner())
    assert report.confirmed
    assert book.resting(trio.current_time()) == [FOREIGN]
    assert report.cancels_sent == 1


@scenario
async def test_a_zombie_that_lands_after_the_first_empty_read_is_found_and_cancelled():
    book = RestingBook({ZOMBIE: 1.0})
    report = await clean_up(book, Owner())
    assert book.asked == [
        (0, "openOrders"),
        (2, "openOrders"),  # Would have been the proof.
        (2.1, "cancel 1"),
        (2.2, "openOrders"),
        (2.8, "openOrders"),
        (4.8, "openOrders"),
    ]
    assert report.confirmed and book.gone_at == {ZOMBIE: pytest.approx(2.1)}


@scenario
async def test_an_order_of_unknown_outcome_keeps_the_proof_waiting_until_it_can_no_longer_land():
    book = RestingBook({ZOMBIE: 14.9})
    report = await clean_up(book, Owner({ZOMBIE: 15.0}))
    assert report.confirmed
    assert book.resting(trio.current_time()) == []
    assert 14.9 < book.gone_at[ZOMBIE] < 18
    last_reads = [at for at, what in book.asked if what == "openOrders"][-2:]
    assert last_reads[0] >= 15 and last_reads[1] - last_reads[0] == pytest.approx(2)


@scenario
async def test_an_order_that_never_landed_is_proven_away_after_its_expiry_and_not_before():
    book = RestingBook()
    report = await clean_up(book, Owner({ONE: 15.0}))
    reads = [at for at, what in book.asked if what == "openOrders"]
    assert report.confirmed and reads[-2] >= 15 > reads[-3]
    queries = [at for at, what in book.asked if what == "orderStatus"]
    assert all(later - earlier >= 2 for earlier, later in pairwise(queries))


@scenario
async def test_a_storm_of_429_is_waited_out_with_growing_pauses():
    book = RestingBook({ONE: -100})
    book.trouble = lambda asked: reply("", 429) if asked.at < 10 else None
    report = await clean_up(book, Owner({ONE: FOREVER}))
    stormy = [entry for entry in book.asked if entry[0] < 10]
    assert stormy == [(at, "cancel 1") for at in (0, 0.5, 1.5, 3.5, 5.5, 7.5, 9.5)]
    assert report.confirmed and report.failures == 7
    assert report.last_failure == "cancel: HTTP 429: no reason given"
    assert book.gone_at == {ONE: 11.5}


@pytest.mark.parametrize("answer", [reply("null", 500), reply("", 502), reset, eof, reply("<html>", 200)])
@scenario
async def test_server_errors_resets_and_nonsense_are_tried_again(answer):
    book = RestingBook({ONE: -100})
    book.trouble = lambda asked: answer if asked.at < 5 else None
    report = await clean_up(book, Owner({ONE: FOREVER}))
    assert report.confirmed and report.failures > 2
    assert 5 < book.gone_at[ONE] < 8


@scenario
async def test_refused_connections_are_tried_again():
    book = RestingBook({ONE: -100})
    refused = [ConnectionRefusedError(111, "Connection refused")] * 6
    report = await clean_up(book, Owner({ONE: FOREVER}), *refused)
    assert report.confirmed and report.failures == 6
    assert report.last_failure.endswith("cannot connect: Connection refused")


@pytest.mark.parametrize("how", ["answers nothing", "does not connect"])
@scenario
async def test_a_venue_that_hangs_costs_the_grace_and_the_report_names_what_may_live(how):
    book = RestingBook({ONE: -100, TWO: -100})
    book.trouble = lambda asked: hang
    async with open_venue(http_function(book.answer) if how == "answers nothing" else HANG) as venue:
        owner = Owner({ONE: FOREVER, TWO: FOREVER})
        report = await prove_empty(owner.seams(venue), CleanUpParams(grace_s=20))
        assert trio.current_time() == 20
        assert all(client.closed_at <= 20 for client in venue.clients)
    assert not report.confirmed
    assert report.cloids_that_may_live == (ONE, TWO)
    assert report.took_s == 20
    if how == "answers nothing":
        assert book.asked[0] == (0, "cancel 2")


@scenario
async def test_what_the_venue_shows_and_will_not_cancel_is_named_too():
    book = RestingBook({ONE: -100})
    book.trouble = lambda asked: reply("null", 500) if asked.path == "/exchange" else None
    report = await clean_up(book, Owner(), grace_s=10)
    assert not report.confirmed and report.cloids_that_may_live == (ONE,)


@scenario
async def test_reads_that_fail_in_between_do_not_count_as_empty():
    book = RestingBook()
    book.trouble = lambda asked: reply("null", 500) if 1 < asked.at < 6 else None
    report = await clean_up(book, Owner())
    assert report.confirmed and report.reads == 2
    assert trio.current_time() > 6


@scenario
async def test_being_cancelled_does_not_stop_the_clean_up():
    book = RestingBook({ONE: -100})
    async with open_venue(http_function(book.answer)) as venue:
        with trio.CancelScope() as stopping:
            stopping.cancel()
            report = await prove_empty(Owner({ONE: FOREVER}).seams(venue))
        assert report.confirmed
        assert book.asked[0] == (0, "cancel 1")


@scenario
async def test_many_orders_go_in_several_cancels_and_are_not_asked_about_all_at_once():
    cloids = [Cloid(f"0x7470aaaaaaaa{n:020x}") for n in range(250)]
    book = RestingBook(dict.fromkeys(cloids, -100.0))
    report = await clean_up(book, Owner(dict.fromkeys(cloids, FOREVER)))
    assert [what for _, what in book.asked[:3]] == ["cancel 100", "cancel 100", "cancel 50"]
    assert report.confirmed
    rounds = "".join("." if what == "orderStatus" else "|" for _, what in book.asked).split("|")
    assert max(len(queries) for queries in rounds) == 40


@scenario
async def test_a_cancels_reply_can_settle_what_it_cancelled_without_further_questions():
    book, owner = RestingBook({ONE: -100}), Owner({ONE: FOREVER})

    def note_cancels(items: list[CancelItem], answer: Any) -> None:
        assert answer["response"]["data"]["statuses"] == ["success"]
        for item in items:
            del owner.sent[item.cloid]

    async with open_venue(http_function(book.answer)) as venue:
        seams = attrs.evolve(owner.seams(venue), note_cancels=note_cancels)
        report = await prove_empty(seams)
    assert report.confirmed
    assert book.asked == [(0, "cancel 1"), (0.1, "openOrders"), (0.7, "openOrders"), (2.7, "openOrders")]
