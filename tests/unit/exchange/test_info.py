from __future__ import annotations

import pytest

from mmtrio.exchange.engine import EngineParams, InfoRefused
from tests.support.exchange_actions import ALICE, BOB, START_MS, Venue, buy, cancel, cloid_of, sell

NOBODY = "0x" + "12" * 20


@pytest.fixture
def venue() -> Venue:
    return Venue()


# Lag


def test_accounts_are_told_half_a_second_late(venue):
    oid = venue.oid(ALICE, buy("34.9", "2", cloid=cloid_of(1)))
    placed_ms = venue.now_ms

    def asked_at(now_ms: int, request_type: str, **more):
        return venue.engine.info({"type": request_type, "user": ALICE, **more}, now_ms)

    assert asked_at(placed_ms + 499, "openOrders") == []
    assert asked_at(placed_ms + 499, "orderStatus", oid=cloid_of(1)) == {"status": "unknownOid"}
    assert asked_at(placed_ms + 499, "spotClearinghouseState")["balances"][0]["hold"] == "0.0"
    assert [o["oid"] for o in asked_at(placed_ms + 500, "openOrders")] == [oid]
    assert asked_at(placed_ms + 500, "orderStatus", oid=oid)["order"]["status"] == "open"
    assert asked_at(placed_ms + 500, "spotClearinghouseState")["balances"][0]["hold"] == "69.8"


def test_what_was_there_at_the_start_is_told_from_the_first_moment(venue):
    asked = venue.engine.info({"type": "spotClearinghouseState", "user": ALICE}, START_MS)
    assert asked["balances"] == venue.engine.balances(ALICE) != []


def test_an_order_that_is_gone_is_still_told_for_a_while(venue):
    oid = venue.oid(ALICE, buy("34.9", "2"))
    for _ in range(10):
        venue.block()
    venue.statuses(ALICE, cancel(oid))
    request = {"type": "openOrders", "user": ALICE}
    assert [o["oid"] for o in venue.engine.info(request, venue.now_ms + 499)] == [oid]
    assert venue.engine.info(request, venue.now_ms + 500) == []


def test_fills_come_with_the_same_lag(venue):
    venue.oid(ALICE, sell("34.9", "1"))
    venue.place(BOB, buy("34.9", "1", "Ioc"))
    request = {"type": "userFillsByTime", "user": ALICE, "startTime": 0}
    assert venue.engine.info(request, venue.now_ms + 499) == []
    assert len(venue.engine.info(request, venue.now_ms + 500)) == 1


def test_streams_and_the_budget_have_no_lag(venue):
    venue.oid(ALICE, buy("34.9", "2"))
    assert len(venue.info("openOrders", ALICE, lag_ms=0)) == 1
    assert venue.info("openOrders", ALICE, lag_ms=None) == []


def test_the_lagging_view_catches_up_with_everything(venue):
    for n in range(30):
        venue.place(ALICE, sell(f"{35 + n}", "1", cloid=cloid_of(n)))
        venue.place(BOB, buy("50", "0.5", "Ioc"))
    for _ in range(10):
        venue.block()
    for request_type in ("openOrders", "historicalOrders", "userFills", "spotClearinghouseState"):
        assert venue.info(request_type, ALICE, lag_ms=None) == venue.info(request_type, ALICE, lag_ms=0)


# Orders


def test_an_order_is_told_at_every_length(venue):
    oid = venue.oid(ALICE, buy("34.9", "2", "Alo", cloid=cloid_of(1)))
    basic = {
        "coin": "@107", "side": "B", "limitPx": "34.9", "sz": "2.0", "oid": oid, "timestamp": venue.now_ms,
        "origSz": "2.0", "cloid": cloid_of(1),
    }  # fmt: skip
    frontend = basic | {
        "triggerCondition": "N/A", "isTrigger": False, "triggerPx": "0.0", "children": [],
        "isPositionTpsl": False, "reduceOnly": False, "orderType": "Limit", "tif": "Alo",
    }  # fmt: skip
    assert venue.info("openOrders", ALICE) == [basic]
    assert venue.info("frontendOpenOrders", ALICE) == venue.engine.open_orders(ALICE) == [frontend]
    status = {"order": frontend, "status": "open", "statusTimestamp": venue.now_ms}
    assert venue.info("orderStatus", ALICE, oid=oid) == {"status": "order", "order": status}
    assert venue.info("orderStatus", BOB, oid=oid) == {"status": "unknownOid"}


def test_an_order_without_cloid_has_none_or_null(venue):
    venue.oid(ALICE, buy("34.9", "2"))
    assert "cloid" not in venue.info("openOrders", ALICE)[0]
    assert venue.info("frontendOpenOrders", ALICE)[0]["cloid"] is None


def test_a_filled_order_has_no_size_left(venue):
    oid = venue.oid(ALICE, sell("34.9", "1"))
    venue.place(BOB, buy("34.9", "1", "Ioc"))
    told = venue.info("orderStatus", ALICE, oid=oid)["order"]
    assert (told["status"], told["order"]["sz"], told["order"]["origSz"]) == ("filled", "0.0", "1.0")


def test_ended_orders_are_forgotten_by_count_and_open_ones_never():
    venue = Venue(params=EngineParams(ended_orders_max=3))
    oids = [venue.oid(ALICE, buy("34", "1", cloid=cloid_of(n))) for n in range(5)]
    venue.statuses(ALICE, cancel(*oids[1:]))
    known = [venue.info("orderStatus", ALICE, oid=cloid_of(n))["status"] for n in range(5)]
    assert known == ["order", "unknownOid", "order", "order", "order"]
    assert [row["order"]["oid"] for row in venue.info("historicalOrders", ALICE)] == [*oids[:1:-1], oids[0]]


# Fills


def test_fills_are_paged_by_time(venue):
    venue.oid(ALICE, sell("34.9", "10"))
    times = []
    for _ in range(3):
        venue.place(BOB, buy("34.9", "1", "Ioc"))
        times.append(venue.now_ms)

    def told(**more) -> list[int]:
        return [fill["time"] for fill in venue.info("userFillsByTime", ALICE, **more)]

    assert told(startTime=0) == times
    assert told(startTime=times[1]) == times[1:]
    assert told(startTime=0, endTime=times[1]) == times[:2]
    assert told(startTime=0, reversed=True) == times[::-1]
    assert [fill["time"] for fill in venue.info("userFills", ALICE)] == times[::-1]


def test_a_page_of_fills_holds_the_oldest_two_thousand():
    venue = Venue()
    venue.oid(ALICE, sell("34.9", "2010"))
    for _ in range(21):
        venue.place(BOB, *[buy("34.9", "1", "Ioc")] * 100)
    page = venue.info("userFillsByTime", ALICE, startTime=0)
    assert len(page) == 2000 and page[0]["startPosition"] == "28612.3"
    assert len(venue.info("userFills", ALICE)) == 2000
    assert venue.info("userFills", ALICE)[0]["startPosition"] == "26603.3"


def test_only_so_many_fills_are_kept():
    venue = Venue(params=EngineParams(fills_max=2))
    venue.oid(ALICE, sell("34.9", "3"))
    venue.place(BOB, *[buy("34.9", "1", "Ioc")] * 3)
    assert [fill["startPosition"] for fill in venue.engine.fills(ALICE)] == ["28611.3", "28610.3"]


# Accounts


def test_nobody_has_nothing(venue):
    assert venue.info("spotClearinghouseState", NOBODY) == {"balances": []}
    assert venue.info("openOrders", NOBODY) == venue.info("userFills", NOBODY) == []
    assert venue.info("userRole", NOBODY) == {"role": "missing"}
    assert venue.info("userRateLimit", NOBODY)["nRequestsCap"] == 10_000
    assert (
        venue.engine.open_orders(NOBODY) == venue.engine.fills(NOBODY) == venue.engine.balances(NOBODY) == []
    )


def test_a_balance_row(venue):
    venue.oid(ALICE, sell("36", "1.5"))
    rows = venue.info("spotClearinghouseState", ALICE)["balances"]
    hype = next(row for row in rows if row["coin"] == "HYPE")
    assert hype == {
        "coin": "HYPE", "token": 150, "total": "28612.3", "hold": "1.5", "entryNtl": "999999.885"
    }  # fmt: skip


def test_addresses_may_be_written_in_capitals(venue):
    venue.oid(ALICE, buy("34.9", "2"))
    assert len(venue.info("openOrders", "0x" + ALICE[2:].upper())) == 1


def test_there_is_an_empty_perp_account_and_no_subaccount(venue):
    assert venue.info("clearinghouseState", ALICE)["assetPositions"] == []
    assert venue.info("subAccounts", ALICE) is None
    assert venue.info("userFees", ALICE)["userSpotAddRate"] == "0.0004"
    assert venue.info("userFees", ALICE)["userSpotCrossRate"] == "0.0007"


# Markets


def test_metadata_names_tokens_by_index_and_numbers_perps_by_position(venue):
    meta = venue.info("spotMeta")
    tokens = {token["index"]: token for token in meta["tokens"]}
    pairs = {pair["name"]: pair for pair in meta["universe"]}
    assert tokens[150]["name"] == "HYPE" and tokens[150]["szDecimals"] == 2
    assert pairs["@107"]["tokens"] == [150, 0] and pairs["PURR/USDC"]["index"] == 0
    assert len(tokens) - 1 < max(tokens), "positions must not pass for indices"
    perps = venue.info("meta")["universe"]
    assert [perp["name"] for perp in perps] == ["BTC", "ETH", "MATIC", "SOL", "HYPE", "OP"]
    assert [perp.get("isDelisted") for perp in perps].count(True) == 1
    assert venue.info("perpDexs") == [None]
    assert [len(part) for part in venue.info("metaAndAssetCtxs")[1:]] == [len(perps)]
    assert [ctx["coin"] for ctx in venue.info("spotMetaAndAssetCtxs")[1]] == list(pairs)


def test_books_are_told_best_first_to_twenty_levels(venue):
    venue.place(ALICE, *[buy(f"{20 + n}", "1") for n in range(10)], buy("29", "0.5"), sell("36", "1"))
    book = venue.info("l2Book", coin="@107")
    assert book["levels"][0][:2] == [{"px": "29.0", "sz": "1.5", "n": 2}, {"px": "28.0", "sz": "1.0", "n": 1}]
    assert book["levels"][1] == [{"px": "36.0", "sz": "1.0", "n": 1}]
    assert (book["coin"], book["time"]) == ("@107", venue.now_ms)
    venue.place(ALICE, *[buy(f"{10 + n / 10:.1f}".removesuffix(".0"), "1") for n in range(30)])
    assert len(venue.info("l2Book", coin="@107")["levels"][0]) == 20


def test_books_are_merged_away_from_the_touch(venue):
    prices = ("34.121", "34.129", "34.13", "34.2")
    venue.place(ALICE, *[buy(price, "1") for price in prices], sell("35.121", "1"), sell("35.2", "1"))
    bids, asks = venue.info("l2Book", coin="@107", nSigFigs=4)["levels"]
    assert [(level["px"], level["n"]) for level in bids] == [("34.2", 1), ("34.13", 1), ("34.12", 2)]
    assert [level["px"] for level in asks] == ["35.13", "35.2"]
    bids, _ = venue.info("l2Book", coin="@107", nSigFigs=5, mantissa=5)["levels"]
    assert [level["px"] for level in bids] == ["34.2", "34.13", "34.125", "34.12"]


def test_a_listed_perp_has_an_empty_book(venue):
    assert venue.info("l2Book", coin="BTC")["levels"] == [[], []]
    assert venue.info("recentTrades", coin="BTC") == []


@pytest.mark.parametrize("coin", ["hype", "@9", "HYPE/USDC", "xyz:SP500"])
def test_an_unknown_coin_is_a_server_error(venue, coin):
    for request_type in ("l2Book", "recentTrades"):
        with pytest.raises(InfoRefused) as refused:
            venue.info(request_type, coin=coin)
        assert (refused.value.status, refused.value.text) == (500, "null")
    assert not venue.engine.is_listed(coin)


def test_mids_are_of_the_touch_or_of_the_last_price(venue):
    assert venue.info("allMids")["@107"] == "34.95"
    venue.place(ALICE, buy("34.9", "1"), sell("34.901", "1"))
    mids = venue.info("allMids")
    assert mids["@107"] == "34.9005" and mids["PURR/USDC"] == "0.14" and mids["BTC"] == "84143.0"
    assert "MATIC" not in mids


def test_recent_trades_are_told_newest_first(venue):
    venue.oid(ALICE, sell("34.9", "3"))
    for size in ("1", "2"):
        venue.place(BOB, buy("34.9", size, "Ioc"))
    assert [trade["sz"] for trade in venue.info("recentTrades", coin="@107")] == ["2.0", "1.0"]
    assert venue.info("spotMetaAndAssetCtxs")[1][2]["dayBaseVlm"] == "3.0"
    assert venue.info("spotMetaAndAssetCtxs")[1][2]["dayNtlVlm"] == "104.7"


def test_the_exchange_tells_its_time(venue):
    assert venue.info("exchangeStatus") == {"time": START_MS, "specialStatuses": None}


@pytest.mark.parametrize(
    "request_body",
    [
        None,
        [],
        {},
        {"type": 5},
        {"type": "candleSnapshot"},
        {"type": "openOrders"},
        {"type": "openOrders", "user": "0x12"},
        {"type": "orderStatus", "user": ALICE},
        {"type": "orderStatus", "user": ALICE, "oid": "0x12"},
        {"type": "userFillsByTime", "user": ALICE},
        {"type": "l2Book"},
        {"type": "l2Book", "coin": "@107", "nSigFigs": 6},
    ],
)
def test_a_request_of_another_type_is_answered_with_422(venue, request_body):
    with pytest.raises(InfoRefused) as refused:
        venue.engine.info(request_body, START_MS)
    assert refused.value.status == 422
    assert refused.value.text == "Failed to deserialize the JSON body into the target type"
