"""The lines of every minute."""

from __future__ import annotations

import re
from types import SimpleNamespace

from mmtrio.live.utilisation import market_line, utilisation_line
from tests.support.builders import instant
from tests.support.desks import bench, rich


def hub_of(on_bench):
    return SimpleNamespace(desk=on_bench.desk, clock=SimpleNamespace(now=instant))


def test_the_minute_tells_budget_volume_requests_and_orders_here_and_there():
    on_bench = bench()
    on_bench.accept(on_bench.start(rich()))
    line = utilisation_line(hub_of(on_bench))
    assert line == "Utilization: ratio=0.0020 budget=9980 vol=0 reqs=20 state_orders=20 exchange_orders=0"


def test_a_market_tells_its_cursor_beside_the_boundary_its_orders_show_and_its_dust():
    on_bench = bench()
    first = on_bench.start(rich("10.0012345", "10000"))
    hub, (quoter,) = hub_of(on_bench), on_bench.desk.quoters
    assert market_line(hub, quoter) == (
        "Market: coin=HYPE/USDC base=10.0012345 quote=10000 "
        "cursor=10 boundary=10 levels=20 partial=0.00 dust=0.00123450"
    )
    on_bench.accept(first)
    assert re.search(r"cursor=10 boundary=10 ", market_line(hub, quoter))


def test_a_suspended_market_has_no_cursor_to_tell():
    on_bench = bench()
    on_bench.start(rich())
    (quoter,) = on_bench.desk.quoters
    quoter.suspend("halted")
    assert market_line(hub_of(on_bench), quoter).endswith("quote=10000")
