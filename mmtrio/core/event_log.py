"""Events, commands and decisions as JSON lines and back: what recording, replay and the equality of runs rest on.

    {"v":1,"at":[mono_ns,wall_ms],"kind":"Tick","data":{}}

Equal values give equal lines: keys are sorted, numbers are written one way. Integers keep all their digits, so a
reader that turns them into floats loses money. An instant inside is [mono_ns, wall_ms], an enum its value, and a
member of a union says which it is under "type".
"""

from __future__ import annotations

import enum
import hashlib
import json
import math
from typing import Any, get_args

import attrs
import cattrs
from cattrs.strategies import configure_tagged_union

from mmtrio.core import events
from mmtrio.core.events import SCHEMA_VERSION
from mmtrio.core.types import Instant

KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        *get_args(events.Event),
        *get_args(events.Command),
        *get_args(events.Note),
        events.Decision,
        events.Reason,
        # Parts of the above, which people log and compare on their own.
        events.FillKey,
        events.RestingOrder,
        events.TokenBalance,
        events.Level,
        events.ItemOutcome,
        events.PlaceItem,
        events.ModifyItem,
        events.CancelItem,
        events.Batch,
    )
}
"""Everything that has a line of its own, by the name that the line gives it."""

_TAG = "type"
"""No class may have a field of this name."""

_ITEM = events.PlaceItem | events.ModifyItem | events.CancelItem


def encode_event(event: object, at: Instant) -> str:
    """One line of JSON, without its end of line, for anything in `KINDS`.

    Raises:
        TypeError: it is not one of `KINDS`.
    """
    kind = type(event).__name__
    if KINDS.get(kind) is not type(event):
        raise TypeError(f"{kind} has no place in the event log")
    data = json.dumps(_CONVERTER.unstructure(event), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f'{{"v":{SCHEMA_VERSION},"at":[{at.mono_ns},{at.wall_ms}],"kind":"{kind}","data":{data}}}'


def decode_event(line: str) -> tuple[Instant, object]:
    """The instant and the value that `encode_event` wrote.

    Raises:
        ValueError: not such a line: it says what is wrong, first of all the version and the kind.
    """
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError(f"not a line of an event log: {error}") from None
    if not isinstance(record, dict) or "v" not in record:
        raise ValueError("not a line of an event log: no version")
    if record["v"] != SCHEMA_VERSION or isinstance(record["v"], bool):
        raise ValueError(f"event log of version {record['v']!r}; this program reads version {SCHEMA_VERSION}")
    name = record.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"unknown kind of event: {name!r}")
    if record.keys() != {"v", "at", "kind", "data"}:
        raise ValueError(f"a line holds v, at, kind and data, not {', '.join(sorted(record))}")
    try:
        return _CONVERTER.structure(record["at"], Instant), _CONVERTER.structure(record["data"], kind)
    except Exception as error:  # cattrs raises groups of whatever the fields' own checks raise.
        raise ValueError(f"broken {name}: {'; '.join(_explain(error))}") from error


@attrs.define
class EventHash:
    """A running SHA-256 over the lines of a run: two runs are equal if their hashes are."""

    _digest: Any = attrs.field(factory=hashlib.sha256, init=False, repr=False)
    count: int = attrs.field(default=0, init=False)

    def update(self, event: object, at: Instant) -> None:
        """Take in the next event, command or decision."""
        self._digest.update(encode_event(event, at).encode())
        self._digest.update(b"\n")
        self.count += 1

    def hexdigest(self) -> str:
        """The hash of all lines so far."""
        digest: str = self._digest.hexdigest()
        return digest


def _explain(error: BaseException) -> list[str]:
    """Every cause in a tree of cattrs' groups, with the place it names."""
    if not isinstance(error, BaseExceptionGroup):
        what = f"missing or unknown {error}" if isinstance(error, KeyError) else str(error)
        return [f"{what}{_where(error)}"]
    return [cause for part in error.exceptions for cause in _explain(part)]


def _where(error: BaseException) -> str:
    places = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    return f" ({str(places[0]).removeprefix('Structuring ')})" if places else ""


# Values. Coercing is refused: int("5") and int(5.9) both succeed, and neither is what was written.


def _strict_int(value: Any, _: object) -> int:
    if type(value) is not int:
        raise ValueError(f"not an integer: {value!r}")
    return value


def _strict_str(value: Any, _: object) -> str:
    if type(value) is not str:
        raise ValueError(f"not a text: {value!r}")
    return value


def _strict_bool(value: Any, _: object) -> bool:
    if type(value) is not bool:
        raise ValueError(f"not true or false: {value!r}")
    return value


_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def _float_out(value: float) -> float | str:
    """JSON has no infinity; a silence may have."""
    value = float(value)
    return value if math.isfinite(value) else repr(value)


def _float_in(value: Any, _: object) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if type(value) not in (int, float):
        raise ValueError(f"not a number: {value!r}")
    return float(value)


def _instant_out(value: Instant) -> list[int]:
    return [value.mono_ns, value.wall_ms]


def _instant_in(value: Any, _: object) -> Instant:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"not an instant, [mono_ns, wall_ms]: {value!r}")
    return Instant(_strict_int(value[0], int), _strict_int(value[1], int))


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(int, _strict_int)
    converter.register_structure_hook(str, _strict_str)
    converter.register_structure_hook(bool, _strict_bool)
    converter.register_structure_hook(float, _float_in)
    converter.register_unstructure_hook(float, _float_out)
    converter.register_structure_hook(Instant, _instant_in)
    converter.register_unstructure_hook(Instant, _instant_out)
    converter.register_structure_hook_func(_is_enum, lambda value, kind: kind(value))
    # Inner unions first: outer ones compile what they hold.
    for union in (_ITEM, events.Command, events.Note):
        configure_tagged_union(union, converter, tag_name=_TAG)
    return converter


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


_CONVERTER = _make_converter()
