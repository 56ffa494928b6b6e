"""Signed orders that the local exchange's engine takes in a second: signatures verified, books and holds kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from statistics import median

import msgspec

from benchmarks.figures import Figure
from mmtrio.client.keys import development_account
from mmtrio.client.signer import Signer
from mmtrio.exchange.engine import Engine
from mmtrio.exchange.params import EngineParams
from mmtrio.exchange.world import default_world

START_MS = 1_790_000_000_000
ASSET = 10107
REQUESTS_PER_BLOCK = 20
ROUNDS = 5


def measure() -> Iterator[Figure]:
    yield Figure("requests of one order", _orders_per_second(600, orders_each=1), "orders/s")
    yield Figure("requests of 40 orders", _orders_per_second(60, orders_each=40), "orders/s")


def _orders_per_second(request_count: int, *, orders_each: int) -> float:
    """Median over fresh engines. Every order rests: bids at 200 prices below the market, deeper and deeper."""
    bodies = [_body(number, orders_each) for number in range(request_count)]
    rates = []
    for _ in range(ROUNDS):
        params = EngineParams(open_orders_max=request_count * orders_each)
        engine = Engine(default_world(1), params=params, start_ms=START_MS)
        started_s = time.perf_counter()
        for number, body in enumerate(bodies):
            engine.submit(body, START_MS + number)
            if number % REQUESTS_PER_BLOCK == REQUESTS_PER_BLOCK - 1:
                engine.run_block(START_MS + number)
        rates.append(request_count * orders_each / (time.perf_counter() - started_s))
        resting = len(engine.open_orders(development_account(0).address))
        assert resting == request_count * orders_each, resting
    return median(rates)


def _body(number: int, orders_each: int) -> dict[str, object]:
    orders = [
        {
            "a": ASSET,
            "b": True,
            "p": f"{(Decimal(30) - Decimal((number * orders_each + index) % 200) / 100).normalize():f}",
            "s": "0.4",
            "r": False,
            "t": {"limit": {"tif": "Alo"}},
            "c": f"0x{number * orders_each + index:032x}",
        }
        for index in range(orders_each)
    ]
    action = {"type": "order", "orders": orders, "grouping": "na"}
    signer = Signer(development_account(0).key, is_mainnet=False)
    body: dict[str, object] = msgspec.json.decode(signer.envelope(action, START_MS + number))
    return body
