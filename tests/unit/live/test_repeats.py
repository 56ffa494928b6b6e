"""What is written of lines that repeat themselves."""

from __future__ import annotations

import logging

from mmtrio.core.events import (
    Batch,
    BatchDone,
    BatchKind,
    ItemOutcome,
    OrderEnded,
    OutcomeKind,
    QuotingStopped,
    Reason,
    ReasonCode,
    Refusal,
    Remark,
)
from mmtrio.core.types import Side
from mmtrio.live.narration import Narrator
from mmtrio.live.repeats import Repeats, with_left_out
from tests.support.builders import cloid, instant, market, place_item, slot


def narrator() -> Narrator:
    return Narrator({market().coin: market()}, {})


def shown(caplog, level: int = logging.INFO) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


def test_the_first_is_told_and_then_one_a_minute_with_the_number_left_out():
    repeats = Repeats()
    admitted = [(second, repeats.admit("x", instant(second))) for second in range(181)]
    assert [each for each in admitted if each[1] is not None] == [(0, 0), (60, 59), (120, 59), (180, 59)]


def test_topics_do_not_hide_each_other():
    repeats = Repeats()
    assert repeats.admit("x", instant(0)) == 0
    assert repeats.admit("y", instant(1)) == 0
    assert repeats.admit("x", instant(2)) is None


def test_the_memory_of_topics_is_bounded():
    repeats = Repeats(topics_max=3)
    for number in range(100):
        assert repeats.admit(str(number), instant(0)) == 0
    assert len(repeats._told) == 3


def test_the_number_left_out_is_written_only_where_there_is_one():
    assert with_left_out("it failed", 0) == "it failed"
    assert with_left_out("it failed", 3) == "it failed (3 more like this were left out)"


def test_an_hour_of_refusals_is_some_sixty_lines(caplog):
    caplog.set_level(logging.INFO)
    told = narrator()
    for second in range(0, 3_600, 5):
        told.tell(Remark(f"account session {second} ended: refused", True, "account session: refused"), instant(second))
    lines = shown(caplog)
    assert len(lines) == 60
    assert lines[1] == "account session 60 ended: refused (11 more like this were left out)"


def test_remarks_without_a_topic_are_all_told(caplog):
    caplog.set_level(logging.INFO)
    told = narrator()
    for _ in range(3):
        told.tell(Remark("re-based"), instant(0))
    assert shown(caplog) == ["re-based"] * 3


def refused_batch(count: int, text: str) -> tuple[Batch, BatchDone]:
    items = tuple(place_item(cloid=cloid(number)) for number in range(count))
    outcomes = tuple(
        ItemOutcome(item.cloid, OutcomeKind.REFUSED, refusal=Refusal.OTHER, text=text.format(number))
        for number, item in enumerate(items)
    )
    return Batch(1, BatchKind.PLACE, items, 15.0), BatchDone(1, outcomes, 0.1)


def test_a_refused_batch_is_two_lines_however_many_orders_it_had(caplog):
    caplog.set_level(logging.INFO)
    narrator().tell_batch(*refused_batch(100, "too many requests"))
    first, second = shown(caplog)
    assert first == "place batch=1 items=100 refused=100 took_ms=100"
    assert second.startswith(f"refused batch=1 items=100 cloid={cloid(0)}..{cloid(99)}: too many requests")


def test_refusals_that_differ_in_numbers_share_a_line_where_they_are_many(caplog):
    caplog.set_level(logging.INFO)
    narrator().tell_batch(*refused_batch(100, "Insufficient spot balance asset={}"))
    assert len(shown(caplog)) == 2
    caplog.clear()
    narrator().tell_batch(*refused_batch(3, "Insufficient spot balance asset={}"))
    assert len(shown(caplog)) == 4


def ended(status: str, oid: int | None) -> OrderEnded:
    return OrderEnded(cloid(1), oid, slot(), market().coin, Side.BUY, 35_000_000, 100, 0, status, 1.0)


def test_every_order_that_rested_has_a_line_at_its_end_and_one_that_never_did_only_at_debug(caplog):
    caplog.set_level(logging.DEBUG)
    told = narrator()
    for status, oid in (("canceled", 7), ("never arrived", None), ("refused: 429", None), ("not sent", None)):
        told.tell(ended(status, oid), instant(0))
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO", "DEBUG", "DEBUG"]


def test_stopping_on_purpose_is_no_warning(caplog):
    caplog.set_level(logging.INFO)
    told = narrator()
    for code in (ReasonCode.STOPPING, ReasonCode.ACCOUNT_SESSION_DOWN):
        told.tell(QuotingStopped(market().coin, Reason(code), 0.0), instant(0))
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
