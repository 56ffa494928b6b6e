"""The seeded scheduler of tests/support/determinism.py: it repeats, it varies, it seals, it cleans up."""

import os
import random
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
import trio._core._run
import trio.testing
import trio_websocket
import trio_websocket._impl
import wsproto.frame_protocol
import wsproto.utilities

from tests.support import determinism
from tests.support.determinism import (
    PRIVATE_NAMES,
    check_private_names,
    run_seeded,
    scenario,
    scheduler_seeds,
)

ROOT = Path(__file__).parent.parent.parent
SEEDS = range(8)


async def trace_of_a_busy_world() -> list[str]:
    """Tasks that race, are cancelled together, time out together and fail together."""
    trace: list[str] = []

    async def racer(name: str) -> None:
        try:
            for step in range(3):
                await trio.sleep(1)
                trace.append(f"{trio.current_time()} {name} step {step}")
            await trio.sleep_forever()
        finally:
            trace.append(f"{trio.current_time()} {name} ended")

    async def deadline(name: str) -> None:
        with trio.move_on_after(2.5):
            await trio.sleep_forever()
        trace.append(f"{trio.current_time()} {name} timed out")

    async def waiter(name: str, event: trio.Event) -> None:
        await event.wait()
        trace.append(f"{trio.current_time()} {name} woke")

    async def failing(name: str) -> None:
        await trio.sleep(4)
        raise ValueError(name)

    event = trio.Event()
    async with trio.open_nursery() as nursery:
        for name in "abcdefgh":
            nursery.start_soon(racer, f"racer {name}")
            nursery.start_soon(deadline, f"deadline {name}")
            nursery.start_soon(waiter, f"waiter {name}", event)
        await trio.sleep(3.5)
        event.set()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    try:
        async with trio.open_nursery() as nursery:
            for name in "xyz":
                nursery.start_soon(failing, name)
    except* ValueError as group:
        trace.append(f"failed: {[str(error) for error in group.exceptions]}")
    return trace


async def bytes_of_a_websocket_talk() -> list[bytes]:
    """What a websocket client sends over a memory stream: handshake key, masks, ping payload."""
    sent: list[bytes] = []
    client_stream, server_stream = trio.testing.memory_stream_pair()
    write = client_stream.send_stream.send_all

    async def recorded(data: bytes) -> None:
        sent.append(bytes(data))
        await write(data)

    client_stream.send_stream.send_all = recorded

    async def serve() -> None:
        request = await trio_websocket.wrap_server_stream(nursery, server_stream)
        async with await request.accept() as connection:
            try:
                while True:
                    await connection.send_message((await connection.get_message()).upper())
            except trio_websocket.ConnectionClosed:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        connection = await trio_websocket.wrap_client_stream(nursery, client_stream, "venue", "/ws")
        await connection.send_message("hello")
        assert await connection.get_message() == "HELLO"
        await connection.ping()
        await connection.aclose()
    return sent


@pytest.mark.parametrize("world", [trace_of_a_busy_world, bytes_of_a_websocket_talk])
def test_the_same_seed_gives_the_same_run_and_another_seed_another(world) -> None:
    runs = {seed: run_seeded(seed, world) for seed in SEEDS}
    assert all(runs[seed] == run_seeded(seed, world) for seed in SEEDS)
    assert len({repr(run) for run in runs.values()}) == len(SEEDS)


def test_the_order_of_cancellation_is_seeded_too() -> None:
    def ended(seed: int) -> list[str]:
        return [line for line in run_seeded(seed, trace_of_a_busy_world) if line.endswith("ended")]

    assert all(ended(seed) == ended(seed) for seed in SEEDS)
    assert len({tuple(ended(seed)) for seed in SEEDS}) > 1
    assert all(sorted(ended(seed)) == sorted(ended(0)) for seed in SEEDS)


def test_a_seed_repeats_in_another_process() -> None:
    program = (
        "from tests.support.determinism import run_seeded\n"
        "from tests.unit.test_determinism_support import *\n"
        "worlds = (trace_of_a_busy_world, bytes_of_a_websocket_talk)\n"
        "print([run_seeded(s, w) for s in range(3) for w in worlds])\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    worlds = (trace_of_a_busy_world, bytes_of_a_websocket_talk)
    here = [run_seeded(s, w) for s in range(3) for w in worlds]
    assert outputs[0].strip() == repr(here)


def test_virtual_time_is_exact_and_costs_nothing() -> None:
    async def a_long_day() -> float:
        await trio.sleep(86_400)
        return trio.current_time()

    assert run_seeded(1, a_long_day) == 86_400


@pytest.mark.parametrize(
    "reach",
    [
        partial(trio.to_thread.run_sync, len, ""),
        partial(trio.open_tcp_stream, "127.0.0.1", 1),
        partial(trio.open_tcp_stream, "venue.invalid", 1),
        partial(trio.open_tcp_listeners, 0, host="127.0.0.1"),
    ],
    ids=["worker thread", "connect", "look-up", "listen"],
)
def test_the_world_outside_is_sealed(reach) -> None:
    with pytest.raises((AssertionError, ExceptionGroup)) as caught:
        run_seeded(0, reach)
    causes = [caught.value]
    while causes and not isinstance(causes[0], AssertionError):
        causes = list(causes[0].exceptions)
    assert "under a virtual clock" in str(causes[0])
    assert "Cure:" in str(causes[0])


def test_plain_sockets_and_threads_are_sealed_too() -> None:
    async def connect() -> None:
        with socket.socket() as plain:
            plain.connect(("127.0.0.1", 1))

    async def start() -> None:
        threading.Thread(target=print).start()

    for reach in (connect, start):
        with pytest.raises(AssertionError, match="under a virtual clock"):
            run_seeded(0, reach)


def test_everything_replaced_is_put_back_even_after_a_failure() -> None:
    def outside() -> list[object]:
        return [
            trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING,
            trio._core._run._r.getstate(),
            trio._threads.start_thread_soon,
            wsproto.frame_protocol.os,
            wsproto.utilities.os,
            trio_websocket._impl.random,
            socket.socket.connect,
            socket.socket.bind,
            socket.getaddrinfo,
            threading.Thread.start,
        ]

    async def fail() -> None:
        raise KeyError("inside")

    before = outside()
    with pytest.raises(KeyError):
        run_seeded(3, fail)
    assert outside() == before
    assert wsproto.frame_protocol.os is os
    assert trio_websocket._impl.random is random


def test_the_private_names_are_where_we_reach_for_them() -> None:
    check_private_names()


@pytest.mark.parametrize("entry", PRIVATE_NAMES, ids=[f"{m.__name__}.{n}" for m, n, _, _ in PRIVATE_NAMES])
@pytest.mark.parametrize("moved", [{}, {"same name": None}], ids=["gone", "changed"])
def test_a_private_name_that_moved_is_reported_with_its_cure(entry, moved) -> None:
    module, name, looks_right, meaning = entry
    stand_in = SimpleNamespace(__name__=module.__name__, **({name: None} if moved else {}))
    with pytest.raises(AssertionError, match="Cure: either restore the pins of trio") as caught:
        check_private_names([(stand_in, name, looks_right, meaning)])
    assert f"{module.__name__}.{name}" in str(caught.value)


def test_run_seeded_refuses_to_run_when_a_private_name_moved(monkeypatch) -> None:
    monkeypatch.delattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING")
    with pytest.raises(AssertionError, match="scripts/lock"):
        run_seeded(0, trio.sleep, 0)


def test_the_number_of_seeds_comes_from_the_environment(monkeypatch) -> None:
    monkeypatch.delenv(determinism.SEEDS_VARIABLE, raising=False)
    assert scheduler_seeds() == range(5)
    monkeypatch.setenv(determinism.SEEDS_VARIABLE, "50")
    assert scheduler_seeds() == range(50)
    monkeypatch.setenv(determinism.SEEDS_VARIABLE, "0")
    with pytest.raises(ValueError, match="at least 1"):
        scheduler_seeds()


@scenario
async def test_a_scenario_runs_on_virtual_time() -> None:
    await trio.sleep(600)
    assert trio.current_time() == 600


@scenario(limit_s=5)
async def test_a_scenario_gets_fixtures_and_its_seed(scheduler_seed, tmp_path) -> None:
    assert scheduler_seed in scheduler_seeds()
    assert tmp_path.is_dir()
    await trio.sleep(4)


class TestScenarioInAClass:
    @scenario
    async def test_has_self(self) -> None:
        assert isinstance(self, TestScenarioInAClass)
        await trio.sleep(1)


def test_a_scenario_that_hangs_fails_at_once_and_says_how_to_repeat_it() -> None:
    @scenario(limit_s=60)
    async def test_hangs() -> None:
        await trio.sleep_forever()

    with pytest.raises(trio.TooSlowError) as caught:
        test_hangs(scheduler_seed=7)
    (note,) = caught.value.__notes__
    assert "scheduler seed 7" in note
    assert "MMTRIO_SCHEDULER_SEEDS=8 scripts/test" in note
    assert "-k 'test_hangs and seed7'" in note
