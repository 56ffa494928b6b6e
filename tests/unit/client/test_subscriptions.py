"""Which answers are about which subscription."""

from __future__ import annotations

import pytest

from mmtrio.client.subscriptions import is_quoted, matches, name_of

USER = "0x" + "aB" * 20
BOOK = {"type": "l2Book", "coin": "@107", "fast": True}


@pytest.mark.parametrize(
    ("ours", "echo"),
    [
        (BOOK, {"type": "l2Book", "coin": "@107", "nSigFigs": None, "mantissa": None, "fast": True}),
        (BOOK, {"type": "l2Book", "coin": "@107"}),  # A key the venue does not know is dropped.
        (BOOK, {"type": "l2Book", "coin": "@107", "fast": True, "invented": "tomorrow"}),
        (
            {"type": "userFills", "user": USER},
            {"type": "userFills", "user": USER.lower(), "aggregateByTime": False},
        ),
        ({"type": "allMids", "dex": ""}, {"type": "allMids"}),
        ({"type": "allMids"}, {"type": "allMids", "dex": None}),
    ],
)
def test_an_echo_is_recognised_however_it_is_normalised(ours, echo):
    assert matches(ours, echo)


@pytest.mark.parametrize(
    "echo",
    [
        {},
        {"type": "l2Book"},
        {"type": "trades", "coin": "@107"},
        {"type": "l2Book", "coin": "@108"},
        {"type": "l2Book", "coin": "@107", "fast": False},
        {"type": "l2Book", "coin": None},
    ],
)
def test_an_echo_of_something_else_is_not(echo):
    assert not matches(BOOK, echo)


def test_the_case_of_a_coin_counts():
    assert not matches({"type": "bbo", "coin": "BTC"}, {"type": "bbo", "coin": "btc"})


def test_a_request_that_is_read_back_is_recognised():
    assert is_quoted(
        BOOK, '{"method":"subscribe","subscription":{"type":"l2Book","coin":"@107","fast":true}}'
    )
    for text in ("", "{", "[]", '{"subscription":7}', '{"subscription":{"type":"bbo","coin":"@107"}}'):
        assert not is_quoted(BOOK, text)


def test_names_are_for_people():
    assert [name_of(BOOK), name_of({"type": "orderUpdates", "user": USER})] == ["l2Book:@107", "orderUpdates"]
