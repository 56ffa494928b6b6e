"""A reply tells what became of each item; what it does not tell is unknown and never "no"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmtrio.core.events import Batch, BatchKind, CancelItem, ItemOutcome, ModifyItem, OutcomeKind, Refusal
from mmtrio.core.types import Coin
from mmtrio.wire.outcomes import batch_result
from mmtrio.wire.rows import Undecodable
from tests.support.builders import cloid, market, place_item

_FIXTURE = Path(__file__).parents[4] / "shared/fixtures/exchange/observed_responses.json"
_HYPE = market()
_MARKETS = {_HYPE.coin: _HYPE}


def _places(count: int) -> Batch:
    return Batch(1, BatchKind.PLACE, tuple(place_item(cloid(n + 1)) for n in range(count)), None)


def _modifies(count: int) -> Batch:
    items = tuple(ModifyItem(cloid(n + 1), place_item(cloid(n + 101))) for n in range(count))
    return Batch(2, BatchKind.MODIFY, items, None)


def _cancels(count: int) -> Batch:
    return Batch(
        3, BatchKind.CANCEL, tuple(CancelItem(cloid(n + 1), Coin("@107")) for n in range(count)), None
    )


def _ok(*statuses: Any, kind: str = "order") -> dict[str, Any]:
    return {"status": "ok", "response": {"type": kind, "data": {"statuses": list(statuses)}}}


def _result(batch: Batch, reply: Any) -> tuple[ItemOutcome, ...]:
    return batch_result(batch, reply, _MARKETS)


def _kinds(batch: Batch, reply: Any) -> list[OutcomeKind]:
    return [outcome.kind for outcome in _result(batch, reply)]


_R, _F, _C, _N, _U = (
    OutcomeKind.RESTING,
    OutcomeKind.FILLED,
    OutcomeKind.CANCELLED,
    OutcomeKind.REFUSED,
    OutcomeKind.UNKNOWN,
)


def test_each_order_has_its_own_outcome() -> None:
    error = "Post only order would have immediately matched, bbo was 34.88@34.9. asset=10107"
    reply = _ok(
        {"resting": {"oid": 5001, "cloid": cloid(1)}},
        {"filled": {"totalSz": "0.75", "avgPx": "34.9", "oid": 5002}},
        {"error": error},
        "waitingForTrigger",
    )
    assert _result(_places(4), reply) == (
        ItemOutcome(cloid(1), _R, oid=5001),
        ItemOutcome(cloid(2), _F, oid=5002, filled_lots=75),
        ItemOutcome(cloid(3), _N, refusal=Refusal.POST_ONLY_WOULD_MATCH, text=error),
        ItemOutcome(cloid(4), _R, text="waitingForTrigger"),
    )


def test_the_outcome_of_a_modify_is_the_new_orders() -> None:
    reply = _ok({"resting": {"oid": 9}}, {"error": "Cannot modify canceled or filled order"})
    assert _result(_modifies(2), reply) == (
        ItemOutcome(cloid(101), _R, oid=9),
        ItemOutcome(
            cloid(102), _N, refusal=Refusal.CANNOT_MODIFY, text="Cannot modify canceled or filled order"
        ),
    )


def test_a_modify_answered_by_default_rests_with_an_oid_yet_to_come() -> None:
    reply = {"status": "ok", "response": {"type": "default"}}
    assert _result(_modifies(1), reply) == (ItemOutcome(cloid(101), _R, text="default"),)
    assert _kinds(_places(2), reply) == [_U, _U]


def test_cancels_succeed_or_find_nothing_each_for_itself() -> None:
    missing = {"error": "Order was never placed, already canceled, or filled. asset=10107"}
    outcomes = _result(_cancels(3), _ok("success", missing, missing, kind="cancel"))
    assert [outcome.kind for outcome in outcomes] == [_C, _N, _N]
    assert outcomes[1].refusal is Refusal.MISSING_ORDER


@pytest.mark.parametrize("batch", [_places(3), _modifies(3), _cancels(3)])
def test_one_error_for_many_items_speaks_of_all(batch: Batch) -> None:
    outcomes = _result(batch, _ok({"error": "Order has zero size."}))
    assert [(outcome.kind, outcome.refusal) for outcome in outcomes] == [(_N, Refusal.INVALID_SIZE)] * 3


@pytest.mark.parametrize("batch", [_places(2), _modifies(2), _cancels(2)])
def test_a_refused_request_refuses_every_item(batch: Batch) -> None:
    outcomes = _result(batch, {"status": "err", "response": "Action already expired"})
    assert [(outcome.kind, outcome.refusal) for outcome in outcomes] == [(_N, Refusal.EXPIRED)] * 2
    assert {outcome.text for outcome in outcomes} == {"Action already expired"}


def test_what_a_short_reply_does_not_mention_is_unknown() -> None:
    resting = {"resting": {"oid": 1}}
    assert _kinds(_places(3), _ok(resting)) == [_R, _U, _U]
    assert _kinds(_places(3), _ok({"error": "x"}, {"error": "x"})) == [_N, _N, _U]
    assert _kinds(_places(2), _ok()) == [_U, _U]


def test_more_statuses_than_items_leave_all_unknown() -> None:
    resting = {"resting": {"oid": 1}}
    outcomes = _result(_places(2), _ok(resting, resting, resting))
    assert [outcome.kind for outcome in outcomes] == [_U, _U]
    assert outcomes[0].text == "3 statuses for 2 items"


@pytest.mark.parametrize(
    "status",
    [
        {"queued": {"oid": 1}},
        "thinkingAboutIt",
        "success",
        None,
        7,
        [],
        {},
        {"error": 5},
        {"resting": {}},
        {"resting": {"oid": "1"}},
        {"resting": {"oid": 1, "cloid": 5}},
        {"resting": {"oid": 1, "cloid": "0x00000000000000000000000000000009"}},  # Somebody else's status.
        {"filled": {"oid": 1, "totalSz": "0.755"}},
        {"filled": {"oid": 1, "totalSz": "NaN"}},
        {"filled": {"oid": 1, "totalSz": 1}},
        {"filled": {"oid": 1, "totalSz": "0.0"}},
    ],
)
def test_a_status_that_makes_no_sense_leaves_its_own_item_unknown_and_no_other(status: Any) -> None:
    outcomes = _result(_places(2), _ok(status, {"resting": {"oid": 2}}))
    assert [outcome.kind for outcome in outcomes] == [_U, _R]
    assert outcomes[0].text


def test_a_cancel_that_rests_makes_no_sense() -> None:
    assert _kinds(_cancels(1), _ok({"resting": {"oid": 1}})) == [_U]


@pytest.mark.parametrize(
    "reply",
    [
        None,
        "ok",
        [],
        {},
        {"status": "ok"},
        {"status": "maybe", "response": {}},
        {"status": "ok", "response": "done"},
        {"status": "ok", "response": {"type": "order"}},
        {"status": "ok", "response": {"type": "order", "data": {"statuses": "success"}}},
        {"response": {"type": "default"}},
    ],
)
def test_a_reply_of_no_known_shape_is_undecodable(reply: Any) -> None:
    with pytest.raises(Undecodable):
        _result(_places(1), reply)


def test_an_error_that_is_no_text_still_refuses() -> None:
    outcomes = _result(_places(1), {"status": "err", "response": {"code": 7}})
    assert (outcomes[0].kind, outcomes[0].refusal, outcomes[0].text) == (_N, Refusal.OTHER, "{'code': 7}")


@pytest.mark.skipif(not _FIXTURE.exists(), reason="the shared fixtures are not beside this repository")
def test_recorded_replies_to_orders_and_cancels_have_no_unknown_outcome() -> None:
    counts: dict[OutcomeKind, int] = {}
    for row in json.loads(_FIXTURE.read_text()):
        body = row["response"]
        kind = body["response"].get("type") if body["status"] == "ok" else None
        if kind not in ("order", "cancel"):
            continue
        size = len(body["response"]["data"]["statuses"])
        batch = _cancels(size) if kind == "cancel" else _places(size)
        # The recordings are of several markets, whose sizes have up to five decimals.
        fine = {_HYPE.coin: market(size_decimals=5, base=None)}
        for outcome in batch_result(batch, body, fine):
            counts[outcome.kind] = counts.get(outcome.kind, 0) + 1
    assert _U not in counts
    assert counts[_F] >= 5
    assert counts[_R] >= 3
