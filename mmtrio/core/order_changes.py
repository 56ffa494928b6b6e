"""What a change of the orders asks of the desk, and the collector that puts it together."""

from __future__ import annotations

import attrs

from mmtrio.core.events import CancelItem, Mismatch, MismatchKind, Note, Remark
from mmtrio.core.types import Cloid, Coin


@attrs.frozen
class Changes:
    """What one event did to the orders, and what it makes necessary."""

    notes: tuple[Note, ...] = ()
    queries: tuple[Cloid, ...] = ()
    """Ask `orderStatus` for these."""
    adopt_cancels: tuple[CancelItem, ...] = ()
    """Orders of this instance that rest on the venue and have no place here: cancel them."""
    touched: tuple[Coin, ...] = ()
    """Markets whose capacity or slots changed: requote."""
    read_fills: bool = False
    """Read the account again: fills are owed, or an absent order wants a second look."""
    is_new_fill: bool = False
    """The fill moves inventory. False for a replay and for history."""
    is_ours: bool = False
    """The fill is on an order of this instance, as far as is known now."""


@attrs.define
class ChangesDraft:
    """Collects while an event is handled; keeps the order of things and drops repetitions."""

    is_new_fill: bool = False
    is_ours: bool = False
    read_fills: bool = False
    notes: list[Note] = attrs.field(factory=list)
    _queries: dict[Cloid, None] = attrs.field(factory=dict)
    _adopt_cancels: dict[Cloid, CancelItem] = attrs.field(factory=dict)
    _touched: dict[Coin, None] = attrs.field(factory=dict)

    def touch(self, coin: Coin) -> None:
        self._touched[coin] = None

    def query(self, cloid: Cloid) -> None:
        self._queries[cloid] = None

    def adopt_cancel(self, cloid: Cloid, coin: Coin) -> None:
        self._adopt_cancels[cloid] = CancelItem(cloid, coin)

    def remark(self, text: str, *, is_warning: bool = False) -> None:
        self.notes.append(Remark(text, is_warning))

    def mismatch(self, kind: MismatchKind, detail: str, coin: Coin) -> None:
        self.notes.append(Mismatch(kind, detail, coin))

    def finish(self) -> Changes:
        return Changes(
            notes=tuple(self.notes),
            queries=tuple(self._queries),
            adopt_cancels=tuple(self._adopt_cancels.values()),
            touched=tuple(self._touched),
            read_fills=self.read_fills,
            is_new_fill=self.is_new_fill,
            is_ours=self.is_ours,
        )
