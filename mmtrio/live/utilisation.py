"""One line a minute that says how the run stands: the line users of earlier bots grep for."""

from __future__ import annotations

import logging

import trio

from mmtrio.core.quoter import Quoter
from mmtrio.live.hub import Hub
from mmtrio.wire.decimals import wire_text

log = logging.getLogger("mmtrio.utilisation")

INTERVAL_S = 60.0


async def tell_utilisation(hub: Hub) -> None:
    """Log the budget, the volume and the orders, here and at the venue, once a minute until cancelled."""
    while True:
        await trio.sleep(INTERVAL_S)
        log.info("%s", utilisation_line(hub))
        for quoter in hub.desk.quoters:
            log.info("%s", market_line(hub, quoter))


def utilisation_line(hub: Hub) -> str:
    """`Utilization: ratio=0.03 budget=9712 vol=1034.5 reqs=288 state_orders=20 exchange_orders=20`."""
    desk = hub.desk
    address = desk.address
    ratio = address.used / address.cap if address.cap else 0.0
    return (
        f"Utilization: ratio={ratio:.4f} budget={address.remaining} vol={wire_text(desk.volume_e8, 8)} "
        f"reqs={address.used} state_orders={desk.orders.live_count} exchange_orders={desk.orders_at_venue}"
    )


def market_line(hub: Hub, quoter: Quoter) -> str:
    """`Market: coin=HYPE/USDC base=172.3 quote=5700.1 cursor=100 boundary=100 levels=200 partial=0.00 dust=0.0031`."""
    base, quote = hub.desk.inventory.allocated(quoter.coin)
    amounts = (wire_text(amount.units, amount.token.wei_decimals) for amount in (base, quote))
    text = "Market: coin={} base={} quote={}".format(quoter.market.name, *amounts)
    return f"{text} {hub.desk.summary(quoter, hub.clock.now())}".rstrip()
