"""Who is connected, what each has subscribed to, and the frames on their way to them.

All of it is synchronous but `Outbox.take`: the block loop pushes to every connection and waits for none. A peer that
does not read fills its outbox and is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
import trio

from mmtrio.exchange.client_frames import Topic


@attrs.define(eq=False)
class Outbox:
    """Frames for one peer, in order, bounded in number and in bytes."""

    frames_max: int = 4096
    bytes_max: int = 8 * 1024 * 1024
    sent_count: int = attrs.field(default=0, init=False)
    _frames: deque[str] = attrs.field(factory=deque, init=False)
    _held_bytes: int = attrs.field(default=0, init=False)
    _reader: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: str) -> bool:
        """Queue a frame. False where it does not fit: the peer has stopped reading."""
        if len(self._frames) >= self.frames_max or self._held_bytes + len(frame) > self.bytes_max:
            return False
        self._frames.append(frame)
        self._held_bytes += len(frame)
        self._reader.unpark()
        return True

    async def take(self) -> str:
        """The next frame; waits until there is one. For one task."""
        while not self._frames:
            await self._reader.park()
        frame = self._frames.popleft()
        self._held_bytes -= len(frame)
        self.sent_count += 1
        return frame


@attrs.define(eq=False)
class Connection:
    """One WebSocket as the venue sees it. `serve` says how it is dropped."""

    number: int
    peer_name: str
    outbox: Outbox
    _drop: Callable[[str], None]
    topics: dict[Topic, None] = attrs.field(factory=dict, init=False)
    posts_in_flight: int = attrs.field(default=0, init=False)
    is_dropped: bool = attrs.field(default=False, init=False)

    def send(self, frame: str) -> None:
        """Queue a frame; a peer that does not read is dropped, and what follows is lost."""
        if not self.is_dropped and not self.outbox.put(frame):
            self.drop("the peer does not read")

    def drop(self, reason: str) -> None:
        """Reset the connection at once, whatever is still to be sent. Twice is fine."""
        if not self.is_dropped:
            self.is_dropped = True
            self._drop(reason)


@attrs.define(eq=False)
class Hub:
    """All connections, and who listens to what. Everything is iterated in the order it arrived."""

    connections: dict[int, Connection] = attrs.field(factory=dict, init=False)
    opened_count: int = attrs.field(default=0, init=False)
    _listeners: dict[Topic, dict[int, Connection]] = attrs.field(factory=dict, init=False)

    def open(self, peer_name: str, outbox: Outbox, drop: Callable[[str], None]) -> Connection:
        self.opened_count += 1
        connection = Connection(self.opened_count, peer_name, outbox, drop)
        self.connections[connection.number] = connection
        return connection

    def close(self, connection: Connection) -> None:
        """Forget a connection and its subscriptions. Twice is fine."""
        for topic in list(connection.topics):
            self.unsubscribe(connection, topic)
        self.connections.pop(connection.number, None)

    def subscribe(self, connection: Connection, topic: Topic) -> None:
        assert topic not in connection.topics, topic
        connection.topics[topic] = None
        self._listeners.setdefault(topic, {})[connection.number] = connection

    def unsubscribe(self, connection: Connection, topic: Topic) -> None:
        assert topic in connection.topics, topic
        del connection.topics[topic]
        listeners = self._listeners[topic]
        del listeners[connection.number]
        if not listeners:
            del self._listeners[topic]

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Every topic somebody listens to, oldest first."""
        return tuple(self._listeners)

    def listeners(self, topic: Topic) -> tuple[Connection, ...]:
        return tuple(self._listeners.get(topic, {}).values())

    # What one address has, over all its sockets

    def connections_of(self, peer_name: str) -> list[Connection]:
        return [c for c in self.connections.values() if c.peer_name == peer_name]

    def subscription_count(self, peer_name: str) -> int:
        return sum(len(c.topics) for c in self.connections_of(peer_name))

    def posts_in_flight(self, peer_name: str) -> int:
        return sum(c.posts_in_flight for c in self.connections_of(peer_name))

    def users_watched(self, peer_name: str) -> dict[str, None]:
        topics = (topic for c in self.connections_of(peer_name) for topic in c.topics)
        return {topic.user: None for topic in topics if topic.user is not None}
