"""The exchange in one process, the bot in another, and a path between them that fails in every way."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from urllib.request import Request, urlopen

import pytest
import trio

from tests.support.forwarder import open_forwarder

pytestmark = [pytest.mark.contract, pytest.mark.long]

ACCOUNT = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
RUN_S = 90


def ask(port: int, request: dict) -> object:
    body = json.dumps(request).encode()
    with urlopen(
        Request(f"http://127.0.0.1:{port}/info", body, {"Content-Type": "application/json"}), timeout=5
    ) as reply:
        return json.loads(reply.read())


def quotes_of(log_text: str) -> list[float]:
    """Unix times at which a place or modify reached the exchange."""
    stamps = re.findall(
        r"^(\S+Z) INFO mmtrio\.exchange\.requests: venue_ms=\d+ kind=(order|modify|batchModify) ",
        log_text,
        re.M,
    )
    return [
        datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
        for stamp, _ in stamps
    ]


async def test_a_path_that_is_cut_stalled_refused_and_restored_leaves_both_ends_in_agreement(tmp_path):
    log_path = tmp_path / "exchange.log"
    with log_path.open("w") as log_file:
        exchange = subprocess.Popen(
            [sys.executable, "-m", "mmtrio", "exchange", "--port", "0", "--seed", "11"],
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
        )
    try:
        first_line = await trio.to_thread.run_sync(exchange.stdout.readline)
        port = int(first_line.rsplit(":", 1)[1])
        before = {
            row["coin"]: Decimal(row["total"])
            for row in ask(port, {"type": "spotClearinghouseState", "user": ACCOUNT})["balances"]
        }
        async with open_forwarder(port) as forwarder:
            command = [
                sys.executable,
                "-m",
                "mmtrio",
                "run",
                "--base-url",
                f"http://127.0.0.1:{forwarder.port}",
            ]
            command += ["--for", f"{RUN_S}s", "--json", "--seed", "5"]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_break_the_path, forwarder)
                run = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
                nursery.cancel_scope.cancel()
            report = json.loads(run.stdout)
            stderr = run.stderr.decode()
            assert run.returncode == 0, stderr[-3000:]
            assert "Traceback" not in stderr
            assert report["exit"] == 0
            assert report["mismatches"] == 0, stderr[-3000:]
            assert report["open_orders_at_exit"] == 0
            assert report["reconnects"] >= 4
            assert report["fills"] >= 10
            await trio.sleep(1)
            _assert_agreement(port, report, before)
            _assert_no_blind_quotes(log_path.read_text(), forwarder.delivered_at)
            assert max(quotes_of(log_path.read_text())) > forwarder.delivered_at[-1] - 20, "it did not resume"
    finally:
        exchange.send_signal(signal.SIGINT)
        assert exchange.wait(10) == 0


async def _break_the_path(forwarder) -> None:
    await trio.sleep(10)
    forwarder.cut()
    await trio.sleep(10)
    forwarder.stall()
    await trio.sleep(12)
    forwarder.resume()
    await trio.sleep(8)
    forwarder.stall("to client")
    await trio.sleep(12)
    forwarder.resume()
    await trio.sleep(8)
    forwarder.stall("to server")
    await trio.sleep(6)
    forwarder.resume()
    forwarder.is_refusing = True
    forwarder.cut()
    await trio.sleep(8)
    forwarder.is_refusing = False


def _assert_agreement(port: int, report: dict, before: dict) -> None:
    assert ask(port, {"type": "openOrders", "user": ACCOUNT}) == []
    fills = ask(port, {"type": "userFills", "user": ACCOUNT})
    (market,) = report["markets"]
    assert len(fills) == report["fills"]
    balances = {
        row["coin"]: Decimal(row["total"])
        for row in ask(port, {"type": "spotClearinghouseState", "user": ACCOUNT})["balances"]
    }
    assert balances["HYPE"] == Decimal(market["base"])
    assert balances["USDC"] == Decimal(market["quote"])
    moved = before["USDC"]
    for fill in fills:
        notional = Decimal(fill["px"]) * Decimal(fill["sz"])
        fee = Decimal(fill["fee"]) if fill["feeToken"] == "USDC" else 0
        moved += (-notional if fill["side"] == "B" else notional) - fee
    assert moved == balances["USDC"]


def _assert_no_blind_quotes(log_text: str, delivered_at: list[float]) -> None:
    """No place or modify reaches the venue more than 8 s after the last byte that the bot was given."""
    for quoted_at in quotes_of(log_text):
        heard = [at for at in delivered_at if at <= quoted_at + 0.05]
        assert heard, "it quoted before it had heard anything"
        assert quoted_at - heard[-1] <= 8.0, f"a quote {quoted_at - heard[-1]:.1f} s after the last byte"
