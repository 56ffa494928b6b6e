"""Sessions kept open: how long between them, how many a minute, and what ends it all."""

from __future__ import annotations

from random import Random

import pytest
import trio

from mmtrio.client.errors import SessionLost
from mmtrio.live.supervision import Backoff, ConnectBudget, keep_session


async def keep(run, on_lost) -> None:
    await keep_session(run, on_lost=on_lost, backoff=Backoff(Random(1)), budget=ConnectBudget())


@pytest.mark.parametrize("seed", range(5))
def test_pauses_are_drawn_from_twice_the_room_each_time_up_to_the_cap(seed):
    backoff, rng = Backoff(Random(seed)), Random(seed)
    delays = [backoff.next_delay_s(lived_s=0.0) for _ in range(20)]
    rooms = [min(30.0, 0.25 * 2**failures) for failures in range(20)]
    assert delays == [rng.uniform(0.0, room_s) for room_s in rooms]
    assert all(0 <= delay <= room for delay, room in zip(delays, rooms, strict=True))


def test_a_session_that_lived_a_minute_starts_the_pauses_anew():
    backoff = Backoff(Random(1))
    for _ in range(10):
        backoff.next_delay_s(lived_s=1.0)
    assert backoff.next_delay_s(lived_s=60.0) <= 0.25
    assert backoff.next_delay_s(lived_s=59.9) <= 0.5


async def test_no_more_connections_than_the_budget_within_any_minute(autojump_clock):
    budget = ConnectBudget(per_minute=24)
    opened_s = []

    async def open_all_the_time():
        while True:
            await budget.wait_turn()
            opened_s.append(trio.current_time())
            await trio.sleep(0.1)

    with trio.move_on_after(300):
        async with trio.open_nursery() as nursery:
            for _ in range(2):  # The two sessions share it.
                nursery.start_soon(open_all_the_time)
    for began_s in opened_s:
        assert sum(began_s <= at_s < began_s + 60 for at_s in opened_s) <= 24
    assert len(opened_s) == 24 * 5


async def test_a_lost_session_is_told_and_followed_by_another_after_the_pause(autojump_clock):
    told, opened_s = [], []

    async def run() -> None:
        opened_s.append(trio.current_time())
        await trio.sleep(2)
        raise SessionLost(f"number {len(opened_s)}")

    with trio.move_on_after(20):
        await keep(run, lambda lost: told.append(lost.cause))
    backoff, expected_s = Backoff(Random(1)), [0.0]
    while (next_s := expected_s[-1] + 2 + backoff.next_delay_s(lived_s=2.0)) < 20:
        expected_s.append(next_s)
    assert opened_s == pytest.approx(expected_s)
    assert told == [f"number {number + 1}" for number in range(len(told))]
    assert len(told) in (len(opened_s), len(opened_s) - 1)


async def test_a_session_lost_inside_a_group_is_one_like_any_other(autojump_clock):
    told = []

    async def run() -> None:
        raise ExceptionGroup("nursery", [ExceptionGroup("inner", [SessionLost("deep down")])])

    with trio.move_on_after(0.1):
        await keep(run, lambda lost: told.append(lost.cause))
    assert told[0] == "deep down"


async def test_a_bug_in_a_session_is_no_lost_session(autojump_clock):
    told = []

    async def run() -> None:
        raise ExceptionGroup("nursery", [SessionLost("cut"), ZeroDivisionError()])

    with pytest.RaisesGroup(ZeroDivisionError):
        await keep(run, told.append)
    assert [lost.cause for lost in told] == ["cut"]
