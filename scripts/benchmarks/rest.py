"""A POST and its answer over loopback TCP, from a kept-alive connection: our client on Trio, and requests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests
import trio

from benchmarks.figures import Figure, against
from mmtrio.client.connect import VenueAddress, open_tcp
from mmtrio.client.rest import RestClient, open_rest
from mmtrio.exchange.engine import Engine
from mmtrio.exchange.local_venue import LocalVenue, VenueParams
from mmtrio.exchange.serve import serve_exchange
from mmtrio.exchange.world import default_world

START_MS = 1_790_000_000_000
ROUNDS = 400
REQUESTS = {
    "small reply (exchangeStatus)": {"type": "exchangeStatus"},
    "large reply (spotMeta)": {"type": "spotMeta"},
}


def measure() -> Iterator[Figure]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-m", "benchmarks.rest"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            for what, request in REQUESTS.items():
                yield from against(what, trio.run(_round_trips, url, request))
        finally:
            server.terminate()


async def _round_trips(url: str, request: dict[str, object]) -> dict[str, list[float]]:
    venue = VenueAddress.from_url(url)
    ours_us: list[float] = []
    their_us: list[float] = []
    with requests.Session() as session:
        async with open_rest(open_tcp(venue), venue) as rest:
            for number in range(ROUNDS):
                for is_ours in (True, False) if number % 2 == 0 else (False, True):
                    started_ns = time.perf_counter_ns()
                    reply = await _by(rest, request) if is_ours else session.post(f"{url}/info", json=request).json()
                    taken_us = (time.perf_counter_ns() - started_ns) / 1e3
                    (ours_us if is_ours else their_us).append(taken_us)
                    assert reply
    return {"trio-mm": ours_us, "requests": their_us}


async def _by(rest: RestClient, request: dict[str, object]) -> object:
    return await rest.info(request)


async def _serve() -> None:
    venue = LocalVenue(
        Engine(default_world(1), start_ms=START_MS), epoch_ms=START_MS, params=VenueParams(ip_weight_per_minute=None)
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(venue.run)
        print(await nursery.start(serve_exchange, venue), flush=True)


if __name__ == "__main__":  # The server, in a process of its own.
    trio.run(_serve)
