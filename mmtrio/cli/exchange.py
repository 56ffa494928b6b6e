"""`trio-mm exchange`: the local exchange alone, for other programs to trade on."""

from __future__ import annotations

import argparse
import logging
from typing import Any

import trio

from mmtrio.cli.embedded import ExchangePlan, OpenExchange, RecordedData, open_exchange
from mmtrio.cli.logs import configure_logs, write_stdout
from mmtrio.core.types import Address
from mmtrio.exchange.actions import UnreadableBody, read_envelope
from mmtrio.exchange.development_accounts import DEVELOPMENT_ACCOUNTS
from mmtrio.exchange.faults import Faults, HttpReply, HttpRequest
from mmtrio.exchange.market_rules import SpotMarket
from mmtrio.live.clocks import open_randomness
from mmtrio.live.errors import ConfigurationError
from mmtrio.live.supervision import serve_signals
from mmtrio.wire.signing import action_hash, l1_digest, recover

log = logging.getLogger("mmtrio.exchange.requests")

_ELEMENT_LISTS = ("orders", "modifies", "cancels")


def exchange(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit code."""
    configure_logs(arguments.log_level, arguments.log_format)
    if arguments.market_speed is not None and arguments.market_data is None:
        raise ConfigurationError("--market-speed plays a recording faster: name one with --market-data DIR.")
    recorded = None
    if arguments.market_data is not None:
        recorded = RecordedData.load(arguments.market_data, arguments.market_speed)
    plan = ExchangePlan(
        seed=arguments.seed if arguments.seed is not None else open_randomness(None).getrandbits(32),
        n_accounts=arguments.accounts,
        has_flow=not arguments.no_flow,
        recorded=recorded,
        block_ms=arguments.block_ms,
        port=arguments.port,
    )
    trio.run(_serve, plan)
    return 0


async def _serve(plan: ExchangePlan) -> None:
    async with trio.open_nursery() as root:
        serving = trio.CancelScope()

        def stop(name: str) -> None:
            log.info("stopping: %s", name)
            serving.cancel()

        await root.start(serve_signals, stop)
        request_log = RequestLog()
        with serving:
            async with open_exchange(plan, request_log) as opened:
                request_log.attach(opened)
                write_stdout(welcome(plan, opened))
                await trio.sleep_forever()
        root.cancel_scope.cancel()


def welcome(plan: ExchangePlan, opened: OpenExchange) -> str:
    """The first screen: the URL, what is traded, and who has money, ready to paste."""
    lines = [f"Hyperliquid's API on this machine: {opened.base_url}", f"seed {plan.seed}", "", "markets"]
    recorded = {market.market.coin: market for market in opened.recorded_markets}
    for market in opened.world.markets:
        played = recorded.get(market.coin)
        if played is not None:
            who = f"recorded, {played.recorded.duration_s / 60:.0f} min at speed {played.speed:g}"
        else:
            who = "makers and takers from the seed" if plan.has_flow else "nobody but you"
        lines.append(f"  {market.name:<12} {market.coin:<10} asset {market.asset:<7} {who}")
    lines += ["", "funded accounts: address, key"]
    keys = {account.address: account.private_key for account in DEVELOPMENT_ACCOUNTS}
    lines += [f"  {account.address}  {keys[account.address]}" for account in opened.world.traders]
    lines += [
        "",
        "These keys are PUBLIC: the first of the mnemonic `test test … junk`, known to everybody. Whatever you send",
        "to these addresses on a real network is taken at once.",
        "",
        f"trade on it: trio-mm run --base-url {opened.base_url}",
        "stop it:     Ctrl-C",
        "",
        "",
    ]
    return "\n".join(lines)


class RequestLog(Faults):
    """One log line for each request on /exchange as it arrives, and one more where it is refused. Harms nothing."""

    def __init__(self) -> None:
        self._opened: OpenExchange | None = None
        self._markets: dict[int, SpotMarket] = {}

    def attach(self, opened: OpenExchange) -> None:
        """The exchange whose requests these are: for its time and its markets."""
        self._opened = opened
        self._markets = {market.asset: market for market in opened.world.markets}

    async def before_request(self, request: HttpRequest) -> HttpReply | None:
        if request.path == "/exchange" and self._opened is not None and log.isEnabledFor(logging.INFO):
            log.info(
                "venue_ms=%d %s", self._opened.venue.now_ms(), describe_action(request.body, self._markets)
            )
        return None

    async def before_reply(self, request: HttpRequest, reply: HttpReply) -> HttpReply | None:
        if request.path == "/exchange" and self._opened is not None:
            for text in _refusals(reply):
                log.info(
                    "venue_ms=%d refused nonce=%s: %s",
                    self._opened.venue.now_ms(),
                    _nonce(request.body),
                    text,
                )
        return reply


def describe_action(body: Any, markets: dict[int, SpotMarket]) -> str:
    """`kind=order coins=@107 items=20 account=0xf39f…2266 nonce=… expires_ms=…`; never raises."""
    action = body.get("action") if isinstance(body, dict) else None
    if not isinstance(action, dict):
        return "kind=unreadable"
    elements: list[Any] = next(
        (action[name] for name in _ELEMENT_LISTS if isinstance(action.get(name), list)), []
    )
    found = (_asset_of(element) for element in elements)
    assets = dict.fromkeys(asset for asset in found if isinstance(asset, int))
    coins = [markets[asset].coin if asset in markets else str(asset) for asset in assets]
    expires_ms = str(body.get("expiresAfter") or "-")[:20]
    return (
        f"kind={str(action.get('type'))[:40]} coins={','.join(coins) or '-'} items={len(elements)} "
        f"account={_short(_signer_of(body))} nonce={_nonce(body)} expires_ms={expires_ms}"
    )


def _asset_of(element: Any) -> Any:
    if not isinstance(element, dict):
        return None
    order = element.get("order", element)
    return order.get("a", order.get("asset")) if isinstance(order, dict) else None


def _signer_of(body: Any) -> Address | None:
    try:
        envelope = read_envelope(body)
        r_text, s_text, v = envelope.signature
        hashed = action_hash(
            envelope.action.canonical(), envelope.nonce, envelope.vault, envelope.expires_after_ms
        )
        return recover(l1_digest(hashed, is_mainnet=False), int(r_text, 16), int(s_text, 16), v)
    except (UnreadableBody, ValueError):
        return None


def _short(address: Address | None) -> str:
    return "unknown" if address is None else f"{address[:6]}…{address[-4:]}"


def _nonce(body: Any) -> str:
    return str(body.get("nonce"))[:20] if isinstance(body, dict) else "-"


def _refusals(reply: HttpReply) -> list[str]:
    """What the reply says no to: the whole request, or some of its elements as one line."""
    body = reply.body
    if reply.status != 200 or not isinstance(body, dict):
        return [f"HTTP {reply.status} {reply.text or ''}".strip()]
    if body.get("status") != "ok":
        return [str(body.get("response"))]
    data = body["response"].get("data", {}) if isinstance(body.get("response"), dict) else {}
    statuses = data.get("statuses", []) if isinstance(data, dict) else []
    errors = [status["error"] for status in statuses if isinstance(status, dict) and "error" in status]
    return [f"{len(errors)} of {len(statuses)}: {errors[0]}"] if errors else []
