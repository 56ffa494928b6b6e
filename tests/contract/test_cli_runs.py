"""`trio-mm` as people run it: real processes, real sockets, real signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parent.parent.parent
DEADLINE_S = 40
REPORT_FIELDS = """
    network seconds ticks fills volume_quote orders_placed orders_modified orders_cancelled reconnects
    reconciliations mismatches open_orders_at_exit pnl_quote requests_used quote_stops markets exit
"""

Start = Callable[..., "Process"]


class Process:
    """One `trio-mm …`, its output going to files so that no pipe can stop it."""

    def __init__(self, folder: Path, number: int, arguments: tuple[str, ...]) -> None:
        self.stdout, self.stderr = folder / f"{number}.out", folder / f"{number}.err"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state")}
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "mmtrio", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                cwd=folder,
            )

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until this stands in its log or on its screen."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            text = self.stderr.read_text() + self.stdout.read_text()
            if found := re.search(pattern, text):
                return found
            assert self.popen.poll() is None, f"ended with {self.popen.returncode}:\n{text}"
            time.sleep(0.05)
        raise AssertionError(f"never said {pattern!r}:\n{self.stderr.read_text()}")

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def ended(self) -> tuple[int, str, str]:
        """(exit code, stdout, stderr)."""
        code = self.popen.wait(timeout=DEADLINE_S)
        return code, self.stdout.read_text(), self.stderr.read_text()

    def report(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        _, out, err = self.ended()
        assert out.count("\n") == 1, (out, err)
        return json.loads(out)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts processes that end with the module, if they have not before."""
    folder = tmp_path_factory.mktemp("runs")
    started: list[Process] = []

    def start_one(*arguments: str) -> Process:
        started.append(Process(folder, len(started), arguments))
        return started[-1]

    yield start_one
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()


@pytest.fixture(scope="module")
def runs(start: Start) -> dict[str, Process]:
    """Four runs side by side, since most of a short run is waiting."""
    return {
        "short": start("run", "--for", "3s", "--seed", "1", "--json"),
        "once": start("run", "--seed", "1"),
        "closed terminal": start("run", "--seed", "1"),
        "twice": start("run", "--seed", "1"),
    }


def test_a_short_run_ends_by_itself_with_one_json_object_on_stdout(runs: dict[str, Process]) -> None:
    code, _, log = runs["short"].ended()
    report = runs["short"].report()

    assert code == 0, log
    assert [field for field in REPORT_FIELDS.split() if field not in report] == []
    assert (report["network"], report["exit"]) == ("local", 0)
    assert (report["open_orders_at_exit"], report["mismatches"]) == (0, 0)
    assert report["orders_placed"] >= 20
    assert 3 <= report["seconds"] < 10
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO mmtrio\.", log, re.MULTILINE)
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("run", "signals"),
    [("once", [signal.SIGTERM]), ("closed terminal", [signal.SIGHUP]), ("twice", [signal.SIGINT, signal.SIGINT])]
)
def test_a_signal_cancels_every_order_and_a_second_one_does_not_interrupt_that(
    runs: dict[str, Process], run: str, signals: list[signal.Signals]
) -> None:
    process = runs[run]
    process.wait_for(r"place batch=\d+ items=")
    for number in signals:
        process.send(number)
        process.wait_for(rf"stop requested: {number.name}")
        time.sleep(0.2)

    code, screen, log = process.ended()

    assert code == 0, log
    assert "trio-mm 0" in screen and "HYPE/USDC (@107, asset 10107)" in screen
    assert "0 left at the venue" in screen
    assert ("not interrupted" in log) == (len(signals) == 2)
    assert "Traceback" not in log


def test_a_signal_before_the_first_quote_ends_the_start(start: Start) -> None:
    # Nothing listens on port 1: it would try for half a minute.
    process = start("run", "--base-url", "http://127.0.0.1:1", "--json")
    process.wait_for("trying for")
    process.send(signal.SIGINT)

    code, _, log = process.ended()

    assert code == 0, log
    assert process.report() == {"exit": 0, "note": "SIGINT before the first quote"}


def test_bad_input_is_one_paragraph_and_its_exit_code(start: Start, tmp_path: Path) -> None:
    market = "[market]\ncoin = 'HYPE/USDC'\nstart_px = 30\nn_orders = 3\norder_sz = 2\n"
    broken = {
        "typo": market.replace("n_orders", "n_order"),
        "grid": market.replace("30", "30.00001"),
        "coin": market.replace("HYPE", "HIPE"),
        "size": market.replace("= 2", "= 0.01"),
    }
    for name, text in broken.items():
        (tmp_path / f"{name}.toml").write_text(text)

    def config(name: str) -> list[str]:
        return ["--config", str(tmp_path / f"{name}.toml")]

    expected: list[tuple[list[str], int, str]] = [
        (config("typo"), 2, "typo.toml:4: [market] has no key 'n_order': did you mean n_orders?"),
        (config("grid"), 2, "grid.toml:3: the grid of HYPE/USDC cannot be: "),
        (config("coin"), 2, "coin.toml:2: the venue has no market 'HIPE/USDC'; did you mean"),
        (config("size"), 2, "raise order_sz"),
        (["--base-url", "http://127.0.0.1:1", "--startup-timeout", "1s"], 3, "cannot be reached"),
    ]
    running = [(start("run", *arguments), code, words) for arguments, code, words in expected]
    for process, code, words in running:
        ended, out, err = process.ended()
        assert (ended, words in err, out) == (code, True, ""), err
        last = err.strip().splitlines()[-1]
        assert last.startswith("trio-mm: ") and words in last
        assert "Traceback" not in err


def test_the_exchange_alone_is_traded_by_one_instance_an_account(start: Start) -> None:
    exchange = start("exchange", "--port", "0", "--seed", "1", "--accounts", "2")
    url = exchange.wait_for(r"http://127\.0\.0\.1:\d+").group()
    exchange.wait_for("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
    first = start("run", "--base-url", url, "--json")
    first.wait_for(r"place batch=\d+ items=")
    second = start("run", "--base-url", url)
    other_account = start("run", "--base-url", url, "--account", "1", "--for", "1s", "--json")
    taken = start("exchange", "--port", url.rpartition(":")[2])

    code, _, err = second.ended()
    assert code == 2
    assert "another trio-mm is already running as instance 'main'" in err.splitlines()[-1]
    code, _, err = taken.ended()
    assert code == 2
    assert "is in use" in err and "--port" in err
    assert other_account.report()["exit"] == 0

    first.send(signal.SIGINT)
    assert first.report()["open_orders_at_exit"] == 0
    exchange.send(signal.SIGINT)
    code, _, log = exchange.ended()
    assert code == 0, log
    assert re.search(
        r"INFO mmtrio\.exchange\.requests: venue_ms=\d{13} kind=order coins=@107 items=20 account=0xf39f…2266 ",
        log,
    )
    assert "kind=cancelByCloid" in log
