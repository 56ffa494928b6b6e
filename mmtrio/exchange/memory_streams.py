"""Trio streams in memory that behave like TCP, and a network of them that can be cut, stalled, delayed and refused.

Each direction is a queue of (due time, bytes), so no task pumps bytes and a virtual clock sees every wait. What
`trio.testing.memory_stream_pair` cannot say and this can: a reset, a half-open connection (bytes held, nothing
closed) and back-pressure from a peer that does not read.
"""

from __future__ import annotations

import enum
import operator
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio

BUFFER_BYTES_MAX = 256 * 1024
"""About what two kernels hold between a sender and a receiver that does not read."""
RECEIVE_BYTES_MAX = 64 * 1024
_NEVER_S = float("inf")


class Direction(enum.Enum):
    """Which way bytes travel on a link."""

    TO_CLIENT = "to_client"
    TO_SERVER = "to_server"


class _End(enum.Enum):
    """What the receiver meets after the last byte."""

    EOF = "the sender will send no more, but still reads"
    CLOSED = "the sender is gone, after all it sent"
    RESET = "the sender is gone, and with it what was not read yet"


@attrs.define(eq=False)
class Pipe:
    """One direction of a link. The counters are for tests: what was sent, what the receiver read, and when."""

    buffer_bytes_max: int = BUFFER_BYTES_MAX
    delay_s: float = 0.0
    is_stalled: bool = False
    bytes_sent: int = 0
    bytes_delivered: int = 0
    last_delivered_at_s: float | None = None
    """By the Trio clock; None before the first byte."""
    _chunks: deque[tuple[float, bytes]] = attrs.field(factory=deque, init=False)
    _held_bytes: int = attrs.field(default=0, init=False)
    _end: _End | None = attrs.field(default=None, init=False)
    _end_due_s: float = attrs.field(default=_NEVER_S, init=False)
    _has_reader: bool = attrs.field(default=True, init=False)
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    # The sender's side

    @property
    def room_bytes(self) -> int:
        """What may be put in now. Without a reader bytes vanish, as they do on the way to a dead host."""
        return max(0, self.buffer_bytes_max - self._held_bytes) if self._has_reader else self.buffer_bytes_max

    def put_nowait(self, data: bytes) -> None:
        assert len(data) <= self.room_bytes, (len(data), self.room_bytes)
        self.bytes_sent += len(data)
        if self._has_reader:
            self._chunks.append((self._due_s(), data))
            self._held_bytes += len(data)
            self._changed.unpark_all()

    def end_with(self, end: _End) -> None:
        """The sender's end: it travels behind the bytes, and a stall holds it like them."""
        if self._end in (None, _End.EOF):
            self._end, self._end_due_s = end, self._due_s()
            self._changed.unpark_all()

    def break_now(self) -> None:
        """A reset from the middle of the path: nothing on its way arrives, stalled or not."""
        self._end, self._end_due_s, self.is_stalled = _End.RESET, trio.current_time(), False
        self._drop_held_bytes()
        self._changed.unpark_all()

    async def wait_room(self) -> None:
        """Return when there is room, or when anything else about this direction changed."""
        if not self.room_bytes:
            await self._changed.park()

    # The receiver's side

    @property
    def is_peer_known_gone(self) -> bool:
        """True once the receiver of this direction can know that the other end exists no more."""
        return self._is_end_visible and self._end in (_End.CLOSED, _End.RESET)

    async def receive(self, bytes_max: int) -> bytes:
        """The next bytes that are due; b"" at the end.

        Raises:
            trio.BrokenResourceError: the connection was reset.
            trio.ClosedResourceError: the receiver closed its stream meanwhile.
        """
        while True:
            if not self._has_reader:
                raise trio.ClosedResourceError("this stream was closed")
            if self._is_end_visible and self._end is _End.RESET:
                raise trio.BrokenResourceError("the connection was reset")
            data = self._take_due(bytes_max)
            if data:
                return data
            if self._is_end_visible and not self._chunks:
                return b""
            with trio.move_on_at(self._next_due_s()):
                await self._changed.park()

    def leave(self) -> None:
        """The receiver closed: bytes on their way, and all that follow, are lost."""
        self._has_reader = False
        self._drop_held_bytes()
        self._changed.unpark_all()

    # Faults

    def set_stalled(self, is_stalled: bool) -> None:
        self.is_stalled = is_stalled
        self._changed.unpark_all()

    def wake(self) -> None:
        """Let whoever waits on this direction look again."""
        self._changed.unpark_all()

    @property
    def _is_end_visible(self) -> bool:
        return self._end is not None and not self.is_stalled and self._end_due_s <= trio.current_time()

    def _due_s(self) -> float:
        """Bytes keep their order even where the delay shrinks."""
        due_s = trio.current_time() + self.delay_s
        return max(due_s, self._chunks[-1][0]) if self._chunks else due_s

    def _next_due_s(self) -> float:
        if self.is_stalled:
            return _NEVER_S
        first_due_s = self._chunks[0][0] if self._chunks else _NEVER_S
        return min(first_due_s, self._end_due_s)

    def _take_due(self, bytes_max: int) -> bytes:
        now_s = trio.current_time()
        taken = bytearray()
        while not self.is_stalled and self._chunks and self._chunks[0][0] <= now_s and len(taken) < bytes_max:
            due_s, chunk = self._chunks.popleft()
            room = bytes_max - len(taken)
            taken += chunk[:room]
            if len(chunk) > room:
                self._chunks.appendleft((due_s, chunk[room:]))
        if taken:
            self._held_bytes -= len(taken)
            self.bytes_delivered += len(taken)
            self.last_delivered_at_s = now_s
            self._changed.unpark_all()  # A sender may be waiting for room.
        return bytes(taken)

    def _drop_held_bytes(self) -> None:
        self._chunks.clear()
        self._held_bytes = 0


@attrs.define(eq=False)
class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a link. `aclose` reads as the end of data at the other end, `abort` as a reset."""

    peer_name: str
    _incoming: Pipe
    _outgoing: Pipe
    _is_closed: bool = attrs.field(default=False, init=False)
    _has_sent_eof: bool = attrs.field(default=False, init=False)
    _is_sending: bool = attrs.field(default=False, init=False)
    _is_receiving: bool = attrs.field(default=False, init=False)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._begin_sending()
        try:
            await trio.lowlevel.checkpoint()
            rest = bytes(data)
            self._check_may_send()
            while rest:
                await self._outgoing.wait_room()
                self._check_may_send()
                room = self._outgoing.room_bytes
                if room:
                    self._outgoing.put_nowait(rest[:room])
                    rest = rest[room:]
        finally:
            self._is_sending = False

    async def wait_send_all_might_not_block(self) -> None:
        self._begin_sending()
        try:
            await trio.lowlevel.checkpoint()
            while not self._outgoing.room_bytes:
                self._check_may_send()
                await self._outgoing.wait_room()
        finally:
            self._is_sending = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving on this stream")
        self._is_receiving = True
        try:
            await trio.lowlevel.checkpoint()
            return await self._incoming.receive(max_bytes or RECEIVE_BYTES_MAX)
        finally:
            self._is_receiving = False

    async def send_eof(self) -> None:
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        if self._is_closed:
            raise trio.ClosedResourceError("this stream was closed")
        self._has_sent_eof = True
        self._outgoing.end_with(_End.EOF)
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self._close(_End.CLOSED)
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close at once; the other end sees a reset. Never blocks."""
        self._close(_End.RESET)

    def _close(self, end: _End) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._outgoing.end_with(end)
        self._incoming.leave()

    def _begin_sending(self) -> None:
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        self._check_may_send()
        self._is_sending = True

    def _check_may_send(self) -> None:
        if self._is_closed or self._has_sent_eof:
            raise trio.ClosedResourceError("this stream was closed, or has sent its end")
        if self._incoming.is_peer_known_gone:
            raise trio.BrokenResourceError("the other end is gone")


@attrs.define(eq=False)
class Link:
    """A connection: two streams and what lies between them, with the faults a path can have."""

    number: int
    kind: object
    """What the client connected for, as it named it."""
    to_client: Pipe
    to_server: Pipe
    client: MemoryStream = attrs.field(init=False)
    server: MemoryStream = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.client = MemoryStream(f"server of link {self.number}", self.to_client, self.to_server)
        self.server = MemoryStream(f"client of link {self.number}", self.to_server, self.to_client)

    def cut(self) -> None:
        """Reset both ends: each gets BrokenResourceError, and nothing on its way arrives."""
        for pipe in (self.to_client, self.to_server):
            pipe.break_now()
        self._wake()

    def close_clean(self) -> None:
        """End both directions after what is already on its way: each side reads the end of data."""
        for pipe in (self.to_client, self.to_server):
            pipe.end_with(_End.CLOSED)
        self._wake()

    def stall(self, direction: Direction | None = None) -> None:
        """Hold all bytes (of one direction, or of both) and close nothing: a half-open connection."""
        for pipe in self._pipes(direction):
            pipe.set_stalled(True)

    def resume(self, direction: Direction | None = None) -> None:
        """Deliver what a stall held, and all that follows."""
        for pipe in self._pipes(direction):
            pipe.set_stalled(False)
        self._wake()

    def _pipes(self, direction: Direction | None) -> list[Pipe]:
        pipes = {Direction.TO_CLIENT: self.to_client, Direction.TO_SERVER: self.to_server}
        return list(pipes.values()) if direction is None else [pipes[direction]]

    def _wake(self) -> None:
        # A sender waits on its own direction, and learns from the other one that its peer is gone.
        self.to_client.wake()
        self.to_server.wake()


def memory_link(*, number: int = 0, kind: object = None, buffer_bytes_max: int = BUFFER_BYTES_MAX) -> Link:
    """A connection without a network around it."""
    return Link(number, kind, Pipe(buffer_bytes_max), Pipe(buffer_bytes_max))


def memory_pipe(*, buffer_bytes_max: int = BUFFER_BYTES_MAX) -> tuple[MemoryStream, MemoryStream]:
    """(client's stream, server's stream), joined."""
    link = memory_link(buffer_bytes_max=buffer_bytes_max)
    return link.client, link.server


@attrs.define(eq=False)
class MemoryNetwork:
    """Connections to one server, made by `connect`, and faults for all of them."""

    _serve: Callable[[MemoryStream], Awaitable[None]]
    _nursery: trio.Nursery
    links: list[Link] = attrs.field(factory=list, init=False)
    """Every connection ever made, oldest first."""
    to_client_delay_s: float = attrs.field(default=0.0, init=False)
    to_server_delay_s: float = attrs.field(default=0.0, init=False)
    refused_count: int = attrs.field(default=0, init=False)
    _is_refusing: bool = attrs.field(default=False, init=False)
    _is_hanging: bool = attrs.field(default=False, init=False)
    _stalled: dict[Direction, None] = attrs.field(factory=dict, init=False)

    async def connect(self, kind: object = None) -> MemoryStream:
        """The client's end of a new connection, which takes one round trip.

        Raises:
            ConnectionRefusedError: the network was told to refuse.
        """
        await trio.sleep(self.to_server_delay_s + self.to_client_delay_s)
        if self._is_hanging:
            await trio.sleep_forever()
        if self._is_refusing:
            self.refused_count += 1
            raise ConnectionRefusedError("connection refused")
        link = memory_link(number=len(self.links), kind=kind)
        link.to_client.delay_s, link.to_server.delay_s = self.to_client_delay_s, self.to_server_delay_s
        for direction in self._stalled:
            link.stall(direction)
        self.links.append(link)
        self._nursery.start_soon(self._serve, link.server, name=f"memory network/link {link.number}")
        return link.client

    def refuse(self, is_refusing: bool = True) -> None:
        """Refuse new connections, or accept them again. Open ones stay."""
        self._is_refusing = is_refusing

    def hang(self, is_hanging: bool = True) -> None:
        """Let new connections wait for ever, as behind a firewall that drops packets."""
        self._is_hanging = is_hanging

    def cut_all(self) -> None:
        for link in self.links:
            link.cut()

    def close_all(self) -> None:
        for link in self.links:
            link.close_clean()

    def stall_all(self, direction: Direction | None = None) -> None:
        """Hold the bytes of every connection, those not made yet included."""
        self._stalled |= dict.fromkeys(Direction if direction is None else (direction,))
        for link in self.links:
            link.stall(direction)

    def resume_all(self, direction: Direction | None = None) -> None:
        for each in Direction if direction is None else (direction,):
            self._stalled.pop(each, None)
        for link in self.links:
            link.resume(direction)

    def set_delay(self, *, to_client_s: float = 0.0, to_server_s: float = 0.0) -> None:
        """Delay what is sent from now on, on open and on new connections."""
        self.to_client_delay_s, self.to_server_delay_s = to_client_s, to_server_s
        for link in self.links:
            link.to_client.delay_s, link.to_server.delay_s = to_client_s, to_server_s


@asynccontextmanager
async def open_memory_network(
    serve: Callable[[MemoryStream], Awaitable[None]],
) -> AsyncIterator[MemoryNetwork]:
    """A network whose every connection is answered by `serve(stream)`, for `partial(serve_connection, venue=venue)`.

    At the end of the block the server's tasks are cancelled and every connection is reset.
    """
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(serve, nursery)
        try:
            yield network
        finally:
            network.cut_all()
            nursery.cancel_scope.cancel(reason="the memory network closed")
