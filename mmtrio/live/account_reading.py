"""Carries out the desk's wishes to read the account over REST: whole readings, and single orders by name.

There is at most one whole reading at a time, and at most one that waits. A reading that a (re)opened stream demands
makes every earlier one worthless, also one that is under way or sleeps before a retry: it is given up at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs
import trio

from mmtrio.client.account import AccountReader
from mmtrio.client.errors import RequestFailed
from mmtrio.core.events import AccountRead, QueryOrder, ReadAccount, ReadFailed, ReadPurpose
from mmtrio.core.types import Cloid
from mmtrio.live.hub import Hub

log = logging.getLogger("mmtrio.live.account_reading")

FILLS_OVERLAP_MS = 60_000
"""Fills are read from this long before the newest one that REST has shown: rows may arrive out of order, and dedupe
is free."""

ORDER_QUERIES_AT_ONCE = 4
READING_WEIGHT = 82
"""A whole reading of the account: fills, orders and budget at 20, balances at 2, and some rows of fills."""
FILLS_PAGE_WEIGHT = 120
"""A full page of fills: 20, and one more for each 20 of its 2,000 rows."""
_CATCH_UPS = (ReadPurpose.START, ReadPurpose.CATCH_UP)


@attrs.define(eq=False)
class AccountReading:
    """Serves the read requests of one desk."""

    reader: AccountReader
    hub: Hub
    started_ms: Callable[[], int]
    """Venue time before which fills are of no interest on the first reading."""
    _wanted: ReadAccount | None = attrs.field(default=None, init=False)
    _is_wanted: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _under_way: trio.CancelScope | None = attrs.field(default=None, init=False)
    _asked: dict[Cloid, None] = attrs.field(factory=dict, init=False)
    """Orders whose status is being asked for, or waits for its turn: asked twice, they would only queue up."""

    async def run(self) -> None:
        """Serve read requests until cancelled."""
        limiter = trio.CapacityLimiter(ORDER_QUERIES_AT_ONCE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve_readings, name="reconcile")
            async for request in self.hub.read_requests:
                if isinstance(request, ReadAccount):
                    self._want(request)
                elif request.cloid not in self._asked:
                    self._asked[request.cloid] = None
                    nursery.start_soon(self._query, request, limiter, name="reconcile/order")

    def _want(self, request: ReadAccount) -> None:
        """Make this the next reading. One for a new stream displaces whatever was asked for before."""
        if request.purpose in _CATCH_UPS:
            if self._under_way is not None:
                self._under_way.cancel(reason=f"displaced by a newer reading: {request.cause}")
        elif self._wanted is not None:
            return  # What waits already will tell all that this one would.
        self._wanted = request
        self._is_wanted.unpark_all()

    async def _serve_readings(self) -> None:
        while True:
            while self._wanted is None:
                await self._is_wanted.park()
            request, self._wanted = self._wanted, None
            with trio.CancelScope() as self._under_way:
                await self._serve_reading(request)
            self._under_way = None

    async def _serve_reading(self, request: ReadAccount) -> None:
        await trio.sleep(request.after_s)
        await self._wait_weight(READING_WEIGHT, "the account")
        log.debug("reading the account: %s (%s)", request.purpose.value, request.cause)
        try:
            await self.read(request.purpose)
        except RequestFailed as error:
            self.hub.deliver(ReadFailed("account", str(error)))

    async def _wait_weight(self, weight: int, what: str) -> None:
        """Hold a request back while the IP weight is used up: a refused one would help nobody."""
        ip, clock = self.hub.desk.ip, self.hub.clock
        is_told = False
        while (available := ip.available(clock.now())) < weight:
            if not is_told:
                log.warning("reading %s waits: %d of the IP weight is left, %d are needed", what, available, weight)
                is_told = True
            await trio.sleep(max(0.1, ip.wait_s(clock.now())))

    async def read(self, purpose: ReadPurpose) -> None:
        """One whole reading, part by part, each delivered as it comes.

        Raises:
            RequestFailed: a part did not come back, or made no sense.
        """
        requested_at = self.hub.clock.now()
        self.hub.deliver(await self.reader.budget(purpose))  # First: before any request that the rest leads to.
        await self._read_fills(purpose)
        self.hub.deliver(await self.reader.open_orders(purpose))
        self.hub.deliver(await self.reader.balances(purpose))
        self.hub.deliver(AccountRead(purpose, requested_at))

    async def _read_fills(self, purpose: ReadPurpose) -> None:
        """Page by page: each is kept, so a long gap is read up even where the venue allows few requests at a time.

        The watermark is what REST has shown, never what the stream brought: after a gap the stream's newest fill may
        lie hours beyond the oldest missing one.
        """
        watermark_ms = self.hub.desk.fills_read_until_ms or self.started_ms()
        since_ms: int | None = max(0, watermark_ms - FILLS_OVERLAP_MS)
        while since_ms is not None:
            page, since_ms = await self.reader.fills_page(since_ms, purpose)
            self.hub.deliver(page)
            if since_ms is not None and purpose is not ReadPurpose.FINAL:
                await self._wait_weight(FILLS_PAGE_WEIGHT, "more fills")

    async def _query(self, request: QueryOrder, limiter: trio.CapacityLimiter) -> None:
        async with limiter:
            try:
                status = await self.reader.order_status(request.cloid)
            except RequestFailed as error:
                self.hub.deliver(ReadFailed("orderStatus", str(error), request.cloid))
            else:
                self.hub.deliver(status)
            finally:
                del self._asked[request.cloid]
