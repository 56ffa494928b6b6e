"""Frames of clients, understood as the venue understands them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmtrio.exchange.client_frames import Hangup, Ping, Post, Refused, Subscribe, Unsubscribe, understand

USER = "0x" + "aB" * 20


def is_listed(coin: str) -> bool:
    return coin in ("BTC", "@107", "PURR/USDC")


def subscribe(**subscription: object) -> object:
    return understand(json.dumps({"method": "subscribe", "subscription": subscription}), is_listed)


@pytest.mark.parametrize(
    ("asked", "normalised"),
    [
        ({"type": "allMids"}, {"type": "allMids"}),
        ({"type": "allMids", "dex": ""}, {"type": "allMids"}),
        ({"type": "bbo", "coin": "BTC", "extra": 1}, {"type": "bbo", "coin": "BTC"}),
        (
            {"fast": True, "coin": "@107", "type": "l2Book"},
            {"type": "l2Book", "coin": "@107", "nSigFigs": None, "mantissa": None, "fast": True},
        ),
        (
            {"type": "l2Book", "coin": "@107", "nSigFigs": 5, "mantissa": 2},
            {"type": "l2Book", "coin": "@107", "nSigFigs": 5, "mantissa": 2, "fast": False},
        ),
        (
            {"type": "userFills", "user": USER},
            {"type": "userFills", "user": USER.lower(), "aggregateByTime": False},
        ),
        (
            {"type": "spotState", "user": USER},
            {"type": "spotState", "user": USER.lower(), "ignorePortfolioMargin": False},
        ),
        ({"type": "openOrders", "user": USER}, {"type": "openOrders", "user": USER.lower(), "dex": ""}),
        ({"type": "orderUpdates", "user": USER}, {"type": "orderUpdates", "user": USER.lower()}),
    ],
)
def test_subscriptions_are_normalised_as_the_venue_echoes_them(
    asked: dict[str, Any], normalised: dict
) -> None:
    request = subscribe(**asked)
    assert isinstance(request, Subscribe)
    assert request.topic.subscription == normalised
    assert list(request.topic.subscription) == list(normalised), "keys in the venue's order"
    assert request.topic.text == json.dumps(normalised, separators=(",", ":"))


def test_equal_subscriptions_are_one_topic_however_they_were_written() -> None:
    short, long = (
        subscribe(type="l2Book", coin="BTC"),
        subscribe(fast=False, mantissa=None, coin="BTC", type="l2Book"),
    )
    assert short == long
    assert hash(short.topic) == hash(long.topic)
    assert short != subscribe(type="l2Book", coin="BTC", fast=True)


@pytest.mark.parametrize(
    "subscription",
    [
        {"type": "bbo", "coin": "btc"},
        {"type": "trades", "coin": "@999"},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 6},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 1},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 5, "mantissa": 3},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 4, "mantissa": 2},
    ],
)
def test_what_the_venue_does_not_know_ends_the_socket(subscription: dict[str, Any]) -> None:
    assert isinstance(subscribe(**subscription), Hangup)
    frame = json.dumps({"method": "unsubscribe", "subscription": subscription})
    assert isinstance(understand(frame, is_listed), Unsubscribe), "unsubscribing from it is merely useless"


@pytest.mark.parametrize("kind", ["candle", "webData3", "userFundings"])
def test_feeds_this_exchange_lacks_are_refused_in_words(kind: str) -> None:
    assert subscribe(type=kind, coin="BTC") == Refused(
        f'Invalid subscription {{"type":"{kind}","coin":"BTC"}}'
    )
    assert isinstance(subscribe(type="allMids", dex="xyz"), Refused)
    assert subscribe(type="openOrders", user=USER, dex="xyz") == Refused(
        f'Invalid subscription {{"type":"openOrders","user":"{USER.lower()}","dex":"xyz"}}'
    )


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "7",
        "{",
        '{"method":"subscribe"}',
        '{"method":"subscribe","subscription":[]}',
        '{"method":"subscribe","subscription":{"type":"bbo"}}',
        '{"method":"subscribe","subscription":{"type":"l2Book","coin":"BTC","nSigFigs":true}}',
        '{"method":"subscribe","subscription":{"type":"l2Book","coin":"BTC","fast":1}}',
        '{"method":"subscribe","subscription":{"type":"userFills","user":"0xabc"}}',
        '{"method":"post","id":-1,"request":{"type":"info","payload":{}}}',
        '{"method":"post","id":true,"request":{"type":"info","payload":{}}}',
        '{"method":"post","id":1,"request":{"type":"explorer","payload":{}}}',
        '{"method":"post","id":1,"request":{"type":"info"}}',
        "[" * 50_000,
    ],
)
def test_what_is_no_request_is_quoted_back(frame: str) -> None:
    prefix = "Error parsing JSON into valid websocket request: "
    assert understand(frame, is_listed) == Refused(prefix + frame)


def test_pings_and_posts_are_understood() -> None:
    assert understand('{"method":"ping"}', is_listed) == Ping()
    assert understand(b'{"method":"ping"}', is_listed) == Ping()
    post = {"method": "post", "id": 256, "request": {"type": "info", "payload": {"type": "meta"}}}
    assert understand(json.dumps(post), is_listed) == Post(256, "info", {"type": "meta"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["method", "subscription", "type", "coin", "user", "id", "request", "payload", "nSigFigs"]
            ),
            inner | st.sampled_from(["subscribe", "post", "l2Book", "userFills", "BTC", "info"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.text(max_size=30) | st.binary(max_size=30) | json_values.map(json.dumps))
def test_no_frame_is_a_surprise(frame: str | bytes) -> None:
    kinds = (Ping, Subscribe, Unsubscribe, Post, Refused, Hangup)
    assert isinstance(understand(frame, is_listed), kinds)
