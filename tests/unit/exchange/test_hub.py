"""Frames on their way to a peer, and who listens to what."""

from __future__ import annotations

import pytest

from mmtrio.exchange.client_frames import topic_of
from mmtrio.exchange.hub import Hub, Outbox

BBO = topic_of({"type": "bbo", "coin": "@107"}, None)


@pytest.mark.parametrize(
    ("outbox", "frames", "fits"),
    [
        (Outbox(frames_max=2, bytes_max=100), ["a", "b", "c"], [True, True, False]),
        (Outbox(frames_max=9, bytes_max=10), ["12345", "67890", "1"], [True, True, False]),
        (Outbox(frames_max=9, bytes_max=10), ["12345", "678901", "67890"], [True, False, True]),
    ],
)
def test_an_outbox_is_bounded_in_frames_and_in_bytes(
    outbox: Outbox, frames: list[str], fits: list[bool]
) -> None:
    assert [outbox.put(frame) for frame in frames] == fits
    assert len(outbox) == sum(fits)


async def test_what_was_taken_makes_room() -> None:
    outbox = Outbox(frames_max=2, bytes_max=10)
    assert outbox.put("1234567890")
    assert await outbox.take() == "1234567890"
    assert outbox.put("1234567890") and not outbox.put("1")


def test_a_peer_that_does_not_read_is_dropped_once_and_hears_nothing_more() -> None:
    dropped: list[str] = []
    hub = Hub()
    connection = hub.open("peer", Outbox(frames_max=1), dropped.append)
    for frame in ("a", "b", "c"):
        connection.send(frame)
    connection.drop("another reason")
    assert dropped == ["the peer does not read"]
    assert len(connection.outbox) == 1


def test_a_closed_connection_listens_to_nothing() -> None:
    hub = Hub()
    one, other = (hub.open("peer", Outbox(), lambda reason: None) for _ in range(2))
    for connection in (one, other):
        hub.subscribe(connection, BBO)
    hub.close(one)
    hub.close(one)
    assert hub.listeners(BBO) == (other,) and hub.topics == (BBO,)
    hub.close(other)
    assert hub.listeners(BBO) == hub.topics == () and hub.connections == {}
