"""Placing and cancelling through the engine: replies, updates, holds, fills."""

from __future__ import annotations

import pytest

from mmtrio.exchange.engine import EngineParams
from mmtrio.exchange.world import FEE_ACCOUNT, default_world
from tests.support.exchange_actions import (
    ALICE,
    BOB,
    CAROL,
    HYPE,
    Venue,
    buy,
    cancel,
    cancel_by_cloid,
    cloid_of,
    place,
    sell,
)

USDC_INDEX, HYPE_INDEX = 0, 150
ONE = 10**8


@pytest.fixture
def venue() -> Venue:
    return Venue()


def error(text: str, asset: int = HYPE) -> dict[str, str]:
    return {"error": f"{text} asset={asset}"}


# What an order is answered


def test_a_post_only_order_rests_and_holds_what_it_may_cost(venue):
    [status] = venue.place(ALICE, buy("34.9", "2", "Alo", cloid=cloid_of(1)))
    oid = status["resting"]["oid"]
    assert status == {"resting": {"oid": oid, "cloid": cloid_of(1)}}
    assert venue.told(ALICE) == [(oid, "open", "2.0")]
    assert venue.engine.balance(ALICE, USDC_INDEX).hold_units == 69_80000000
    assert venue.last.touched_books == ("@107",)
    assert venue.last.balances_changed == (ALICE,)


def test_a_resting_sell_holds_base(venue):
    venue.place(ALICE, sell("36", "1.5"))
    assert venue.engine.balance(ALICE, HYPE_INDEX).hold_units == 150_000_000
    assert venue.engine.balance(ALICE, USDC_INDEX).hold_units == 0


def test_a_post_only_order_that_would_match_is_refused_and_remembered(venue):
    venue.place(BOB, buy("34.88", "1"), sell("34.9", "1"))
    [status] = venue.place(ALICE, buy("34.9", "1", "Alo", cloid=cloid_of(9)))
    assert status == error("Post only order would have immediately matched, bbo was 34.88@34.9.")
    assert venue.told(ALICE) == []
    remembered = venue.info("orderStatus", ALICE, oid=cloid_of(9))
    assert remembered["order"]["status"] == "badAloPxRejected"
    assert venue.info("historicalOrders", ALICE)[0]["status"] == "badAloPxRejected"


def test_an_own_opposite_order_blocks_a_post_only_order_too(venue):
    venue.place(ALICE, sell("35", "1"))
    [status] = venue.place(ALICE, buy("35", "1", "Alo"))
    assert status == error("Post only order would have immediately matched, bbo was 0@35.")


def test_an_empty_side_of_the_touch_is_written_as_zero(venue):
    """How the venue writes it was never recorded."""
    venue.place(BOB, buy("34.88", "1"))
    [status] = venue.place(ALICE, sell("34.8", "1", "Alo"))
    assert status == error("Post only order would have immediately matched, bbo was 34.88@0.")


def test_rejections_are_pushed_where_asked_for():
    venue = Venue(params=EngineParams(are_rejections_pushed=True))
    venue.place(ALICE, buy("34.9", "1", "Ioc"))
    [(_, status, size)] = venue.told(ALICE)
    assert (status, size) == ("iocCancelRejected", "1.0")


def test_an_ioc_order_that_meets_nothing_is_an_error(venue):
    assert venue.place(ALICE, buy("34.9", "1", "Ioc")) == [
        error("Order could not immediately match against any resting orders.")
    ]


def test_an_ioc_order_takes_what_it_can_and_the_rest_is_cancelled_silently(venue):
    venue.place(BOB, sell("34.9", "1"), sell("34.95", "1"))
    [status] = venue.place(ALICE, buy("34.9", "3", "Ioc"))
    oid = status["filled"]["oid"]
    assert status == {"filled": {"totalSz": "1.0", "avgPx": "34.9", "oid": oid}}
    assert venue.told(ALICE) == [(oid, "canceled", "2.0")]
    assert venue.engine.open_orders(ALICE) == []
    assert venue.engine.balance(ALICE, USDC_INDEX).hold_units == 0


def test_a_market_order_of_the_frontend_is_an_ioc_order(venue):
    venue.place(BOB, sell("34.9", "1"))
    [status] = venue.place(ALICE, buy("36", "3", "FrontendMarket"))
    assert status["filled"]["totalSz"] == "1.0"


def test_a_crossing_order_fills_at_the_resting_prices(venue):
    venue.place(BOB, sell("34.9", "1"), sell("34.8", "1"))
    [status] = venue.place(ALICE, buy("35", "2", "Gtc", cloid=cloid_of(4)))
    assert status["filled"] == {
        "totalSz": "2.0", "avgPx": "34.85", "oid": status["filled"]["oid"], "cloid": cloid_of(4)
    }  # fmt: skip
    assert [fill["px"] for fill in venue.engine.fills(ALICE)] == ["34.8", "34.9"]


@pytest.mark.parametrize("reply", ["resting", "filled"])
def test_a_gtc_order_rests_what_it_could_not_take(reply):
    venue = Venue(params=EngineParams(partial_gtc_reply=reply))
    venue.place(BOB, sell("34.9", "1"))
    [status] = venue.place(ALICE, buy("34.9", "3"))
    oid = status[reply]["oid"]
    assert venue.told(ALICE) == [(oid, "open", "2.0")]
    assert venue.engine.best("@107") == (34_900_000, None)
    assert venue.engine.balance(ALICE, USDC_INDEX).hold_units == 69_80000000


def test_a_partial_fill_is_another_open_update_and_frees_its_share_of_the_hold(venue):
    oid = venue.oid(ALICE, sell("35", "2", "Alo"))
    venue.place(BOB, buy("35", "0.75", "Ioc"))
    assert venue.told(ALICE) == [(oid, "open", "1.25")]
    assert venue.engine.balance(ALICE, HYPE_INDEX).hold_units == 125_000_000
    venue.place(BOB, buy("35", "1.25", "Ioc"))
    assert venue.told(ALICE) == [(oid, "filled", "0.0")]


# What an order may not be


@pytest.mark.parametrize(
    "row, text",
    [
        (buy("x", "1"), "Order has invalid price."),
        (buy("-34.9", "1"), "Order has invalid price."),
        (buy("0", "1"), "Order has invalid price."),
        (buy("0.00000001", "1"), "Order price cannot be more than 80% away from the reference price"),
        (buy("NaN", "1"), "Order has invalid price."),
        (buy("34.9", "1e2"), "Order has invalid size."),
        (buy("34.9", "0.001"), "Order has invalid size."),
        (buy("34.9", "-1"), "Order has invalid size."),
        (buy("34.9", "0"), "Order has zero size."),
        (buy("6.9899", "10"), "Order price cannot be more than 80% away from the reference price"),
        (sell("62.911", "10"), "Order price cannot be more than 80% away from the reference price"),
    ],
)
def test_errors_of_the_payload_come_once_for_the_whole_batch(venue, row, text):
    assert venue.place(ALICE, buy("34", "1"), row, buy("33", "1")) == [error(text)]
    assert venue.engine.open_orders(ALICE) == []


def test_prices_up_to_the_band_are_taken(venue):
    statuses = venue.place(ALICE, buy("6.99", "10"), sell("62.91", "10"))
    assert all("resting" in status for status in statuses)


@pytest.mark.parametrize(
    "row, text",
    [
        (buy("34.9555", "1"), "Price must be divisible by tick size."),
        (buy("34.9", "0.28"), "Order must have minimum value of 10 USDC."),
        (buy("34.9", "1", reduce_only=True), "Reduce only order would increase position."),
        (buy("34.9", "100000"), "Insufficient spot balance"),
        (sell("34.9", "100000"), "Insufficient spot balance"),
    ],
)
def test_other_errors_come_one_per_order(venue, row, text):
    first, second, third = venue.place(ALICE, buy("34", "1"), row, buy("33", "1"))
    assert second == error(text)
    assert "resting" in first and "resting" in third


def test_the_minimum_value_is_enough(venue):
    venue.oid(ALICE, buy("25", "0.4"))


def test_a_batch_cannot_hold_more_than_there_is(venue):
    first, second, third = venue.place(ALICE, sell("36", "20000"), sell("37", "10000"), sell("38", "8612.3"))
    assert "resting" in first and "resting" in third
    assert second == error("Insufficient spot balance")


def test_perpetuals_are_listed_and_not_traded(venue):
    assert venue.place(ALICE, buy("84143", "1", asset=0)) == [
        error("This exchange does not trade perpetuals yet.", asset=0)
    ]
    assert venue.place(ALICE, buy("1", "100", asset=10999)) == [
        error("Order has invalid asset.", asset=10999)
    ]


def test_triggers_groups_and_builders_are_refused(venue):
    trigger = buy("34", "1") | {"t": {"trigger": {"isMarket": True, "triggerPx": "30", "tpsl": "sl"}}}
    assert venue.place(ALICE, trigger) == [error("Invalid TP/SL price.")]
    builder = place(buy("34", "1")) | {"builder": {"b": "0x" + "ab" * 20, "f": 10}}
    assert venue.statuses(ALICE, builder) == [{"error": "Builder fee has not been approved"}]
    grouped = place(buy("34", "1")) | {"grouping": "normalTpsl"}
    assert venue.statuses(ALICE, grouped) == [{"error": "Invalid grouping for spot orders."}]


def test_an_account_has_a_bounded_number_of_open_orders():
    venue = Venue(params=EngineParams(open_orders_max=2))
    statuses = venue.place(ALICE, buy("34", "1"), buy("33", "1"), buy("32", "1"), buy("31", "1", "Ioc"))
    assert statuses[2] == error("Too many open orders.")
    assert "immediately match" in statuses[3]["error"]  # An IOC order would never have been open.


def test_volume_buys_open_orders_up_to_a_ceiling():
    venue = Venue(params=EngineParams(open_orders_max=1))
    account = venue.engine._floor.ledger.accounts[ALICE]
    for volume, n_open in ((0, 1), (4_999_999, 1), (5_000_000, 2), (10**12, 5000)):
        account.volume_e8 = volume * 10**8
        while len(account.orders) < n_open:
            statuses = venue.place(ALICE, *[buy("33.5", "0.3")] * min(200, n_open - len(account.orders)))
            assert all("resting" in status for status in statuses)
        assert venue.place(ALICE, buy("33.5", "0.3")) == [error("Too many open orders.")]


# Self-trade


def test_an_own_order_in_the_way_is_cancelled_and_nothing_is_printed(venue):
    own = venue.oid(ALICE, sell("35", "3"))
    venue.place(BOB, sell("35", "3"))
    [status] = venue.place(ALICE, buy("35", "3", "Ioc"))
    assert status["filled"]["totalSz"] == "3.0"
    assert venue.told(ALICE)[0] == (own, "selfTradeCanceled", "3.0")
    assert [trade["users"] for trade in venue.last.trades] == [[ALICE, BOB]]
    assert venue.engine.balance(ALICE, HYPE_INDEX).hold_units == 0


def test_an_ioc_order_that_meets_only_own_orders_fills_nothing(venue):
    venue.oid(ALICE, sell("35", "3"))
    assert venue.place(ALICE, buy("35", "3", "Ioc")) == [
        error("Order could not immediately match against any resting orders.")
    ]
    assert venue.engine.open_orders(ALICE) == []


# Cancels


def test_a_cancel_frees_the_hold_and_a_second_one_finds_nothing(venue):
    oid = venue.oid(ALICE, buy("34.9", "2"))
    missing = error("Order was never placed, already canceled, or filled.")
    assert venue.statuses(ALICE, cancel(oid, oid, 4)) == ["success", missing, missing]
    assert venue.told(ALICE) == [(oid, "canceled", "2.0")]
    assert venue.engine.balance(ALICE, USDC_INDEX).hold_units == 0


def test_orders_are_cancelled_by_cloid_of_their_own_account_and_asset_only(venue):
    venue.oid(ALICE, buy("34.9", "2", cloid=cloid_of(7)))
    missing = "Order was never placed, already canceled, or filled."
    assert venue.statuses(BOB, cancel_by_cloid(cloid_of(7))) == [error(missing)]
    assert venue.statuses(ALICE, cancel_by_cloid(cloid_of(7), asset=10000)) == [error(missing, 10000)]
    assert venue.statuses(ALICE, cancel_by_cloid(cloid_of(7))) == ["success"]


def test_of_two_live_orders_with_one_cloid_the_newer_goes_first(venue):
    older = venue.oid(ALICE, buy("34", "1", cloid=cloid_of(7)))
    newer = venue.oid(ALICE, buy("33", "1", cloid=cloid_of(7)))
    venue.statuses(ALICE, cancel_by_cloid(cloid_of(7)))
    assert venue.told(ALICE) == [(newer, "canceled", "1.0")]
    venue.statuses(ALICE, cancel_by_cloid(cloid_of(7)))
    assert venue.told(ALICE) == [(older, "canceled", "1.0")]


# Fills and money


def test_both_sides_of_a_fill_share_tid_time_and_hash_and_differ_in_the_rest(venue):
    maker = venue.oid(ALICE, sell("34.9", "2", "Alo", cloid=cloid_of(3)))
    venue.place(BOB, buy("35", "0.75", "Ioc"))
    fills = dict(venue.last.fills)
    ours, theirs = fills[ALICE], fills[BOB]
    assert {key for key in theirs if key != "cloid" and ours[key] == theirs[key]} == {
        "coin", "px", "sz", "time", "hash", "tid", "twapId", "startPosition"
    }  # fmt: skip
    assert (ours["oid"], ours["cloid"], ours["crossed"], ours["side"], ours["dir"]) == (
        maker, cloid_of(3), False, "A", "Sell"
    )  # fmt: skip
    assert (theirs["crossed"], theirs["side"], theirs["dir"], "cloid" in theirs) == (True, "B", "Buy", False)
    assert (ours["fee"], ours["feeToken"]) == ("0.01047", "USDC")  # 26.175 x 0.04 %
    assert (theirs["fee"], theirs["feeToken"]) == ("0.000525", "HYPE")  # 0.75 x 0.07 %
    assert ours["startPosition"] == "28612.3" and 0 < ours["tid"] < 2**50
    [trade] = venue.last.trades
    assert trade["side"] == "B" and trade["users"] == [BOB, ALICE]
    assert trade["tid"] == ours["tid"] and trade["hash"] == ours["hash"]


def test_every_pair_of_orders_has_a_tid_of_its_own(venue):
    venue.place(ALICE, sell("34.9", "2", "Alo"), sell("35", "2", "Alo"))
    venue.place(BOB, buy("35", "3", "Ioc"))
    venue.place(BOB, buy("35", "1", "Ioc"))
    tids = [fill["tid"] for fill in venue.engine.fills(ALICE)]
    assert len(set(tids)) == 3
    assert tids == [fill["tid"] for fill in venue.engine.fills(BOB)]


def test_money_moves_to_the_unit(venue):
    before = {user: venue.engine.balance(user, HYPE_INDEX).total_units for user in (ALICE, BOB)}
    venue.place(ALICE, sell("34.9", "0.75", "Alo"))
    venue.place(BOB, buy("34.9", "0.75", "Ioc"))
    assert venue.engine.balance(ALICE, HYPE_INDEX).total_units == before[ALICE] - 75_000_000
    assert venue.engine.balance(ALICE, USDC_INDEX).total_units == 1_000_000 * ONE + 26_17500000 - 1047000
    assert venue.engine.balance(BOB, HYPE_INDEX).total_units == before[BOB] + 75_000_000 - 52_500
    assert venue.engine.balance(BOB, USDC_INDEX).total_units == 1_000_000 * ONE - 26_17500000
    assert venue.engine.balance(FEE_ACCOUNT, USDC_INDEX).total_units == 1047000
    assert venue.engine.balance(FEE_ACCOUNT, HYPE_INDEX).total_units == 52_500


def test_a_full_size_sell_after_a_buy_is_refused_because_the_fee_was_taken_in_base():
    venue = Venue(default_world(2).with_balance(ALICE, HYPE_INDEX, 0))
    venue.place(BOB, sell("34.9", "1"))
    venue.place(ALICE, buy("34.9", "1", "Ioc"))
    assert venue.place(ALICE, sell("36", "1")) == [error("Insufficient spot balance")]


def test_a_balance_knows_what_it_cost():
    venue = Venue(default_world(2).with_balance(ALICE, HYPE_INDEX, 0))
    venue.place(BOB, sell("30", "2"), sell("40", "2"))
    venue.place(ALICE, buy("40", "4", "Ioc"))
    assert [fill["closedPnl"] for fill in venue.engine.fills(ALICE)] == ["0.0", "0.0"]
    assert venue.engine.balance(ALICE, HYPE_INDEX).entry_e8 == 140 * ONE
    venue.place(BOB, buy("38", "2"))
    venue.place(ALICE, sell("38", "2", "Ioc"))
    [*_, fill] = venue.engine.fills(ALICE)
    # Two of the 3.9972 HYPE that the fee left go; what they cost goes with them.
    assert fill["closedPnl"] == "5.95096568"
    assert venue.engine.balance(ALICE, HYPE_INDEX).entry_e8 == 140 * ONE - (76 * ONE - 5_95096568)


def test_a_participant_of_the_house_trades_like_everybody(venue):
    house = venue.engine.world.house[0].address
    oid = venue.oid(house, sell("35", "1"))
    venue.place(CAROL, buy("35", "1", "Ioc"))
    assert (house, "filled") in [(user, update["status"]) for user, update in venue.last.order_updates]
    assert venue.engine.fills(house)[0]["oid"] == oid


def test_an_action_of_nobody_is_a_bug_of_the_caller(venue):
    with pytest.raises(ValueError, match="no account 0xnobody"):
        venue.engine.submit_direct("0xnobody", place(buy("34", "1")), 0)
    with pytest.raises(ValueError):
        venue.engine.submit_direct(ALICE, {"type": "orders"}, 0)
