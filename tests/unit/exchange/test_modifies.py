from __future__ import annotations

import pytest

from tests.support.exchange_actions import (
    ALICE,
    BOB,
    HYPE,
    PURR,
    Venue,
    batch_modify,
    buy,
    cancel,
    cloid_of,
    modify,
    sell,
)

DEAD = "Cannot modify canceled or filled order"


@pytest.fixture
def venue() -> Venue:
    return Venue()


def test_a_modified_order_has_a_new_oid_and_the_old_one_ends(venue):
    old = venue.oid(ALICE, buy("34", "2", "Alo", cloid=cloid_of(1)))
    row = buy("33.9", "1.5", "Alo", cloid=cloid_of(1))
    [status] = venue.statuses(ALICE, batch_modify((cloid_of(1), row)))
    new = status["resting"]["oid"]
    assert new > old and status["resting"]["cloid"] == cloid_of(1)
    assert venue.told(ALICE) == [(new, "open", "1.5"), (old, "canceled", "2.0")]
    assert [o["oid"] for o in venue.engine.open_orders(ALICE)] == [new]
    assert venue.engine.balance(ALICE, 0).hold_units == 50_85000000
    assert venue.info("orderStatus", ALICE, oid=cloid_of(1))["order"]["order"]["oid"] == new


def test_a_modified_order_goes_to_the_end_of_its_queue(venue):
    first = venue.oid(ALICE, buy("34", "2"))
    venue.oid(BOB, buy("34", "2"))
    venue.statuses(ALICE, batch_modify((first, buy("34", "2", "Alo"))))
    venue.place(venue.engine.world.house[0].address, sell("34", "2", "Ioc"))
    assert venue.told(BOB)[0][1] == "filled" and venue.told(ALICE) == []


def test_a_cloid_that_is_not_sent_again_is_lost(venue):
    venue.oid(ALICE, buy("34", "2", cloid=cloid_of(1)))
    [status] = venue.statuses(ALICE, batch_modify((cloid_of(1), buy("33", "2", "Alo"))))
    assert "cloid" not in status["resting"] and "cloid" not in venue.last.order_updates[0][1]["order"]


def test_a_dead_target_is_an_error_of_its_element_and_places_nothing(venue):
    live = venue.oid(ALICE, buy("34", "1"))
    gone = venue.oid(ALICE, buy("33", "1"))
    venue.statuses(ALICE, cancel(gone))
    row = buy("32", "1", "Alo")
    dead, moved = venue.statuses(ALICE, batch_modify((gone, row), (live, row)))
    assert dead == {"error": DEAD} and "resting" in moved
    assert len(venue.engine.open_orders(ALICE)) == 1


def test_always_place_places_where_the_target_is_dead(venue):
    [status] = venue.statuses(ALICE, batch_modify((12, buy("34", "1")), always=True))
    assert "resting" in status


def test_the_order_of_somebody_else_is_a_dead_target(venue):
    theirs = venue.oid(BOB, buy("34", "1"))
    assert venue.statuses(ALICE, batch_modify((theirs, buy("33", "1", "Alo")))) == [{"error": DEAD}]


def test_a_single_modify_answers_without_oid_or_refuses_as_a_whole(venue):
    oid = venue.oid(ALICE, buy("34", "1"))
    assert venue.act(ALICE, modify(oid, buy("33", "1", "Alo"))) == {
        "status": "ok",
        "response": {"type": "default"},
    }
    assert venue.act(ALICE, modify(oid, buy("33", "1", "Alo"))) == {"status": "err", "response": DEAD}


def test_a_single_modify_has_no_statuses_for_an_error_of_its_payload_either(venue):
    oid = venue.oid(ALICE, buy("34", "1"))
    assert venue.act(ALICE, modify(oid, buy("33", "0", "Alo"))) == {
        "status": "err",
        "response": f"Order has zero size. asset={HYPE}",
    }
    assert venue.statuses(ALICE, batch_modify((oid, buy("33", "0", "Alo")))) == [
        {"error": f"Order has zero size. asset={HYPE}"}
    ]
    assert [o["oid"] for o in venue.engine.open_orders(ALICE)] == [oid]


def test_side_and_asset_stay_what_they_were(venue):
    oid = venue.oid(ALICE, buy("34", "1"))
    text = "Order modify cannot change asset or side. asset="
    assert venue.statuses(ALICE, batch_modify((oid, sell("36", "1", "Alo")))) == [{"error": f"{text}{HYPE}"}]
    purr = buy("0.14", "100", "Alo", asset=PURR)
    assert venue.statuses(ALICE, batch_modify((oid, purr))) == [{"error": f"{text}{PURR}"}]
    assert [o["oid"] for o in venue.engine.open_orders(ALICE)] == [oid]


def test_a_gtc_order_becomes_post_only_in_a_modify(venue):
    oid = venue.oid(ALICE, buy("34", "1"))
    venue.statuses(ALICE, batch_modify((oid, buy("33", "1"))))
    assert venue.info("frontendOpenOrders", ALICE)[0]["tif"] == "Alo"


def test_a_modify_that_would_match_ends_both_orders(venue):
    venue.oid(BOB, sell("35", "1"))
    oid = venue.oid(ALICE, buy("34", "1"))
    [status] = venue.statuses(ALICE, batch_modify((oid, buy("35", "1"))))
    assert status["error"].startswith("Post only order would have immediately matched, bbo was 0@35.")
    assert venue.told(ALICE) == [(oid, "canceled", "1.0")]
    assert venue.engine.balance(ALICE, 0).hold_units == 0


@pytest.mark.parametrize(
    "row, text",
    [
        (buy("34.0001", "1", "Alo"), "Price must be divisible by tick size."),
        (buy("34", "0.1", "Alo"), "Order must have minimum value of 10 USDC."),
        (buy("34", "1", "Ioc"), "Order modify must be post only."),
    ],
)
def test_a_modify_that_could_never_be_leaves_the_old_order_alone(venue, row, text):
    oid = venue.oid(ALICE, buy("34", "1"))
    assert venue.statuses(ALICE, batch_modify((oid, row))) == [{"error": f"{text} asset={HYPE}"}]
    assert [o["oid"] for o in venue.engine.open_orders(ALICE)] == [oid]


def test_a_modify_may_use_what_the_old_order_held(venue):
    oid = venue.oid(ALICE, sell("36", "28612.3"))
    [status] = venue.statuses(ALICE, batch_modify((oid, sell("37", "28612.3", "Alo"))))
    assert "resting" in status


def test_always_place_may_take(venue):
    venue.oid(BOB, sell("35", "1"))
    oid = venue.oid(ALICE, buy("34", "1"))
    [status] = venue.statuses(ALICE, batch_modify((oid, buy("35", "1")), always=True))
    assert status["filled"]["totalSz"] == "1.0"
    assert venue.told(ALICE)[-1] == (oid, "canceled", "1.0")
