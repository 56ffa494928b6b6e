"""The same seed gives the same events, byte for byte, in any process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def ten_minutes(seed: int, hash_seed: str) -> dict:
    """Ten virtual minutes in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.ten_minutes", str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_ten_minutes_with_three_reconnects_are_the_same_in_two_processes_and_others_under_another_seed():
    first, again, other = ten_minutes(1, "0"), ten_minutes(1, "random"), ten_minutes(2, "random")
    assert first == again
    assert first["hash"] != other["hash"]
    for story in (first, other):
        assert story["agrees"], story
        assert story["fills"] >= 50
        assert story["reconnects"] >= 3


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 20))
def test_ten_seeds_repeat_themselves(seed):
    assert ten_minutes(seed, "random") == ten_minutes(seed, "random")
