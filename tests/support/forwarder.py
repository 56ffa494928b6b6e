"""A TCP forwarder between a bot and a venue, with the faults a path can have: cut, stall, refuse. Real sockets."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio


@attrs.define(eq=False)
class Forwarder:
    """Passes bytes on until told otherwise. `delivered_at` holds when bytes last reached the client (Unix time)."""

    port: int
    target_port: int
    delivered_at: list[float] = attrs.field(factory=list)
    is_refusing: bool = False
    _stalled: dict[str, trio.Event] = attrs.field(factory=dict)
    _pairs: list[tuple[trio.SocketStream, trio.SocketStream]] = attrs.field(factory=list)

    def stall(self, *directions: str) -> None:
        """Hold bytes `to client`, `to server`, or both, and close nothing."""
        for direction in directions or ("to client", "to server"):
            self._stalled.setdefault(direction, trio.Event())

    def resume(self) -> None:
        stalled, self._stalled = self._stalled, {}
        for event in stalled.values():
            event.set()

    def cut(self) -> None:
        """Reset every connection."""
        for client, server in self._pairs:
            for stream in (client, server):
                if stream.socket.fileno() >= 0:
                    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    stream.socket.close()
        self._pairs.clear()

    async def serve(self, client: trio.SocketStream) -> None:
        """One connection."""
        if self.is_refusing:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.close()
            return
        try:
            server = await trio.open_tcp_stream("127.0.0.1", self.target_port)
        except OSError:
            return
        self._pairs.append((client, server))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pass, client, server, "to server", nursery)
            nursery.start_soon(self._pass, server, client, "to client", nursery)

    async def _pass(
        self, source: trio.SocketStream, sink: trio.SocketStream, direction: str, nursery: trio.Nursery
    ) -> None:
        try:
            while True:
                data = await source.receive_some(65536)
                while direction in self._stalled:
                    await self._stalled[direction].wait()
                if not data:
                    break
                await sink.send_all(data)
                if direction == "to client":
                    self.delivered_at.append(time.time())
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_forwarder(target_port: int) -> AsyncIterator[Forwarder]:
    """A forwarder on a free port of this machine to `target_port`, for as long as the block lasts."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    forwarder = Forwarder(listener.socket.getsockname()[1], target_port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, forwarder.serve, [listener])
        yield forwarder
        forwarder.resume()
        nursery.cancel_scope.cancel()
