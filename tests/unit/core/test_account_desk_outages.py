"""The desk while something is out of reach: what it repeats, how often, and what it blames on whom."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

from mmtrio.core.events import (
    AccountRead,
    BatchDone,
    BatchKind,
    BatchNotSent,
    BookRead,
    Decision,
    Fill,
    FillSource,
    FillsRead,
    Heard,
    Heartbeat,
    ItemOutcome,
    Level,
    Mismatch,
    MismatchKind,
    OutcomeKind,
    QuotingStopped,
    ReadPurpose,
    ReasonCode,
    Remark,
    RestartSession,
    SessionEnded,
    SessionLive,
    SessionName,
    SessionOpened,
    Tick,
    Undecodable,
)
from mmtrio.core.types import Side
from tests.support.builders import (
    HYPE,
    USDC,
    balances_read,
    fill,
    market,
    open_orders_read,
    resting_order,
    spot_token,
)
from tests.support.desks import DeskOnTheBench, batches, bench, readings, rich


def heartbeats(
    on_bench: DeskOnTheBench, until_s: float, *, hears: bool = False
) -> Iterator[tuple[float, Decision]]:
    """Beat twice a second; what was decided, and when."""
    while on_bench.now_s < until_s:
        on_bench.now_s += 0.5
        if hears:
            on_bench.tell(Heard(SessionName.ACCOUNT, "pong"))
        yield on_bench.now_s, on_bench.tell(Heartbeat())


def quoting(**options: object) -> DeskOnTheBench:
    """A desk whose orders rest, and which has seen them on the stream."""
    on_bench = bench(**options)  # type: ignore[arg-type]
    on_bench.accept(on_bench.start(rich()))
    on_bench.desk.witness.forget()
    on_bench.desk.witness.on_stream_live(on_bench.at)
    return on_bench


# Withdrawing while blind


def test_while_a_venue_cannot_be_reached_the_withdrawal_is_repeated_ever_more_slowly():
    on_bench = quoting()
    on_bench.tell(SessionEnded(SessionName.ACCOUNT, 1, "reset"))
    tried_s = []
    for at_s, decision in heartbeats(on_bench, 60.0):
        for batch in batches(decision, BatchKind.CANCEL):
            tried_s.append(at_s)
            on_bench.tell(BatchNotSent(batch.id, "connection refused"))
    assert tried_s == [15.0, 17.0, 21.0, 29.0, 39.0, 49.0, 59.0]


def test_only_the_market_that_needs_its_data_is_withdrawn_when_that_stays_away():
    hype, purr = market(), market("PURR/USDC", size_decimals=0, base=spot_token("PURR", 1, 0, 8), asset=10000)
    on_bench = bench(markets=[hype, purr])
    hype_quoter, purr_quoter = on_bench.desk.quoters
    purr_quoter.requires_market_data = True
    book = BookRead(purr.coin, (Level(100, 5),), (Level(200, 5),), 1)
    on_bench.tell(
        SessionOpened(SessionName.MARKET, 1),
        SessionLive(SessionName.MARKET, 1),
        Heard(SessionName.MARKET, f"l2Book:{purr.coin}"),
        book,
    )
    on_bench.accept(on_bench.start(balances_read({HYPE: "10", USDC: "10000"}, purpose=ReadPurpose.START)))
    on_bench.desk.witness.forget()
    assert on_bench.desk.orders.live(purr.coin)
    on_bench.tell(SessionEnded(SessionName.MARKET, 1, "reset"))
    cancelled = {
        item.coin
        for _, decision in heartbeats(on_bench, 30.0, hears=True)
        for batch in batches(decision, BatchKind.CANCEL)
        for item in batch.items
    }
    assert cancelled == {purr.coin}
    assert hype_quoter.note_gate(None, 0.0, on_bench.at) is None  # It had never stopped.


# The market's feeds


def needing_data() -> DeskOnTheBench:
    """A desk whose one market needs its book, and has one."""
    on_bench = bench()
    on_bench.desk.quoters[0].requires_market_data = True
    coin = on_bench.desk.quoters[0].coin
    on_bench.tell(
        SessionOpened(SessionName.MARKET, 1),
        SessionLive(SessionName.MARKET, 1),
        Heard(SessionName.MARKET, f"l2Book:{coin}"),
    )
    on_bench.accept(on_bench.start(rich()))
    on_bench.desk.witness.forget()
    return on_bench


def test_a_book_that_falls_silent_on_a_living_session_ends_that_session():
    on_bench = needing_data()
    restarts = []
    while on_bench.now_s < 20:
        on_bench.now_s += 0.5
        on_bench.tell(Heard(SessionName.ACCOUNT, "pong"), Heard(SessionName.MARKET, "pong"))
        decision = on_bench.tell(Heartbeat())
        restarts += [
            (on_bench.now_s, each) for each in decision.commands if isinstance(each, RestartSession)
        ]
    ((at_s, restart),) = restarts
    assert at_s == 8.0
    assert restart == RestartSession(SessionName.MARKET, "no book of HYPE/USDC for 8 s")


def test_a_market_that_does_not_need_its_book_bears_its_silence():
    on_bench = needing_data()
    on_bench.desk.quoters[0].requires_market_data = False
    for _ in range(60):
        on_bench.now_s += 0.5
        on_bench.tell(Heard(SessionName.ACCOUNT, "pong"), Heard(SessionName.MARKET, "pong"))
        assert not [each for each in on_bench.tell(Heartbeat()).commands if isinstance(each, RestartSession)]


def test_a_stop_for_want_of_market_data_tells_the_silence_of_the_market_session():
    on_bench = needing_data()
    on_bench.now_s = 5.0
    on_bench.tell(Heard(SessionName.ACCOUNT, "pong"))
    decision = on_bench.tell(SessionEnded(SessionName.MARKET, 1, "reset"))
    (stopped,) = (note for note in decision.notes if isinstance(note, QuotingStopped))
    assert stopped.reason.code is ReasonCode.MARKET_SESSION_DOWN
    assert stopped.silence_s == 5.0


# What the stream owes


def accept_late(on_bench: DeskOnTheBench, took_s: float) -> None:
    """The places of a start are answered only now."""
    first = batches(on_bench.decisions[-1], BatchKind.PLACE)
    for batch in first:
        outcomes = tuple(
            ItemOutcome(item.cloid, OutcomeKind.RESTING, oid=5000 + number)
            for number, item in enumerate(batch.items)
        )
        on_bench.tell(BatchDone(batch.id, outcomes, took_s))


def test_an_order_accepted_before_the_stream_was_live_is_not_owed_by_it():
    on_bench = bench()
    on_bench.start(rich())
    places = on_bench.decisions[-1]
    on_bench.now_s = 0.5
    on_bench.tell(SessionEnded(SessionName.ACCOUNT, 1, "reset"))
    on_bench.now_s = 1.0
    on_bench.tell(SessionOpened(SessionName.ACCOUNT, 2), SessionLive(SessionName.ACCOUNT, 2))
    on_bench.decisions.append(places)
    on_bench.now_s = 1.5
    accept_late(on_bench, took_s=1.5)  # Sent at 0, when another stream was there.
    restarts = [
        command
        for _, decision in heartbeats(on_bench, 20.0, hears=True)
        for command in decision.commands
        if isinstance(command, RestartSession)
    ]
    assert restarts == []


def test_an_order_accepted_while_no_stream_is_there_is_not_owed_by_the_next():
    on_bench = bench()
    on_bench.start(rich())
    places = on_bench.decisions[-1]
    on_bench.now_s = 0.5
    on_bench.tell(SessionEnded(SessionName.ACCOUNT, 1, "reset"))
    on_bench.decisions.append(places)
    accept_late(on_bench, took_s=0.5)
    assert not on_bench.desk.witness.is_owed


# Fills after a gap


def sell(**changes: object) -> Fill:
    values: dict = dict(price_ticks=30_000_000, size_lots=10, cloid=None, oid=77) | changes
    return fill(Side.SELL, **values)


def test_what_the_stream_brings_after_a_gap_does_not_move_the_watermark_past_it():
    on_bench = quoting()
    on_bench.tell(FillsRead((sell(time_ms=1_000, tid=1),), 0, on_bench.at, ReadPurpose.RECONCILE))
    on_bench.tell(
        SessionEnded(SessionName.ACCOUNT, 1, "reset"),
        SessionOpened(SessionName.ACCOUNT, 2),
        sell(time_ms=900_000, tid=2, source=FillSource.SNAPSHOT),
        sell(time_ms=901_000, tid=3, source=FillSource.STREAM),
    )
    assert on_bench.desk.fills_read_until_ms == 1_000
    on_bench.tell(FillsRead((sell(time_ms=905_000, tid=4),), 0, on_bench.at, ReadPurpose.CATCH_UP))
    assert on_bench.desk.fills_read_until_ms == 905_000


def test_after_a_catch_up_the_account_is_read_once_more_when_rest_has_followed():
    on_bench = quoting()
    on_bench.tell(
        SessionEnded(SessionName.ACCOUNT, 1, "reset"),
        SessionOpened(SessionName.ACCOUNT, 2),
        SessionLive(SessionName.ACCOUNT, 2),
    )
    (again,) = readings(on_bench.tell(AccountRead(ReadPurpose.CATCH_UP, on_bench.at)))
    assert (again.purpose, again.after_s) == (ReadPurpose.CATCH_UP, 2.0)
    assert not readings(on_bench.tell(AccountRead(ReadPurpose.CATCH_UP, on_bench.at)))


# Balances in doubt


def drifted(on_bench: DeskOnTheBench) -> object:
    return attrs.evolve(
        balances_read({HYPE: "10", USDC: "9000"}, purpose=ReadPurpose.RECONCILE), requested_at=on_bench.at
    )


def test_a_balance_that_differs_is_read_again_when_rest_has_followed_and_not_before():
    on_bench = quoting()
    assert not [decision for _, decision in heartbeats(on_bench, 10.0, hears=True) if decision.commands]
    on_bench.tell(Heard(SessionName.ACCOUNT, "pong"), drifted(on_bench))
    asked = [
        at_s for at_s, decision in heartbeats(on_bench, 14.0, hears=True) if readings(decision)
    ]
    assert asked == [12.0]
    decision = on_bench.tell(drifted(on_bench))
    assert [note.kind for note in decision.notes if isinstance(note, Mismatch)] == [MismatchKind.BALANCE_DRIFT]


def test_a_difference_that_the_next_frame_disperses_costs_no_reading():
    on_bench = quoting()
    on_bench.now_s = 10.0
    same = attrs.evolve(rich(), requested_at=None, purpose=None)
    on_bench.tell(Heard(SessionName.ACCOUNT, "pong"), drifted(on_bench), same)
    assert not [True for _, decision in heartbeats(on_bench, 20.0, hears=True) if readings(decision)]


def test_a_difference_that_stays_in_doubt_is_not_read_again_all_the_time():
    on_bench = quoting()
    assert not [decision for _, decision in heartbeats(on_bench, 10.0, hears=True) if decision.commands]
    on_bench.tell(Heard(SessionName.ACCOUNT, "pong"), drifted(on_bench))
    asked, usdc = [], 9000
    for at_s, decision in heartbeats(on_bench, 70.0, hears=True):
        if readings(decision):
            asked.append(at_s)
            usdc -= 1  # Another difference each time: it never has two witnesses.
            read = balances_read({HYPE: "10", USDC: str(usdc)}, purpose=ReadPurpose.CONFIRM)
            on_bench.tell(attrs.evolve(read, requested_at=on_bench.at), AccountRead(ReadPurpose.CONFIRM, on_bench.at))
    assert asked == [12.0, 22.0, 32.0, 42.0, 52.0, 62.0]


# What others hold


def test_a_foreign_order_ties_up_what_our_own_may_not_spend():
    on_bench = quoting()
    coin = on_bench.desk.quoters[0].coin
    free = on_bench.desk._holds.free_units()
    foreign = resting_order(cloid=None, oid=9, coin=coin, side=Side.BUY, price_ticks=20_000_000, size_lots=100)
    on_bench.tell(open_orders_read([foreign], at=on_bench.at, purpose=ReadPurpose.RECONCILE))
    held = on_bench.desk._holds.free_units()
    assert free[USDC.index] - held[USDC.index] == 20 * 10**8
    assert held[HYPE.index] == free[HYPE.index]


# Log lines


def test_what_repeats_has_a_topic_without_its_numbers():
    on_bench = quoting()
    topics = []
    for number in range(2, 5):
        decision = on_bench.tell(SessionEnded(SessionName.ACCOUNT, number, "connection refused"))
        topics += [note.topic for note in decision.notes if isinstance(note, Remark)]
    assert topics == ["account session: connection refused"] * 3


def test_a_venue_that_invents_kinds_of_nonsense_fills_neither_memory_nor_log():
    on_bench = quoting()
    topics = set()
    for number in range(5_000):
        decision = on_bench.tell(Undecodable(SessionName.MARKET, f"nonsense {number}", "x"))
        topics |= {note.topic for note in decision.notes if isinstance(note, Remark)}
    assert len(on_bench.desk.nonsense.counts) <= 51
    assert len(topics) <= 51
    assert on_bench.desk.nonsense.counts.total() == 5_000


@pytest.mark.parametrize("ticks", [1, 5])
def test_a_suspended_market_is_not_asked_again(ticks):
    calls = []

    class Broken:
        name = "broken"
        requires_market_data = False

        def quote(self, view):
            calls.append(view)
            raise RuntimeError("no")

    on_bench = bench(strategies=[Broken()])
    on_bench.start(rich())
    for _ in range(ticks):
        on_bench.tell(Tick())
    assert len(calls) == 1
