"""The venue's frames and replies become our events: exact, in order, and complaining row by row."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from mmtrio.core import events as facts
from mmtrio.core.events import (
    BalancesRead,
    BookRead,
    Event,
    Fill,
    FillKey,
    FillSource,
    Level,
    MidsRead,
    OrderStatusRead,
    OrderUpdated,
    PublicTrade,
    ReadPurpose,
    RestingOrder,
    SessionName,
    TokenBalance,
    TouchChanged,
)
from mmtrio.core.types import Address, Cloid, Coin, Side
from mmtrio.wire.codec import decode_frame
from mmtrio.wire.translation import Translator, Undecodable, feed_of
from tests.support.builders import cloid, instant
from tests.support.wire_samples import (
    CLOID,
    USER,
    catalog,
    fill_row,
    frame,
    frames,
    level,
    order_row,
    update_row,
)

_AT = instant(5)
_RECONCILE = ReadPurpose.RECONCILE


def _translator(mids_of: tuple[Coin, ...] | None = None) -> Translator:
    return Translator(catalog(), Address(USER), mids_of)


def _events(text: str) -> list[Event]:
    return _translator().events(decode_frame(text), SessionName.ACCOUNT)


def _only(text: str) -> Event:
    (event,) = _events(text)
    return event


def _complaint(text: str) -> facts.Undecodable:
    event = _only(text)
    assert isinstance(event, facts.Undecodable)
    assert event.session is SessionName.ACCOUNT
    return event


# Market data


def test_a_book_becomes_ticks_and_lots() -> None:
    assert _only(frames()["l2Book"]) == BookRead(
        coin=Coin("@107"),
        bids=(Level(34_967_000, 285, 2), Level(34_900_000, 1000, 1)),
        asks=(Level(34_969_000, 147306, 3),),
        time_ms=1764842873555,
    )


def test_an_empty_side_of_the_touch_is_none() -> None:
    assert _only(frames()["bbo"]) == TouchChanged(Coin("@107"), Level(34_967_000, 285, 1), None, 5)


def test_every_trade_of_a_frame_is_an_event() -> None:
    first, second = _events(frames()["trades"])
    assert first == PublicTrade(Coin("@107"), Side.SELL, 34_967_000, 36, 1764842873000, 77)
    assert second == attrs.evolve(first, side=Side.BUY, tid=78)


def test_mids_are_exact_in_half_ticks_and_of_known_markets_only() -> None:
    assert _only(frames()["allMids"]) == MidsRead({Coin("BTC"): 1_682_870, Coin("@107"): 69_937_000})


def test_a_mid_between_two_ticks_is_exact_and_one_beyond_is_left_out() -> None:
    mids = {"BTC": "84143.55", "@107": "34.9685123"}
    assert _only(frame("allMids", {"mids": mids})) == MidsRead({Coin("BTC"): 1_682_871})
    assert _only(frame("allMids", {"mids": {"BTC": "84143.51", "@107": "NaN"}})) == MidsRead({})


def test_only_the_mids_asked_for_are_translated() -> None:
    events = _translator((Coin("@107"), Coin("@999"))).events(
        decode_frame(frames()["allMids"]), SessionName.MARKET
    )
    assert events == [MidsRead({Coin("@107"): 69_937_000})]


@pytest.mark.parametrize(
    ("price", "size"),
    [("34.9670001", "1.0"), ("34.9", "0.001"), ("NaN", "1.0"), ("0.0", "1.0"), ("-1.0", "1")],
)
def test_a_book_off_the_grid_is_undecodable(price: str, size: str) -> None:
    book = {"coin": "@107", "time": 1, "levels": [[level(price, size)], []]}
    assert _complaint(frame("l2Book", book)).what.startswith("l2Book:@107: ")


def test_market_data_of_an_unknown_coin_is_counted() -> None:
    complaint = _complaint(frame("l2Book", {"coin": "@9", "time": 1, "levels": [[], []]}))
    assert complaint.what == "l2Book:@9: no market '@9' in the metadata"


# Orders and fills


def test_updates_keep_remaining_and_original_size() -> None:
    opened, filled = _events(frames()["orderUpdates"])
    assert opened == OrderUpdated(
        coin=Coin("@107"),
        side=Side.BUY,
        price_ticks=30_000_000,
        size_lots=49,
        original_lots=50,
        oid=257770947487,
        cloid=Cloid(CLOID),
        status="open",
        status_ms=1764843090999,
        placed_ms=1764843090519,
    )
    assert isinstance(filled, OrderUpdated)
    assert (filled.size_lots, filled.status, filled.oid) == (0, "filled", 9)


def test_a_bad_row_is_a_complaint_and_the_others_stand() -> None:
    rows = [update_row(), update_row(coin="@9"), update_row(limitPx="30.0000001"), update_row(side="X")]
    kinds = [type(event) for event in _events(frame("orderUpdates", [*rows, update_row("rejected")]))]
    assert kinds == [OrderUpdated, facts.Undecodable, facts.Undecodable, facts.Undecodable, OrderUpdated]


def test_cloids_are_compared_in_lower_case() -> None:
    event = _only(frame("orderUpdates", [update_row(cloid=CLOID.upper().replace("X", "x"))]))
    assert isinstance(event, OrderUpdated)
    assert event.cloid == CLOID


def _fill(**changes: Any) -> Fill:
    event = _only(frame("userFills", {"user": USER, "fills": [fill_row(**changes)]}))
    assert isinstance(event, Fill)
    return event


def test_a_fill_is_exact_to_the_last_unit() -> None:
    assert _fill() == Fill(
        key=FillKey(Address(USER), Coin("@107"), 1764840678849, 1045359869404765, 257770947487),
        coin=Coin("@107"),
        side=Side.BUY,
        price_ticks=34_895_000,
        size_lots=50,
        oid=257770947487,
        cloid=Cloid(CLOID),
        time_ms=1764840678849,
        fee_token=150,
        fee_units=31499,
        is_taker=False,
        source=FillSource.STREAM,
    )


@pytest.mark.parametrize(
    ("mark", "source"),
    [
        ({"isSnapshot": True}, FillSource.SNAPSHOT),
        ({"isSnapshot": False}, FillSource.STREAM),
        ({"isSnapshot": None}, FillSource.STREAM),
        ({}, FillSource.STREAM),
    ],
)
def test_only_a_frame_that_says_so_is_a_snapshot(mark: dict[str, Any], source: FillSource) -> None:
    event = _only(frame("userFills", {"user": USER, "fills": [fill_row()], **mark}))
    assert isinstance(event, Fill)
    assert event.source is source


def test_the_same_fill_has_the_same_key_on_every_channel_and_in_every_reply() -> None:
    on_user_events = _only(frames()["user"])
    assert isinstance(on_user_events, Fill)
    read = _translator().fills_read([fill_row()], 0, _AT, ReadPurpose.CATCH_UP)
    assert on_user_events.key == _fill().key == read.fills[0].key


def test_fills_without_a_tid_are_told_apart_by_their_whole_row() -> None:
    one, same, other = _fill(tid=0), _fill(tid=0), _fill(tid=0, hash="0x" + "cd" * 32)
    assert one.key.whole_row
    assert one.key == same.key
    assert one.key != other.key
    read = _translator().fills_read([fill_row(tid=0)], 0, _AT, _RECONCILE)
    assert read.fills[0].key == one.key


def test_a_fee_token_means_the_markets_own_token_where_names_collide() -> None:
    assert _fill(feeToken="HYPE").fee_token == 150  # Token 300 is called HYPE too.
    assert _fill(feeToken="USDC", side="A", fee="0.01").fee_token == 0
    assert _fill(feeToken="USDH").fee_token == 360


@pytest.mark.parametrize("name", ["TWIN", "NONE"])
def test_a_fee_in_a_token_that_cannot_be_told_is_undecodable(name: str) -> None:
    complaint = _complaint(frame("userFills", {"user": USER, "fills": [fill_row(feeToken=name)]}))
    assert f"the fee was taken in '{name}'" in complaint.what


def test_a_row_without_a_fee_token_follows_the_venues_rule() -> None:
    assert _fill(feeToken=None).fee_token == 150
    assert _fill(feeToken=None, side="A").fee_token == 0
    assert _fill(feeToken=None, coin="BTC", px="84143.0").fee_token == 0


def test_a_rebate_is_a_negative_fee() -> None:
    assert _fill(fee="-0.00000002").fee_units == -2


def test_a_fee_with_more_decimals_than_its_token_is_truncated() -> None:
    fill = _fill(coin="PURR/USDC", px="0.14", sz="100.0", feeToken="PURR", fee="0.07142857")
    assert (fill.fee_token, fill.fee_units) == (1, 7142)


@pytest.mark.parametrize(
    "changes",
    [
        {"coin": "@9"},
        {"sz": "0.505"},
        {"sz": "0.0"},
        {"px": "NaN"},
        {"fee": "1e-5"},
        {"side": "Buy"},
        {"px": "0"},
    ],
)
def test_a_fill_that_makes_no_sense_is_counted_and_not_a_crash(changes: dict[str, Any]) -> None:
    text = frame("userFills", {"user": USER, "fills": [fill_row(**changes), fill_row(tid=5)]})
    complaint, fill = _events(text)
    assert isinstance(complaint, facts.Undecodable)
    assert complaint.what.startswith("userFills: ")
    assert isinstance(fill, Fill)


@pytest.mark.parametrize("channel", ["userFills", "spotState"])
def test_a_frame_about_another_account_moves_nothing(channel: str) -> None:
    text = frames()[channel].replace(USER, "0x" + "b2" * 20)
    assert _complaint(text).what == f"{channel}: of another account"


def test_an_address_with_capitals_is_the_same_account() -> None:
    assert isinstance(_only(frames()["userFills"].replace(USER, "0x" + "A1" * 20)), Fill)


# Balances


def test_streamed_balances_have_no_request_time_and_skip_outcome_tokens() -> None:
    translator = _translator()
    events = translator.events(decode_frame(frames()["spotState"]), SessionName.ACCOUNT)
    assert events == [BalancesRead((TokenBalance(0, 1_462_548_500, 350_000_000),), requested_at=None)]
    assert translator.skipped_rows == 1


def test_a_broken_balance_spoils_the_whole_frame() -> None:
    rows = [
        {"coin": "USDC", "token": 0, "total": "1.0"},
        {"coin": "HYPE", "token": 150, "total": "0.000000001"},
    ]
    text = frame("spotState", {"user": USER, "spotState": {"balances": rows}})
    assert "more than 8 decimals" in _complaint(text).what


# Everything else


@pytest.mark.parametrize(
    "channel", ["pong", "subscriptionResponse", "error", "post", "clearinghouseState", "openOrders"]
)
def test_answers_to_our_own_requests_are_no_events(channel: str) -> None:
    assert _events(frames()[channel]) == []


def test_a_user_event_without_fills_is_no_event() -> None:
    assert _events(frame("user", {"nonUserCancel": [{"coin": "@107", "oid": 1}]})) == []


def test_the_greeting_is_no_event() -> None:
    assert _events("Websocket connection established.") == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (frame("moonPhase", {}), "unknown channel"),
        ("<html>", "undecodable: not a JSON object with a channel"),
        (frame("error", "Something new"), "error from the venue"),
        (frame("error", "Cannot track more than 10 total users."), "error from the venue"),
    ],
)
def test_what_nobody_expects_is_counted_and_shown(text: str, what: str) -> None:
    assert _complaint(text).what == what


@pytest.mark.parametrize(
    ("channel", "feed"),
    [
        ("l2Book", "l2Book:@107"),
        ("bbo", "bbo:@107"),
        ("trades", "trades:@107"),
        ("allMids", "allMids"),
        ("orderUpdates", "orderUpdates"),
        ("userFills", "userFills"),
        ("user", "user"),
        ("spotState", "spotState"),
        ("pong", "pong"),
        ("post", "post"),
        ("subscriptionResponse", "subscriptionResponse"),
        ("error", "error"),
    ],
)
def test_a_feed_is_its_channel_and_coin(channel: str, feed: str) -> None:
    assert feed_of(decode_frame(frames()[channel])) == feed


@pytest.mark.parametrize(
    ("text", "feed"),
    [
        (frame("candle", {}), "candle"),
        (frame("trades", []), "trades"),
        (frame("l2Book", {}), "l2Book"),
        ("Websocket connection established.", "greeting"),
        ("nonsense", "undecodable"),
    ],
)
def test_odd_frames_have_a_feed_too(text: str, feed: str) -> None:
    assert feed_of(decode_frame(text)) == feed


# Replies over REST


def test_open_orders_are_read_whole_and_by_oid() -> None:
    rows = [order_row(oid=9), order_row(oid=2, side="A", cloid=None), order_row(oid=5, coin="#123")]
    translator = _translator()
    read = translator.open_orders_read(rows, _AT, _RECONCILE)
    assert read.orders[1] == RestingOrder(
        Coin("@107"), Side.BUY, 30_000_000, 49, 50, 9, Cloid(CLOID), 1764843090519
    )
    assert [order.oid for order in read.orders] == [2, 9]
    assert (read.requested_at, read.purpose, translator.skipped_rows) == (_AT, _RECONCILE, 1)


def test_rows_with_the_frontends_extra_keys_read_the_same() -> None:
    extra = {
        "triggerCondition": "N/A",
        "isTrigger": False,
        "children": [],
        "orderType": "Limit",
        "tif": "Alo",
    }
    plain = _translator().open_orders_read([order_row()], _AT, _RECONCILE)
    assert _translator().open_orders_read([order_row(**extra)], _AT, _RECONCILE) == plain


def test_fills_are_read_oldest_first_and_once() -> None:
    rows = [
        fill_row(time=30, tid=3),
        fill_row(time=10, tid=1),
        fill_row(time=20, tid=2),
        fill_row(time=10, tid=1),
    ]
    read = _translator().fills_read(rows, 10, _AT, ReadPurpose.CATCH_UP)
    assert [fill.time_ms for fill in read.fills] == [10, 20, 30]
    assert read.since_ms == 10


@pytest.mark.parametrize(
    ("purpose", "source"),
    [
        (ReadPurpose.START, FillSource.CATCH_UP),
        (ReadPurpose.CATCH_UP, FillSource.CATCH_UP),
        (ReadPurpose.RECONCILE, FillSource.RECONCILE),
        (ReadPurpose.CONFIRM, FillSource.RECONCILE),
        (ReadPurpose.FINAL, FillSource.RECONCILE),
    ],
)
def test_the_source_of_a_fill_read_over_rest_follows_from_the_purpose(
    purpose: ReadPurpose, source: FillSource
) -> None:
    assert _translator().fills_read([fill_row()], 0, _AT, purpose).fills[0].source is source


def test_balances_are_read_by_token() -> None:
    rows = [
        {"coin": "HYPE", "token": 150, "total": "5.2", "hold": "0"},
        {"coin": "USDC", "token": 0, "total": "14.625485", "hold": "0.0", "entryNtl": "0.0"},
        {"coin": "NEW", "token": 999, "total": "1.0"},
        {"coin": "+10", "total": "25"},
    ]
    read = _translator().balances_read({"balances": rows}, _AT, _RECONCILE)
    assert read.balances == (TokenBalance(0, 1_462_548_500, 0), TokenBalance(150, 520_000_000, 0))
    assert _translator().balances_read({"balances": []}, _AT, _RECONCILE).balances == ()


def test_the_budget_is_read_with_and_without_a_surplus() -> None:
    reply = {"cumVlm": "170043721737.450012207", "nRequestsUsed": 231, "nRequestsCap": 10357}
    read = _translator().budget_read(reply, _AT, _RECONCILE)
    assert (read.requests_used, read.requests_cap, read.requests_surplus) == (231, 10357, 0)
    assert read.volume_e8 == 17_004_372_173_745_001_220
    assert _translator().budget_read({**reply, "nRequestsSurplus": 7}, _AT, _RECONCILE).requests_surplus == 7


def test_order_status_is_read_in_both_forms() -> None:
    reply = {"status": "order", "order": update_row("filled", sz="0.0")}
    read = _translator().order_status_read(Cloid(CLOID), reply, _AT)
    assert read == OrderStatusRead(Cloid(CLOID), "filled", 257770947487, 0, 1764843090999, _AT)
    missed = _translator().order_status_read(cloid(1), {"status": "unknownOid"}, _AT)
    assert missed == OrderStatusRead(cloid(1), None, None, None, None, _AT)


@pytest.mark.parametrize(
    "rows", [None, {}, "[]", [None], [{}], [order_row(sz="1.234")], [order_row(side="")]]
)
def test_open_orders_that_make_no_sense_are_no_reading(rows: Any) -> None:
    with pytest.raises(Undecodable):
        _translator().open_orders_read(rows, _AT, _RECONCILE)


@pytest.mark.parametrize("rows", [None, {}, [7], [fill_row(px="NaN")], [fill_row(), fill_row(oid="1")]])
def test_fills_that_make_no_sense_are_no_reading(rows: Any) -> None:
    with pytest.raises(Undecodable):
        _translator().fills_read(rows, 0, _AT, _RECONCILE)


@pytest.mark.parametrize(
    "reply",
    [None, [], {}, {"balances": [{"coin": "USDC", "token": 0}]}, {"balances": [{"token": 0, "total": "x"}]}],
)
def test_balances_that_make_no_sense_are_no_reading(reply: Any) -> None:
    with pytest.raises(Undecodable):
        _translator().balances_read(reply, _AT, _RECONCILE)


@pytest.mark.parametrize(
    "reply",
    [
        None,
        {},
        {"cumVlm": "1", "nRequestsUsed": 1},
        {"cumVlm": "x", "nRequestsUsed": 1, "nRequestsCap": 2},
        {"cumVlm": 1.5, "nRequestsUsed": 1, "nRequestsCap": 2},
    ],
)
def test_a_budget_that_makes_no_sense_is_no_reading(reply: Any) -> None:
    with pytest.raises(Undecodable):
        _translator().budget_read(reply, _AT, _RECONCILE)


@pytest.mark.parametrize(
    "reply",
    [
        None,
        {},
        {"status": "order"},
        {"status": "perhaps", "order": update_row()},
        {"status": "order", "order": update_row(coin="@9")},
        {"status": "order", "order": update_row(cloid=cloid(7))},
        {"status": "order", "order": update_row(sz="x")},
    ],
)
def test_an_order_status_that_makes_no_sense_is_no_reading(reply: Any) -> None:
    with pytest.raises(Undecodable):
        _translator().order_status_read(Cloid(CLOID), reply, _AT)
