"""scripts/bench keeps up with the code it measures. How fast anything is, no test says."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("benchmarks.report")


def test_every_benchmark_says_what_it_measures(report, capsys):
    assert report.run(["--list"], description="") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(report.NAMES)
    assert all(len(line.split()) > 5 for line in lines)


def test_a_benchmark_that_does_not_exist_is_refused_with_those_that_do(report, capsys):
    with pytest.raises(SystemExit) as exit_:
        report.run(["speed"], description="")
    assert exit_.value.code == 2
    assert "there is no benchmark 'speed'; there are signing," in capsys.readouterr().err


def test_alternatives_are_timed_in_turn(report):
    figures = importlib.import_module("benchmarks.figures")
    called: list[str] = []
    ways = {"ours": lambda: called.append("o"), "theirs": lambda: called.append("t")}
    taken_us = figures.side_by_side(ways, rounds=2, calls=3)
    assert "".join(called) == "ot" + "ooo" + "ttt" + "ttt" + "ooo"
    ours, theirs = figures.against("waiting", {"ours": [1.0, 2.0, 4.0], "theirs": [2.0, 6.0, 4.0]})
    assert (ours.value, theirs.value, theirs.ratio, theirs.versus) == (2.0, 4.0, 2.0, "ours")
    assert {name: len(rounds) for name, rounds in taken_us.items()} == {"ours": 2, "theirs": 2}


def test_the_desk_and_both_ways_of_signing_still_do_what_is_measured(report):
    desk, signing = (importlib.import_module(f"benchmarks.{name}") for name in ("desk", "signing"))
    assert desk._reaction_us(40, 5) > 0
    signing._ways(2)  # Asserts that both sign the same.


def test_bench_run_by_the_environments_own_python_explains_itself():
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "bench"), "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "a ratio to one run" in done.stdout
