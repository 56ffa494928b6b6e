"""Every frame becomes a message: typed where we know its channel, named where we do not, never an exception."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mmtrio.wire.codec import (
    EXCERPT_LENGTH_MAX,
    decode_frame,
    encode_ping,
    encode_post,
    encode_subscribe,
    encode_unsubscribe,
    is_echo_of,
)
from mmtrio.wire.messages import (
    AllMidsFrame,
    AlreadySubscribed,
    AlreadyUnsubscribed,
    BboFrame,
    ClearinghouseStateFrame,
    GreetingFrame,
    InvalidSubscription,
    L2BookFrame,
    OpenOrdersFrame,
    OrderUpdatesFrame,
    OtherError,
    OtherFrame,
    PongFrame,
    PostFrame,
    RequestNotParsed,
    SpotStateFrame,
    SubscriptionResponseFrame,
    TooManyPosts,
    TooManyUsers,
    TradesFrame,
    UndecodableFrame,
    UserEventsFrame,
    UserFillsFrame,
    WireLevel,
)
from tests.support.wire_samples import CLOID, USER, fill_row, frame, frames, level, update_row

_CLASS_OF_CHANNEL = {
    "l2Book": L2BookFrame,
    "bbo": BboFrame,
    "trades": TradesFrame,
    "allMids": AllMidsFrame,
    "orderUpdates": OrderUpdatesFrame,
    "userFills": UserFillsFrame,
    "user": UserEventsFrame,
    "spotState": SpotStateFrame,
    "clearinghouseState": ClearinghouseStateFrame,
    "openOrders": OpenOrdersFrame,
    "post": PostFrame,
    "pong": PongFrame,
    "subscriptionResponse": SubscriptionResponseFrame,
    "error": AlreadySubscribed,
}


@pytest.mark.parametrize("channel", frames())
def test_a_frame_of_a_known_channel_is_typed(channel: str) -> None:
    assert type(decode_frame(frames()[channel])) is _CLASS_OF_CHANNEL[channel]
    assert type(decode_frame(frames()[channel].encode())) is _CLASS_OF_CHANNEL[channel]


def test_a_book_keeps_its_levels_in_order_and_as_text() -> None:
    message = decode_frame(frames()["l2Book"])
    assert isinstance(message, L2BookFrame)
    bids, asks = message.data.levels
    assert bids == [WireLevel("34.967", "2.85", 2), WireLevel("34.9", "10.0", 1)]
    assert asks == [WireLevel("34.969", "1473.06", 3)]


def test_a_fill_keeps_what_identifies_it() -> None:
    message = decode_frame(frames()["userFills"])
    assert isinstance(message, UserFillsFrame)
    assert message.data.isSnapshot is True
    fill = message.data.fills[0]
    assert (fill.tid, fill.oid, fill.time, fill.cloid) == (
        1045359869404765,
        257770947487,
        1764840678849,
        CLOID,
    )


def test_the_status_of_an_update_stands_beside_the_order() -> None:
    message = decode_frame(frames()["orderUpdates"])
    assert isinstance(message, OrderUpdatesFrame)
    assert [(row.status, row.order.sz) for row in message.data] == [("open", "0.49"), ("filled", "0.0")]


def test_keys_in_another_order_and_unknown_keys_change_nothing() -> None:
    known = json.loads(frames()["bbo"])
    shuffled = {"data": {"new": [1], **known["data"]}, "extra": {}, "channel": "bbo"}
    assert decode_frame(json.dumps(shuffled)) == decode_frame(frames()["bbo"])


def test_keys_that_old_and_new_servers_leave_out_may_be_missing() -> None:
    row = fill_row()
    for key in ("tid", "feeToken", "cloid", "twapId", "startPosition"):
        del row[key]
    message = decode_frame(frame("userFills", {"user": USER, "fills": [row]}))
    assert isinstance(message, UserFillsFrame)
    assert (message.data.isSnapshot, message.data.fills[0].tid, message.data.fills[0].cloid) == (
        None,
        0,
        None,
    )


def test_an_order_without_cloid_decodes() -> None:
    row = update_row()
    del row["order"]["cloid"]
    message = decode_frame(frame("orderUpdates", [row]))
    assert isinstance(message, OrderUpdatesFrame)
    assert message.data[0].order.cloid is None


def test_a_status_of_the_future_is_just_text() -> None:
    message = decode_frame(frame("orderUpdates", [update_row("moonPhaseCanceled")]))
    assert isinstance(message, OrderUpdatesFrame)
    assert message.data[0].status == "moonPhaseCanceled"


@pytest.mark.parametrize(
    "data", [{"funding": {"usdc": "1.0"}}, {"nonUserCancel": [{"coin": "BTC", "oid": 1}]}, {}]
)
def test_every_kind_of_user_event_decodes(data: dict[str, Any]) -> None:
    assert isinstance(decode_frame(frame("user", data)), UserEventsFrame)


@pytest.mark.parametrize("channel", ["candle", "activeAssetCtx", "webData3", "fromTheFuture", ""])
def test_a_frame_of_an_unknown_channel_is_named(channel: str) -> None:
    assert decode_frame(frame(channel, {"any": ["thing"]})) == OtherFrame(channel)


def test_the_greeting_of_old_servers_is_no_error() -> None:
    assert isinstance(decode_frame("Websocket connection established."), GreetingFrame)
    assert isinstance(decode_frame(b"Websocket connection established."), GreetingFrame)


# Broken frames


def _broken(channel: str, path: list[Any], value: Any = ...) -> str:
    """A good frame with the value at `path` replaced, or removed."""
    parsed = json.loads(frames()[channel])
    inner = parsed
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return json.dumps(parsed)


@pytest.mark.parametrize(
    "text",
    [
        _broken("l2Book", ["data", "levels", 0, 0, "px"]),
        _broken("l2Book", ["data", "levels", 0, 0, "px"], float("nan")),
        _broken("l2Book", ["data", "levels", 0, 0, "px"], 34.967),
        _broken("l2Book", ["data", "levels"], [[]]),
        _broken("l2Book", ["data", "time"], "now"),
        _broken("l2Book", ["data"]),
        _broken("bbo", ["data", "bbo"], [None]),
        _broken("trades", ["data", 0, "sz"], None),
        _broken("trades", ["data"], {}),
        _broken("allMids", ["data", "mids", "BTC"], 1),
        _broken("orderUpdates", ["data", 0, "status"]),
        _broken("orderUpdates", ["data", 0, "order"], None),
        _broken("userFills", ["data", "fills", 0, "oid"], "1"),
        _broken("userFills", ["data", "fills", 0, "crossed"], "true"),
        _broken("userFills", ["data", "user"]),
        _broken("spotState", ["data", "spotState", "balances", 0, "total"]),
        _broken("post", ["data", "id"]),
        _broken("post", ["data", "response"], None),
        _broken("subscriptionResponse", ["data", "subscription"], []),
        _broken("error", ["data"], {}),
    ],
)
def test_broken_data_of_a_known_channel_is_undecodable_and_says_which(text: str) -> None:
    message = decode_frame(text)
    assert isinstance(message, UndecodableFrame)
    assert message.excerpt.startswith("{")
    assert message.cause


def test_the_place_of_the_defect_is_named() -> None:
    message = decode_frame(_broken("l2Book", ["data", "levels", 0, 1, "px"]))
    assert isinstance(message, UndecodableFrame)
    assert message.channel == "l2Book"
    assert "`px` - at `$.data.levels[0][1]`" in message.cause


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "7",
        "[]",
        "{}",
        '{"channel":7}',
        '{"channel":"pong"',
        "<html>502 Bad Gateway</html>",
        "Websocket connection established",
        "\ud800",
        b"\xff\xfe\x00",
        "[" * 100_000,
        '{"channel":"post","data":' + "[" * 100_000,
        '{"channel":"candle","data":NaN}',
    ],
)
def test_text_that_is_no_frame_is_undecodable(text: str | bytes) -> None:
    assert isinstance(decode_frame(text), UndecodableFrame)


def test_a_number_of_absurd_length_is_undecodable() -> None:
    row = json.dumps(fill_row()).replace("1764840678849", "9" * 10_000)
    assert isinstance(decode_frame(f'{{"channel":"user","data":{{"fills":[{row}]}}}}'), UndecodableFrame)


def test_an_excerpt_is_short_and_can_be_logged() -> None:
    message = decode_frame("\ud800" + "x" * 10_000)
    assert isinstance(message, UndecodableFrame)
    assert len(message.excerpt) == EXCERPT_LENGTH_MAX
    message.excerpt.encode()


# The error channel


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (
            'Already subscribed: {"type":"bbo","coin":"BTC"}',
            AlreadySubscribed({"type": "bbo", "coin": "BTC"}),
        ),
        ('Already unsubscribed: {"type":"bbo"}', AlreadyUnsubscribed({"type": "bbo"})),
        ('Invalid subscription {"type":"l2Book"}', InvalidSubscription({"type": "l2Book"})),
        (
            'Error parsing JSON into valid websocket request: {"method":"x"}',
            RequestNotParsed('{"method":"x"}'),
        ),
        ("Cannot track more than 15 total users.", TooManyUsers("Cannot track more than 15 total users.")),
        (
            "too many pending post requests id=17",
            TooManyPosts(17, "too many pending post requests id=17"),
        ),
        ("Already subscribed: to what?", OtherError("Already subscribed: to what?")),
        ("Already subscribed: [1]", OtherError("Already subscribed: [1]")),
        ("too many pending post requests", OtherError("too many pending post requests")),
        ("Anything new", OtherError("Anything new")),
    ],
)
def test_error_texts_are_understood(text: str, meaning: object) -> None:
    assert decode_frame(frame("error", text)) == meaning


_SENT = {"type": "l2Book", "coin": "BTC"}


@pytest.mark.parametrize(
    ("echo", "sent", "is_echo"),
    [
        ({**_SENT, "nSigFigs": None, "mantissa": None, "fast": False}, _SENT, True),
        ({**_SENT, "nSigFigs": None, "mantissa": None, "fast": True}, _SENT, False),
        ({**_SENT, "nSigFigs": None, "fast": True}, {**_SENT, "fast": True}, True),
        (_SENT, {**_SENT, "fast": False}, True),
        (_SENT, {**_SENT, "fast": True}, False),
        ({**_SENT, "coin": "ETH"}, _SENT, False),
        (
            {"type": "userFills", "user": USER, "aggregateByTime": False},
            {"type": "userFills", "user": USER},
            True,
        ),
        ({"type": "orderUpdates", "user": USER}, {"type": "orderUpdates", "user": USER.upper()}, False),
        ({"type": "orderUpdates", "user": USER}, {"type": "orderUpdates", "user": "0x" + "A1" * 20}, True),
    ],
)
def test_an_echo_is_recognised_through_the_venues_defaults(
    echo: dict[str, Any], sent: dict[str, Any], is_echo: bool
) -> None:
    assert is_echo_of(echo, sent) is is_echo


# What we send


def test_requests_are_spelled_as_the_venue_reads_them() -> None:
    subscription = {"type": "l2Book", "coin": "@107", "fast": True}
    assert json.loads(encode_subscribe(subscription)) == {"method": "subscribe", "subscription": subscription}
    assert json.loads(encode_unsubscribe(subscription)) == {
        "method": "unsubscribe",
        "subscription": subscription,
    }
    assert encode_ping() == '{"method":"ping"}'
    assert json.loads(encode_post(5, "info", {"type": "meta"})) == {
        "method": "post",
        "id": 5,
        "request": {"type": "info", "payload": {"type": "meta"}},
    }


def test_the_order_of_keys_in_a_posted_action_survives() -> None:
    text = encode_post(1, "action", {"action": {"type": "order", "orders": [{"a": 1, "b": True, "p": "1"}]}})
    assert text.index('"type":"order"') < text.index('"orders"') < text.index('"a"') < text.index('"p"')


def test_levels_may_lack_their_order_count() -> None:
    bare = {key: value for key, value in level("1.0", "2.0").items() if key != "n"}
    message = decode_frame(frame("l2Book", {"coin": "@107", "time": 1, "levels": [[bare], []]}))
    assert isinstance(message, L2BookFrame)
    assert message.data.levels[0][0].n == 1
