"""Collects what one event leads to, until the desk answers with it."""

from __future__ import annotations

import attrs

from mmtrio.core.events import Command, Decision, Note, Reason, Remark
from mmtrio.core.types import Coin


@attrs.define
class DecisionDraft:
    """A decision in the making."""

    commands: list[Command] = attrs.field(factory=list)
    reasons: list[Reason] = attrs.field(factory=list)
    notes: list[Note] = attrs.field(factory=list)
    due: set[Coin] = attrs.field(factory=set)
    """Markets to requote before the desk answers; read only by membership, so its order never shows."""

    def remark(self, text: str, *, is_warning: bool = False, topic: str = "") -> None:
        self.notes.append(Remark(text, is_warning, topic))

    def finish(self) -> Decision:
        return Decision(tuple(self.commands), tuple(self.reasons), tuple(self.notes))
