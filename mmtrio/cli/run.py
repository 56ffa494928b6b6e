"""`trio-mm run`: signals first, then the exchange if it is ours, then the market maker; and out in reverse order."""

from __future__ import annotations

import argparse
import json
import logging
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs
import trio

from mmtrio.cli.embedded import open_exchange
from mmtrio.cli.failures import EXIT_FAILED, explain, report_failure
from mmtrio.cli.local_defaults import default_market, describe_ladder
from mmtrio.cli.logs import configure_logs, redactor, write_stdout
from mmtrio.cli.run_plan import RunPlan, plan_run
from mmtrio.cli.screen import first_screen, last_screen
from mmtrio.live.app import MarketMaker, open_market_maker
from mmtrio.live.clocks import open_randomness
from mmtrio.live.errors import ConfigurationError
from mmtrio.live.report import RunReport
from mmtrio.live.supervision import serve_signals

log = logging.getLogger("mmtrio.cli.run")

EXIT_UNCONFIRMED = 4


def run(arguments: argparse.Namespace) -> int:
    """Run a market maker until a signal, the time or an error ends it. Returns the exit code."""
    configure_logs(arguments.log_level, arguments.log_format)
    outcome = RunOutcome()
    try:
        plan = plan_run(arguments)
        if plan.account.key_file is not None:
            _keep_out_of_logs(plan.account.key_file)
        trio.run(_run, plan, outcome, arguments.json)
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        outcome.exit_code = report_failure(error)
        outcome.error = explain(error)[0]
    return _finish(outcome, as_json=arguments.json)


@attrs.define
class RunOutcome:
    """How a run ended, filled in while it does: an error leaves what was known before it."""

    maker: MarketMaker | None = None
    exit_code: int = 0
    error: str | None = None
    note: str | None = None

    @property
    def report(self) -> RunReport | None:
        return self.maker.report if self.maker is not None else None


@attrs.define
class _Stopper:
    """What a signal does: before the first quote it ends the start, afterwards it asks the maker to stop."""

    outcome: RunOutcome
    starting: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def stop(self, name: str) -> None:
        maker = self.outcome.maker
        if maker is None:
            log.info("%s before the first quote: stopping", name)
            self.outcome.note = f"{name} before the first quote"
            self.starting.cancel()
        elif maker.stop_cause is not None:
            log.warning("%s: cleaning up already, which ends by itself; not interrupted", name)
        else:
            maker.request_stop(name)


async def _run(plan: RunPlan, outcome: RunOutcome, is_quiet: bool) -> None:
    """The root: what is entered first is left last."""
    stopper = _Stopper(outcome)
    async with trio.open_nursery() as root:
        await root.start(serve_signals, stopper.stop)
        with stopper.starting:
            await _trade(plan, outcome, is_quiet)
        root.cancel_scope.cancel()


async def _trade(plan: RunPlan, outcome: RunOutcome, is_quiet: bool) -> None:
    async with AsyncExitStack() as stack:
        base_url = plan.base_url
        if plan.exchange is not None:
            exchange = await stack.enter_async_context(open_exchange(plan.exchange))
            base_url = exchange.base_url
            log.info("the local exchange listens on %s seed=%d", base_url, plan.exchange.seed)
        assert base_url is not None, plan
        markets = plan.settings.market_configs()
        if not markets:
            market = await default_market(
                base_url, plan.coin, price=plan.first_price, timeout_s=plan.startup_timeout_s
            )
            markets = (market,)
        config = plan.maker_config(base_url, markets)
        try:
            async with open_market_maker(config, rng=open_randomness(plan.seed)) as maker:
                outcome.maker = maker
                _tell_start(plan, maker, is_quiet)
                with trio.move_on_after(plan.for_s if plan.for_s is not None else float("inf")):
                    await maker.wait_stopped()
                if maker.stop_cause is None:
                    maker.request_stop(f"--for {plan.for_s:g} s are over")
        except ConfigurationError as error:
            place = plan.settings.place_of(str(error))
            raise ConfigurationError(f"{place}: {error}" if place else str(error)) from None


def _tell_start(plan: RunPlan, maker: MarketMaker, is_quiet: bool) -> None:
    if not is_quiet:
        write_stdout(first_screen(plan, maker))
    for market, config in zip(maker.markets, maker.config.markets, strict=True):
        log.info(
            "quoting coin=%s name=%s asset=%d ladder=%r allocated_token=%s allocated_usdc=%s",
            market.coin,
            market.name,
            market.asset,
            describe_ladder(market, config),
            config.allocated_token,
            config.allocated_usdc,
        )


def _finish(outcome: RunOutcome, *, as_json: bool) -> int:
    """The last words on stdout, and the exit code."""
    report = outcome.report
    code = outcome.exit_code
    if report is not None and (code == 0 or report.exit == EXIT_UNCONFIRMED):
        code = report.exit
    if not as_json:
        if report is not None:
            cause = outcome.error or (outcome.maker.stop_cause if outcome.maker is not None else None)
            write_stdout(last_screen(report, cause, code))
        return code
    document: dict[str, Any] = report.as_json() if report is not None else {}
    document["exit"] = code
    if outcome.error is not None:
        document["error"] = outcome.error
    if outcome.note is not None:
        document["note"] = outcome.note
    is_read = write_stdout(redactor.redact(json.dumps(document, ensure_ascii=False)) + "\n")
    return code if is_read or code else EXIT_FAILED


def _keep_out_of_logs(key_file: Path) -> None:
    """Teach the redactor every spelling of the key, if the file holds one. Whether it is usable is judged later."""
    try:
        if not key_file.is_file():
            return
        with key_file.open("rb") as file:
            found = re.search(rb"(?:0x)?([0-9a-fA-F]{64})", file.read(4096))
    except OSError:
        return
    if found is not None:
        redactor.register(bytes.fromhex(found[1].decode()))
