"""Whatever the schema can hold returns from the log as it was, and two values never share a line."""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core.event_log import KINDS, EventHash, decode_event, encode_event
from mmtrio.core.events import Batch, BatchKind, CancelItem, ModifyItem, PlaceItem
from mmtrio.core.types import Instant

instants = st.builds(Instant, st.integers(), st.integers())


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Everything a field of this type may hold, as far as its own checks allow."""
    if isinstance(kind, typing.NewType):
        return values_of(kind.__supertype__)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values_of(arg) for arg in args])
    if origin is tuple:
        assert args[1:] == (...,), kind
        return st.lists(values_of(args[0]), max_size=3).map(tuple)
    if origin is collections.abc.Mapping:
        return st.dictionaries(values_of(args[0]), values_of(args[1]), max_size=3)
    if kind is Batch:
        return batches()
    if kind is Instant:
        return instants
    if attrs.has(kind):
        return instances_of(kind)
    if issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(),
        str: st.text(max_size=20),
        bool: st.booleans(),
        float: st.floats(allow_nan=False),
        type(None): st.none(),
    }
    return plain[kind]


def instances_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    attrs.resolve_types(kind)  # Annotations are texts until somebody asks.
    return st.builds(
        kind,
        **{
            field.name: st.integers(min_value=1) if field.validator is not None else values_of(field.type)
            for field in attrs.fields(kind)
        },
    )


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    kind = draw(st.sampled_from(BatchKind))
    item = {BatchKind.PLACE: PlaceItem, BatchKind.MODIFY: ModifyItem, BatchKind.CANCEL: CancelItem}[kind]
    items = draw(st.lists(instances_of(item), min_size=1, max_size=3))
    return Batch(draw(st.integers()), kind, tuple(items), draw(st.none() | st.floats(allow_nan=False)))


ANYTHING = st.sampled_from(sorted(KINDS)).flatmap(lambda name: values_of(KINDS[name]))


@pytest.mark.parametrize("name", sorted(KINDS))
@settings(max_examples=12, deadline=None)
@given(st.data())
def test_every_class_of_the_schema_returns_as_it_was(name: str, data: st.DataObject) -> None:
    event, at = data.draw(values_of(KINDS[name])), data.draw(instants)
    line = encode_event(event, at)
    assert "\n" not in line and "\r" not in line
    assert decode_event(line) == (at, event)
    assert encode_event(decode_event(line)[1], at) == line


@settings(max_examples=100, deadline=None)
@given(ANYTHING, ANYTHING, instants)
def test_values_share_a_line_only_if_they_are_equal(one: object, other: object, at: Instant) -> None:
    assert (encode_event(one, at) == encode_event(other, at)) == (type(one) is type(other) and one == other)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ANYTHING, instants), max_size=5), st.data())
def test_the_hash_tells_stories_apart(story: list[tuple[object, Instant]], data: st.DataObject) -> None:
    def hash_of(events: list[tuple[object, Instant]]) -> str:
        digest = EventHash()
        for event, at in events:
            digest.update(event, at)
        return digest.hexdigest()

    other = data.draw(st.permutations(story))
    lines = [[encode_event(event, at) for event, at in events] for events in (story, other)]
    assert (hash_of(story) == hash_of(other)) == (lines[0] == lines[1])


@settings(max_examples=150, deadline=None)
@given(ANYTHING, instants, st.data())
def test_a_damaged_line_is_a_value_error_or_a_line(event: object, at: Instant, data: st.DataObject) -> None:
    line = encode_event(event, at)
    position = data.draw(st.integers(0, len(line) - 1))
    damaged = (
        line[:position] + data.draw(st.text(max_size=2)) + line[position + data.draw(st.integers(0, 3)) :]
    )
    try:
        decode_event(damaged)
    except ValueError:
        pass
