"""The event log says exactly what it was told, and refuses what it cannot have written."""

from __future__ import annotations

import json
import math

import attrs
import pytest

from mmtrio.core import events
from mmtrio.core.event_log import KINDS, EventHash, decode_event, encode_event
from mmtrio.core.events import (
    Batch,
    BatchKind,
    CancelItem,
    Decision,
    Heard,
    MidsRead,
    ModifyItem,
    QuotingStopped,
    Reason,
    ReasonCode,
    SessionName,
    SubmitBatch,
    Tick,
    TokenBalance,
)
from mmtrio.core.types import Coin, Instant
from tests.support.builders import cloid, fill, instant, place_item

AT = Instant(1_500_000_000, 1_760_000_001_500)


def test_no_class_of_the_schema_is_missing() -> None:
    of_the_schema = {
        name
        for name, kind in vars(events).items()
        if isinstance(kind, type) and attrs.has(kind) and kind.__module__ == events.__name__
    }
    assert set(KINDS) == of_the_schema


def test_no_field_has_the_name_of_the_tag() -> None:
    assert [name for name, kind in KINDS.items() if "type" in attrs.fields_dict(kind)] == []


def test_a_line_looks_as_documented() -> None:
    assert encode_event(Tick(), AT) == '{"v":1,"at":[1500000000,1760000001500],"kind":"Tick","data":{}}'
    line = encode_event(Heard(SessionName.ACCOUNT, "pong"), AT)
    assert line.endswith('"kind":"Heard","data":{"feed":"pong","session":"account"}}')


def test_a_fill_returns_with_every_digit() -> None:
    event = fill(size_lots=10**30 + 1, fee_units=-(10**25) - 7)
    assert decode_event(encode_event(event, AT)) == (AT, event)


@pytest.mark.parametrize(
    "items",
    [
        (BatchKind.PLACE, (place_item(cloid(1)), place_item(cloid(2), level=1))),
        (BatchKind.MODIFY, (ModifyItem(cloid(1), place_item(cloid(2))),)),
        (BatchKind.CANCEL, (CancelItem(cloid(1), Coin("@107")),)),
    ],
)
def test_items_of_every_kind_return_as_what_they_were(items: tuple[BatchKind, tuple[object, ...]]) -> None:
    kind, contents = items
    decision = Decision(commands=(SubmitBatch(Batch(7, kind, contents, 15.0)),))  # type: ignore[arg-type]
    assert decode_event(encode_event(decision, AT)) == (AT, decision)


def test_a_line_is_one_line_whatever_the_text() -> None:
    event = events.Undecodable(None, "utf-8", "a\nb\r\u2028c\x00\ud800")
    line = encode_event(event, AT)
    assert line.isascii() and line.isprintable()
    assert decode_event(line) == (AT, event)


def test_the_order_of_a_mapping_does_not_show() -> None:
    one = MidsRead({Coin("A"): 1, Coin("B"): 2})
    other = MidsRead({Coin("B"): 2, Coin("A"): 1})
    assert encode_event(one, AT) == encode_event(other, AT)


def test_a_silence_without_beginning_is_valid_json_and_returns() -> None:
    event = QuotingStopped(Coin("@107"), Reason(ReasonCode.STARTING), math.inf)
    line = encode_event(event, AT)
    json.loads(line, parse_constant=pytest.fail)
    assert decode_event(line) == (AT, event)


def test_what_is_not_of_the_schema_is_not_written() -> None:
    with pytest.raises(TypeError, match="Instant has no place in the event log"):
        encode_event(AT, AT)

    class Tick:
        """A namesake."""

    with pytest.raises(TypeError, match="Tick has no place"):
        encode_event(Tick(), AT)


BALANCE = encode_event(TokenBalance(0, 5, 1), AT)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "not a line of an event log"),
        ('{"v":1,"at":[1', "not a line of an event log"),
        ("[]", "no version"),
        ('{"at":[1,2]}', "no version"),
        (BALANCE.replace('"v":1', '"v":2'), "version 2; this program reads version 1"),
        (BALANCE.replace('"v":1', '"v":true'), "version True"),
        (BALANCE.replace("TokenBalance", "Oracle"), "unknown kind of event: 'Oracle'"),
        (BALANCE.replace('"TokenBalance"', "[]"), r"unknown kind of event: \[\]"),
        (BALANCE.replace('"at"', '"then"'), "a line holds v, at, kind and data, not data, kind, then, v"),
        (BALANCE.replace("[1500000000,", "["), "not an instant"),
        (BALANCE.replace('"total_units":5', '"total_units":5.0'), "not an integer: 5.0.*total_units"),
        (BALANCE.replace('"total_units":5', '"total_units":"5"'), "not an integer: '5'"),
        (BALANCE.replace('"total_units":5', '"total_units":true'), "not an integer: True"),
        (BALANCE.replace('"total_units":5', '"total":5'), "missing or unknown 'total_units'"),
        (BALANCE.replace('"total_units":5', '"total_units":5,"x":1'), "Extra fields.*x"),
        (
            encode_event(Heard(SessionName.ACCOUNT, "x"), AT).replace("account", "bank"),
            "'bank' is not a valid",
        ),
        (encode_event(fill(), AT).replace('"size_lots":100', '"size_lots":0'), "size_lots must be positive"),
    ],
)
def test_a_broken_line_is_refused_with_its_cause(line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        decode_event(line)


def test_equal_runs_have_equal_hashes_and_others_have_not() -> None:
    def of(*story: tuple[object, float]) -> str:
        digest = EventHash()
        for event, seconds in story:
            digest.update(event, instant(seconds))
        return digest.hexdigest()

    story = ((Tick(), 1.0), (fill(), 2.0))
    assert of(*story) == of(*story)
    assert of(*story) != of(*reversed(story))
    assert of(*story) != of((Tick(), 1.0), (fill(), 2.001))
    assert of(*story) != of((Tick(), 1.0), (fill(tid=2), 2.0))


def test_the_hash_of_a_short_run_stays_what_it_is() -> None:
    """Changes only with the schema: then raise SCHEMA_VERSION, or old recordings become unreadable."""
    digest = EventHash()
    digest.update(Tick(), AT)
    digest.update(Heard(SessionName.MARKET, "l2Book:@107"), AT)
    assert digest.count == 2
    assert digest.hexdigest() == "814da836fa3e3564ac696ca5c4b62337fb3e3477f869ac2606044fe0499857b9"
