"""What the account's stream owes, and by when."""

from __future__ import annotations

import attrs

from mmtrio.core.events import FillSource
from mmtrio.core.stream_witness import StreamWitness
from tests.support.builders import cloid, fill, instant


def live(at_s: float = 0.0) -> StreamWitness:
    witness = StreamWitness()
    witness.on_stream_live(instant(at_s))
    return witness


def test_an_accepted_order_is_due_on_the_stream_after_five_seconds():
    witness = live()
    witness.on_accepted(cloid(1), instant(1), instant(2))
    assert witness.overdue_update(instant(6.9)) is None
    assert witness.overdue_update(instant(7.0)) == cloid(1)


def test_its_update_pays_the_debt_and_any_other_does_not():
    witness = live()
    witness.on_accepted(cloid(1), instant(1), instant(2))
    witness.on_updated(cloid(2))
    witness.on_updated(None)
    assert witness.is_owed
    witness.on_updated(cloid(1))
    assert not witness.is_owed


def test_orders_sent_before_the_stream_was_there_are_not_owed():
    witness = live(5.0)
    witness.on_accepted(cloid(1), instant(4.9), instant(6))
    assert not witness.is_owed
    witness.on_accepted(cloid(2), instant(5.0), instant(6))
    assert witness.is_owed
    witness.forget()
    witness.on_accepted(cloid(3), instant(7), instant(8))
    assert not witness.is_owed


def found(**changes: object):
    return attrs.evolve(fill(), source=FillSource.RECONCILE, **changes)


def test_a_fill_that_a_reconciliation_found_is_told_when_the_stream_was_heard_after_it_was_due():
    witness = live()
    witness.on_fill(found(), is_new=True, is_stream_live=True, at=instant(10))
    assert witness.overdue_fills(instant(14.9)) == ()
    (mismatch,) = witness.overdue_fills(instant(15.0))
    assert "oid 1" in mismatch.detail
    assert witness.overdue_fills(instant(16.0)) == ()  # Told once.


def test_a_fill_that_the_stream_brings_after_all_is_paid():
    for source in (FillSource.STREAM, FillSource.SNAPSHOT):
        witness = live()
        witness.on_fill(found(), is_new=True, is_stream_live=True, at=instant(10))
        witness.on_fill(attrs.evolve(found(), source=source), is_new=False, is_stream_live=True, at=instant(12))
        assert witness.overdue_fills(instant(100)) == ()


def test_what_was_known_or_happened_without_a_stream_is_not_owed():
    witness = live()
    witness.on_fill(found(), is_new=False, is_stream_live=True, at=instant(10))
    witness.on_fill(found(), is_new=True, is_stream_live=False, at=instant(10))
    caught_up = attrs.evolve(fill(), source=FillSource.CATCH_UP)
    witness.on_fill(caught_up, is_new=True, is_stream_live=True, at=instant(10))
    assert not witness.is_owed
