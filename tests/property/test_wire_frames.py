"""Nothing the venue can send, or a broken one could, raises or goes unheard."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core import events as facts
from mmtrio.core.events import Batch, BatchKind, CancelItem, OutcomeKind, ReadPurpose, SessionName
from mmtrio.core.types import Address, Coin
from mmtrio.wire.codec import decode_error_text, decode_frame, encode_post, encode_subscribe, is_echo_of
from mmtrio.wire.messages import Message, OtherFrame, UndecodableFrame
from mmtrio.wire.outcomes import batch_result
from mmtrio.wire.refusals import classify, parse_bbo
from mmtrio.wire.translation import Translator, Undecodable, feed_of
from tests.support.builders import cloid, instant, market, place_item
from tests.support.wire_samples import USER, catalog, fill_row, frames, order_row, update_row

_TRANSLATOR = Translator(catalog(), Address(USER))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_ODD_VALUES = _JSON | st.sampled_from(
    ["NaN", "-1", "1e9", "0", "@107", "@9", "B", "0x", "9" * 60, 1 << 70, -1]
)


def _handled(message: Message) -> list[facts.Event]:
    """The whole way of a frame; a message without a name or an event of no kind would fail here."""
    assert isinstance(feed_of(message), str)
    return _TRANSLATOR.events(message, SessionName.MARKET)


@given(raw=st.text() | st.binary())
def test_any_text_or_bytes_are_handled(raw: str | bytes) -> None:
    _handled(decode_frame(raw))


@given(channel=st.sampled_from(sorted(frames())) | st.text(max_size=8), data=_JSON)
def test_any_data_on_any_channel_is_handled(channel: str, data: Any) -> None:
    _handled(decode_frame(json.dumps({"channel": channel, "data": data})))


def _places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside a parsed frame, itself left out."""
    inside: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    return [place for key, part in inside for place in [(*path, key), *_places_in(part, (*path, key))]]


@settings(max_examples=200)
@given(data=st.data(), channel=st.sampled_from(sorted(frames())), value=_ODD_VALUES, remove=st.booleans())
def test_a_frame_with_any_one_value_replaced_or_removed_is_handled(
    data: st.DataObject, channel: str, value: Any, remove: bool
) -> None:
    parsed = json.loads(frames()[channel])
    *path, last = data.draw(st.sampled_from(_places_in(parsed)))
    inner = parsed
    for key in path:
        inner = inner[key]
    if remove:
        del inner[last]
    else:
        inner[last] = value
    _handled(decode_frame(json.dumps(parsed)))


@given(channel=st.sampled_from(sorted(frames())), cut=st.integers(min_value=1, max_value=2000))
def test_a_truncated_frame_is_undecodable(channel: str, cut: int) -> None:
    text = frames()[channel]
    message = decode_frame(text[: max(0, len(text) - cut)])
    assert isinstance(message, UndecodableFrame)


@given(channel=st.text(min_size=1, max_size=20).filter(lambda channel: channel not in frames()), data=_JSON)
def test_a_frame_of_any_other_channel_is_counted(channel: str, data: Any) -> None:
    text = json.dumps({"channel": channel, "data": data}, allow_nan=True)
    message = decode_frame(text)
    assert isinstance(message, OtherFrame | UndecodableFrame)
    assert [type(event) for event in _handled(message)] == [facts.Undecodable]


@given(text=st.text() | st.text(max_size=30).map(lambda rest: "Already subscribed: " + rest))
def test_any_error_text_is_handled(text: str) -> None:
    _handled(decode_error_text(text))
    classify(text)
    parse_bbo(text)


_SUBSCRIPTIONS = st.dictionaries(
    st.text(max_size=8), st.none() | st.booleans() | st.text(max_size=8) | st.integers(0, 5), max_size=5
)


@given(subscription=_SUBSCRIPTIONS)
def test_a_subscription_is_sent_as_given_and_echoes_itself(subscription: dict[str, Any]) -> None:
    assert json.loads(encode_subscribe(subscription))["subscription"] == subscription
    assert is_echo_of(subscription, subscription)
    normalised = {
        **{key: None for key in ("nSigFigs", "mantissa") if key not in subscription},
        **subscription,
    }
    assert is_echo_of(normalised, subscription)


@given(post_id=st.integers(0, 1 << 53), payload=_SUBSCRIPTIONS)
def test_a_post_is_sent_as_given(post_id: int, payload: dict[str, Any]) -> None:
    sent = json.loads(encode_post(post_id, "info", payload))
    assert (sent["id"], sent["request"]) == (post_id, {"type": "info", "payload": payload})


# Replies

_AT = instant()
_MARKETS = {Coin("@107"): market()}
_BATCHES = [
    Batch(1, BatchKind.PLACE, tuple(place_item(cloid(n)) for n in (1, 2, 3)), None),
    Batch(2, BatchKind.CANCEL, tuple(CancelItem(cloid(n), Coin("@107")) for n in (1, 2, 3)), None),
]
_STATUSES = st.one_of(
    st.just("success"),
    st.just({"resting": {"oid": 1}}),
    st.just({"filled": {"oid": 1, "totalSz": "0.5", "avgPx": "1.0"}}),
    st.text(max_size=20).map(lambda text: {"error": text}),
    _JSON,
)


@given(batch=st.sampled_from(_BATCHES), statuses=st.lists(_STATUSES, max_size=5))
def test_every_item_has_one_outcome_whatever_the_statuses(batch: Batch, statuses: list[Any]) -> None:
    reply = {"status": "ok", "response": {"type": "order", "data": {"statuses": statuses}}}
    outcomes = batch_result(batch, reply, _MARKETS)
    assert [outcome.cloid for outcome in outcomes] == [cloid(1), cloid(2), cloid(3)]
    for outcome in outcomes:
        assert (outcome.refusal is not None) == (outcome.kind is OutcomeKind.REFUSED)
        assert (outcome.filled_lots > 0) == (outcome.kind is OutcomeKind.FILLED)


@given(batch=st.sampled_from(_BATCHES), reply=_JSON)
def test_any_reply_to_a_batch_has_outcomes_or_is_undecodable(batch: Batch, reply: Any) -> None:
    try:
        assert len(batch_result(batch, reply, _MARKETS)) == 3
    except Undecodable:
        pass


@given(
    key=st.sampled_from(
        sorted({*fill_row(), *order_row(), "status", "order", "total", "cumVlm", "nRequestsUsed"})
    ),
    value=_ODD_VALUES,
)
def test_any_reply_is_a_reading_or_undecodable(key: str, value: Any) -> None:
    purpose = ReadPurpose.RECONCILE
    balance = {"coin": "USDC", "token": 0, "total": "1.0", "hold": "0.0", key: value}
    readings = [
        lambda: _TRANSLATOR.open_orders_read([{**order_row(), key: value}], _AT, purpose),
        lambda: _TRANSLATOR.fills_read([{**fill_row(), key: value}], 0, _AT, purpose),
        lambda: _TRANSLATOR.balances_read({"balances": [balance]}, _AT, purpose),
        lambda: _TRANSLATOR.budget_read(
            {"cumVlm": "1.0", "nRequestsUsed": 1, "nRequestsCap": 2, key: value}, _AT, purpose
        ),
        lambda: _TRANSLATOR.order_status_read(
            cloid(1), {"status": "order", "order": update_row(), key: value}, _AT
        ),
        lambda: _TRANSLATOR.open_orders_read(value, _AT, purpose),
        lambda: _TRANSLATOR.balances_read(value, _AT, purpose),
    ]
    for read in readings:
        try:
            read()
        except Undecodable:
            pass
