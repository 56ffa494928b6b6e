"""The first and the last screen of a run in text mode: what runs, and what it came to."""

from __future__ import annotations

from decimal import Decimal

from mmtrio import __version__
from mmtrio.cli.local_defaults import describe_ladder
from mmtrio.cli.run_plan import RunPlan
from mmtrio.live.app import MarketMaker
from mmtrio.live.report import MarketReport, RunReport

_EXITS = {
    0: "fine",
    1: "something went wrong, see above",
    3: "the venue could not be reached",
    4: "orders may still rest at the venue",
}


def first_screen(plan: RunPlan, maker: MarketMaker) -> str:
    """What runs, where, as whom, with which ladder."""
    place = f" (inside this process, seed {plan.exchange.seed})" if plan.exchange is not None else ""
    account: str = maker.trader.account
    if plan.account.development_account is not None:
        account += f" (development account {plan.account.development_account})"
    lines = [
        f"trio-mm {__version__} on {plan.network.value}",
        f"  venue    {maker.venue.url}{place}",
        f"  account  {account}, instance {plan.account.instance!r}",
    ]
    if plan.exchange is not None and plan.exchange.recorded is not None:
        data = plan.exchange.recorded
        for each in data.coins:
            minutes = each.duration_s / 60 / data.speed
            lines.append(
                f"  data     {each.coin} recorded in {data.folder}, {minutes:.1f} min at speed {data.speed:g}"
            )
    for market, config in zip(maker.markets, maker.config.markets, strict=True):
        lines.append(f"  market   {market.name} ({market.coin}, asset {market.asset})")
        lines.append(f"  ladder   {describe_ladder(market, config)}")
        base = market.base.name if market.base is not None else ""
        may_use = [
            f"{value.normalize():f} {token}" if value is not None else f"all {token}"
            for value, token in ((config.allocated_token, base), (config.allocated_usdc, market.quote.name))
        ]
        lines.append(f"  may use  {' and '.join(may_use)}")
    until = "Ctrl-C" if plan.for_s is None else f"Ctrl-C, or {plan.for_s:g} s from now"
    return "\n".join([*lines, f"  until    {until}: then every order is cancelled, and proven gone", "", ""])


def last_screen(report: RunReport, stop_cause: str | None, exit_code: int) -> str:
    """What a run came to, in a few lines."""
    lines = ["", f"stopped after {report.seconds:.0f} s: {stop_cause or 'the run ended'}"]
    lines += [_market_line(market) for market in report.markets]
    lines.append(
        f"  orders   {report.orders_placed} placed, {report.orders_modified} modified, {report.orders_cancelled} "
        f"cancelled; {_count(report.open_orders_at_exit)} left at the venue"
    )
    lines.append(
        f"  upkeep   {report.ticks} ticks, {report.reconciliations} reconciliations, {report.mismatches} mismatches, "
        f"{report.reconnects} reconnects, {report.requests_used} requests used"
    )
    lines += [
        f"  stopped  {stop.coin} for {stop.stopped_s:.1f} s: {stop.reason}" for stop in report.quote_stops
    ]
    lines += [f"  UNPROVEN {cloid} may still rest at the venue" for cloid in report.unconfirmed]
    return "\n".join([*lines, f"  exit     {exit_code}: {_EXITS.get(exit_code, 'see above')}", ""])


def _market_line(market: MarketReport) -> str:
    quote = market.name.rpartition("/")[2]
    return (
        f"  {market.name:<8} {market.fills} fills ({market.buys} bought, {market.sells} sold), volume "
        f"{Decimal(market.volume_quote):.2f} {quote}, fees {Decimal(market.fees_quote):.2f}, "
        f"profit {Decimal(market.pnl_quote):+.2f} {quote}"
    )


def _count(number: int | None) -> str:
    return "an unknown number" if number is None else str(number)
