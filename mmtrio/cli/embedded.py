"""The local exchange inside this process, served over real loopback sockets: for `run` and for `exchange`."""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio

from mmtrio.exchange.engine import Engine
from mmtrio.exchange.faults import Faults
from mmtrio.exchange.flow import Flow
from mmtrio.exchange.local_venue import LocalVenue, Participant
from mmtrio.exchange.params import EngineParams
from mmtrio.exchange.recorded import RecordedMarket, with_recorded_market
from mmtrio.exchange.recording_files import RecordedCoin, Recording, RecordingError, describe
from mmtrio.exchange.serve import serve_exchange
from mmtrio.exchange.world import World, default_world
from mmtrio.live.clocks import Clock
from mmtrio.live.errors import ConfigurationError

log = logging.getLogger("mmtrio.cli.embedded")


@attrs.frozen
class RecordedData:
    """A folder of recorded markets, and what is played of it."""

    folder: Path
    coins: tuple[RecordedCoin, ...]
    speed: float = 1.0

    @classmethod
    def load(cls, folder: Path, speed: float | None = None) -> RecordedData:
        """Read a recording's description: takes a moment, so do it before anything runs.

        Raises:
            ConfigurationError: there is no usable recording.
        """
        try:
            recording: Recording = describe(folder)
        except (RecordingError, OSError) as error:
            raise ConfigurationError(f"--market-data: {error}") from None
        return cls(folder, tuple(recording.coins.values()), 1.0 if speed is None else speed)

    @property
    def widest(self) -> RecordedCoin:
        """The coin with the widest spread: where a market maker has most to do."""
        return max(self.coins, key=lambda recorded: (recorded.median_spread, recorded.coin))

    def only(self, names: Sequence[str]) -> RecordedData:
        """The same with nothing but the pairs (`WLFI/USDC`) of these names."""
        return attrs.evolve(self, coins=tuple(each for each in self.coins if pair_name(each) in names))


def pair_name(recorded: RecordedCoin) -> str:
    """What a recorded coin is called as a spot pair here: `WLFI/USDC`."""
    return f"{recorded.coin}/USDC"


@attrs.frozen
class ExchangePlan:
    """How to set the local exchange up."""

    seed: int
    n_accounts: int = 10
    has_flow: bool = True
    recorded: RecordedData | None = None
    block_ms: int = 70
    port: int = 0


@attrs.frozen
class OpenExchange:
    """A running local exchange."""

    base_url: str
    venue: LocalVenue
    world: World
    recorded_markets: tuple[RecordedMarket, ...]


@asynccontextmanager
async def open_exchange(plan: ExchangePlan, faults: Faults | None = None) -> AsyncIterator[OpenExchange]:
    """Serve an exchange on 127.0.0.1 while the block lasts. Entered once it accepts connections.

    Raises:
        ConfigurationError: the port is taken or forbidden.
    """
    world = _world(plan)
    recorded_markets = _recorded_markets(plan, world)
    epoch_ms = Clock().now().wall_ms
    engine = Engine(world, seed=plan.seed, params=EngineParams(block_ms=plan.block_ms), start_ms=epoch_ms)
    participants: list[Participant] = [*recorded_markets]
    if plan.has_flow:
        played = {market.market.coin for market in recorded_markets}
        crowds = Flow(world, seed=plan.seed).crowds
        participants += [crowd for crowd in crowds if crowd.market.coin not in played]
    venue = LocalVenue(engine, participants, epoch_ms=epoch_ms, faults=faults)
    async with trio.open_nursery() as nursery:
        await nursery.start(venue.run)
        base_url = await _serve(nursery, venue, plan.port)
        try:
            yield OpenExchange(base_url, venue, world, recorded_markets)
        finally:
            nursery.cancel_scope.cancel()


async def _serve(nursery: trio.Nursery, venue: LocalVenue, port: int) -> str:
    try:
        base_url: str = await nursery.start(partial(serve_exchange, venue, port=port))
    except OSError as error:
        nursery.cancel_scope.cancel()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} is in use, perhaps by another `trio-mm exchange`: stop that one, or take another port "
                f"with --port {port + 1 if port < 65535 else 3001} (0 takes any free one)."
            ) from None
        if error.errno == errno.EACCES:
            raise ConfigurationError(
                f"this user may not listen on port {port}: take one above 1023, such as --port 3001."
            ) from None
        raise ConfigurationError(
            f"cannot listen on port {port}: {error.strerror}. Take another with --port."
        ) from None
    return base_url


def _world(plan: ExchangePlan) -> World:
    world = default_world(plan.n_accounts)
    for recorded in plan.recorded.coins if plan.recorded else ():
        world = with_recorded_market(world, recorded)
    return world


def _recorded_markets(plan: ExchangePlan, world: World) -> tuple[RecordedMarket, ...]:
    if plan.recorded is None:
        return ()
    data = plan.recorded
    return tuple(RecordedMarket(data.folder, recorded, world, speed=data.speed) for recorded in data.coins)
