"""What real servers sent, through the codec and the translation: nothing unknown but channels we do not read.

The recordings lie beside this repository; where they are absent, a small sample of them is kept here.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmtrio.core import events as facts
from mmtrio.core.events import (
    BookRead,
    Fill,
    OrderUpdated,
    PublicTrade,
    ReadPurpose,
    SessionName,
    TouchChanged,
)
from mmtrio.core.types import Address, Coin
from mmtrio.wire.codec import decode_frame, is_echo_of
from mmtrio.wire.markets import MarketCatalog, build_catalog
from mmtrio.wire.messages import (
    AlreadySubscribed,
    Message,
    OtherFrame,
    RequestNotParsed,
    SubscriptionResponseFrame,
    UndecodableFrame,
)
from mmtrio.wire.translation import Translator, feed_of
from tests.support.builders import instant

_SHARED = Path(__file__).parents[3] / "shared"
_FIXTURES = _SHARED / "fixtures"
_REPLAYED_COIN = "WLFI"
_needs_recordings = pytest.mark.skipif(
    not _FIXTURES.exists(), reason="the shared recordings are not beside this repository"
)

_CHANNELS_WE_DO_NOT_READ = {"activeAssetCtx", "candle"}

_SAMPLE = (
    '{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":'
    '{"type":"l2Book","coin":"BTC","nSigFigs":null,"mantissa":null,"fast":true}}}',
    '{"channel":"l2Book","data":{"coin":"BTC","time":1790232236546,"levels":'
    '[[{"px":"84143.0","sz":"10.25923","n":36}],[{"px":"84144.0","sz":"50.66449","n":18}]]}}',
    '{"channel":"l2Book","data":{"coin":"MATIC","time":1790232237073,"levels":[[],[]]}}',
    '{"channel":"bbo","data":{"coin":"BTC","time":1790232237145,"bbo":'
    '[{"px":"84143.0","sz":"10.25923","n":36},{"px":"84144.0","sz":"50.66422","n":18}]}}',
    '{"channel":"orderUpdates","data":[{"order":{"coin":"BTC","side":"B","limitPx":"83000.0","sz":"0.01",'
    '"oid":556696349186,"timestamp":1790360256851,"origSz":"0.01",'
    '"cloid":"0x00000000000000000000000000000001"},"status":"open","statusTimestamp":1790360256851}]}',
    '{"channel":"error","data":"Already subscribed: {\\"type\\":\\"l2Book\\",\\"coin\\":\\"SOL\\",'
    '\\"nSigFigs\\":null,\\"mantissa\\":null,\\"fast\\":false}"}',
    '{"channel":"post","data":{"id":7,"response":{"type":"info","payload":{"type":"l2Book","data":null}}}}',
)


def _fixture(path: str) -> Any:
    return json.loads((_FIXTURES / path).read_text())


def _catalog() -> MarketCatalog:
    """The markets the recordings mention, with the decimals the venue gave them."""
    spot_meta = {
        "tokens": [
            {"index": 0, "name": "USDC", "szDecimals": 8, "weiDecimals": 8},
            {"index": 1, "name": "PURR", "szDecimals": 0, "weiDecimals": 5},
            {"index": 150, "name": "HYPE", "szDecimals": 2, "weiDecimals": 8},
        ],
        "universe": [
            {"index": 0, "name": "PURR/USDC", "tokens": [1, 0]},
            {"index": 107, "name": "@107", "tokens": [150, 0]},
        ],
    }
    decimals = {"BTC": 5, "ETH": 4, "SOL": 2, "MATIC": 1, "kPEPE": 0, "HYPE": 2, "AVAX": 2, "WLFI": 0}
    universe = [{"name": name, "szDecimals": size_decimals} for name, size_decimals in decimals.items()]
    metas = {"": {"universe": universe}, "xyz": {"universe": [{"name": "xyz:SP500", "szDecimals": 3}]}}
    return build_catalog(spot_meta, metas, [None, {"name": "xyz"}])


def _translator(catalog: MarketCatalog | None = None) -> Translator:
    return Translator(catalog or _catalog(), Address("0x" + "a1" * 20))


def _recorded_frames() -> Iterator[dict[str, Any]]:
    for row in _fixture("ws/captured_frames_2026-09.json"):
        if row["dir"] == "s>c":
            yield row["json"]
    for frame in _fixture("order_book_server/ws_messages.json"):
        if "channel" in frame:
            yield frame
    yield _fixture("nautilus/ws_allmids.json")


def _understood(frames: Iterator[str]) -> tuple[list[Message], list[facts.Event]]:
    translator = _translator()
    messages = [decode_frame(frame) for frame in frames]
    return messages, [
        event for message in messages for event in translator.events(message, SessionName.MARKET)
    ]


def test_a_sample_of_recorded_frames_is_understood() -> None:
    messages, events = _understood(iter(_SAMPLE))
    assert not [message for message in messages if isinstance(message, OtherFrame | UndecodableFrame)]
    assert [type(event) for event in events] == [BookRead, BookRead, TouchChanged, OrderUpdated]


@_needs_recordings
def test_every_recorded_frame_is_understood_or_of_a_channel_we_do_not_read() -> None:
    messages, events = _understood(json.dumps(frame) for frame in _recorded_frames())
    assert len(messages) >= 20
    assert not [message for message in messages if isinstance(message, UndecodableFrame)]
    others = {message.channel for message in messages if isinstance(message, OtherFrame)}
    assert others == _CHANNELS_WE_DO_NOT_READ

    kinds = Counter(type(event) for event in events)
    complaints = [event for event in events if isinstance(event, facts.Undecodable)]
    # Each frame of another channel is counted; the two other complaints are errors that the venue really sent.
    assert {complaint.what for complaint in complaints} == {"unknown channel", "error from the venue"}
    assert kinds[BookRead] >= 5
    assert kinds[TouchChanged] >= 2
    assert kinds[PublicTrade] >= 3
    assert kinds[Fill] == 1
    assert kinds[OrderUpdated] == 1


@_needs_recordings
def test_recorded_acknowledgements_and_errors_name_their_subscription() -> None:
    messages, _ = _understood(json.dumps(frame) for frame in _recorded_frames())
    echoes = [
        message.data.subscription for message in messages if isinstance(message, SubscriptionResponseFrame)
    ]
    assert any(is_echo_of(echo, {"type": "l2Book", "coin": "BTC", "fast": True}) for echo in echoes)
    assert any(is_echo_of(echo, {"type": "l2Book", "coin": "BTC", "nSigFigs": 5}) for echo in echoes)
    known = [message.subscription for message in messages if isinstance(message, AlreadySubscribed)]
    assert [is_echo_of(echo, {"type": "l2Book", "coin": "SOL"}) for echo in known] == [True]
    assert any(isinstance(message, RequestNotParsed) for message in messages)
    assert {feed_of(message) for message in messages} >= {
        "l2Book:kPEPE",
        "l2Book:xyz:SP500",
        "bbo:BTC",
        "pong",
    }


@_needs_recordings
def test_a_published_book_with_prices_the_venue_cannot_have_is_counted() -> None:
    frame = {"channel": "l2Book", "data": _fixture("nautilus/ws_book_data.json")}
    _, (event,) = _understood(iter([json.dumps(frame)]))
    assert isinstance(event, facts.Undecodable)
    assert "98449.75 has more than 1 decimals" in event.what


@_needs_recordings
def test_recorded_replies_are_readings() -> None:
    translator, at, purpose = _translator(), instant(), ReadPurpose.RECONCILE

    budget = translator.budget_read(
        _fixture("python-sdk-cassettes/user_rate_limit.json")["response"]["body"], at, purpose
    )
    assert budget.requests_cap == 10_000 + budget.volume_e8 // 10**8
    budget = translator.budget_read(
        _fixture("jkorf/Endpoints__Spot__Account__GetRateLimits.json")["response"], at, purpose
    )
    assert (budget.requests_used, budget.requests_cap, budget.requests_surplus) == (231, 10357, 0)

    balances = translator.balances_read(_fixture("nautilus/http_spot_clearinghouse_state.json"), at, purpose)
    assert [balance.token for balance in balances.balances] == [0, 1, 150]
    assert balances.by_token[1].hold_units == 100 * 10**5

    orders = _fixture("jkorf/Endpoints__Spot__Trading__GetOpenOrders.json")["response"]
    assert [order.coin for order in translator.open_orders_read(orders, at, purpose).orders] == ["BTC"]
    orders = _fixture("jkorf/Endpoints__Spot__Trading__GetOpenOrdersExtended.json")["response"]
    assert len(translator.open_orders_read(orders, at, purpose).orders) == 1
    trades = _fixture("jkorf/Endpoints__Spot__Trading__GetUserTrades.json")["response"]
    assert len(translator.fills_read(trades, 0, at, purpose).fills) == len(trades)
    assert translator.skipped_rows == 1  # The outcome token among the balances.


@_needs_recordings
def test_the_rows_of_2023_are_readings_too() -> None:
    meta = _fixture("python-sdk-cassettes/get_l2_snapshot__0_meta.json")["response"]["body"]
    spot_meta = {"tokens": [{"index": 0, "name": "USDC", "szDecimals": 8, "weiDecimals": 8}], "universe": []}
    translator = _translator(build_catalog(spot_meta, {"": meta}, [None]))
    at, purpose = instant(), ReadPurpose.RECONCILE

    rows = _fixture("python-sdk-cassettes/get_user_fills.json")["response"]["body"]
    read = translator.fills_read(rows, 0, at, purpose)
    assert len(read.fills) + translator.skipped_rows == len(
        rows
    )  # Every row is another fill, by its whole row.
    assert len(read.fills) > 100
    assert [fill.time_ms for fill in read.fills] == sorted(fill.time_ms for fill in read.fills)

    for cassette in ("get_open_orders", "get_frontend_open_orders"):
        rows = _fixture(f"python-sdk-cassettes/{cassette}.json")["response"]["body"]
        translator.skipped_rows = 0
        orders = translator.open_orders_read(rows, at, purpose).orders
        assert len(orders) + translator.skipped_rows == len(rows)


@_needs_recordings
def test_recorded_metadata_keeps_the_slot_of_a_delisted_perp() -> None:
    meta = _fixture("info/captured_2026-09-25.json")["meta_first6"]
    catalog = build_catalog(
        {"tokens": [{"index": 0, "name": "USDC", "szDecimals": 8, "weiDecimals": 8}], "universe": []},
        {"": meta},
        [None],
    )
    assert [market.asset for market in catalog.markets] == [0, 1, 2, 3, 4, 5]
    assert [market.coin for market in catalog.markets if market.is_delisted] == ["MATIC"]
    assert catalog.quarantined == ()


@_needs_recordings
def test_a_recorded_market_reads_exactly_for_its_first_thousand_books() -> None:
    path = _SHARED / "realdata/lob-2025-09-04" / f"l2_{_REPLAYED_COIN}.jsonl.gz"
    if not path.exists():
        pytest.skip("the recorded market is not beside this repository")
    translator = _translator()
    with gzip.open(path, "rt") as lines:
        for line, _ in zip(lines, range(1000), strict=False):
            row = json.loads(line)
            levels = [[{"px": price, "sz": size} for price, size in side] for side in row["levels"]]
            data = {"coin": row["coin"], "time": row["time"], "levels": levels}
            (event,) = translator.events(
                decode_frame(json.dumps({"channel": "l2Book", "data": data})), SessionName.MARKET
            )
            assert isinstance(event, BookRead), event
            assert event.coin == Coin(_REPLAYED_COIN)
            assert event.bids[0].price_ticks < event.asks[0].price_ticks
