"""Runs that repeat: one seed decides every choice the scheduler and the websocket library make.

The one file that touches trio's private names. They are checked before each run, and trio, trio-websocket and
wsproto are pinned exactly, so a surprise here is a failed test with its cure in the message, never a test that
silently stopped repeating.

    @scenario
    async def test_quotes_return_after_a_drop():
        ...                             # memory streams, exact virtual times

runs once per scheduler seed. `run_seeded(seed, fn)` is the same for a world that draws its own seeds.
"""

from __future__ import annotations

import functools
import inspect
import os
import random
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
import trio
import trio._core._run
import trio._threads
import trio.testing
import trio_websocket._impl
import wsproto.frame_protocol
import wsproto.utilities

T = TypeVar("T")

SEEDS_VARIABLE = "MMTRIO_SCHEDULER_SEEDS"
SCENARIO_LIMIT_S = 3600.0

# What we reach into, and what each must look like for the reach to work: (module, name, test, what it is).
PRIVATE_NAMES: list[tuple[Any, str, Callable[[Any], bool], str]] = [
    (
        trio._core._run,
        "_ALLOW_DETERMINISTIC_SCHEDULING",
        lambda value: isinstance(value, bool),
        "the switch that makes trio sort each batch of tasks before it shuffles them",
    ),
    (
        trio._core._run,
        "_r",
        lambda value: isinstance(value, random.Random),
        "the generator trio shuffles each batch of tasks with",
    ),
    (trio._threads, "start_thread_soon", callable, "how trio starts a worker thread"),
    (wsproto.frame_protocol, "os", lambda value: hasattr(value, "urandom"), "the source of frame masks"),
    (wsproto.utilities, "os", lambda value: hasattr(value, "urandom"), "the source of handshake keys"),
    (
        trio_websocket._impl,
        "random",
        lambda value: hasattr(value, "getrandbits"),
        "the source of ping payloads",
    ),
]


def check_private_names(names: list[tuple[Any, str, Callable[[Any], bool], str]] = PRIVATE_NAMES) -> None:
    """Fail, with the cure, unless everything we reach into is where it was when this was written."""
    missing = object()
    for module, name, looks_right, meaning in names:
        value = getattr(module, name, missing)
        if value is missing or not looks_right(value):
            found = "is gone" if value is missing else f"is now {value!r}"
            raise AssertionError(
                f"{module.__name__}.{name} {found}. It was {meaning}, and tests repeat only while we can replace "
                f"it. Cure: either restore the pins of trio, trio-websocket and wsproto in pyproject.toml and run "
                f"scripts/lock, or read the new {module.__name__}, find what took over, and change "
                f"tests/support/determinism.py (PRIVATE_NAMES and run_seeded) to match."
            )


class _SeededOs:
    """The `os` module with a seeded `urandom`, for one importing module."""

    def __init__(self, rng: random.Random) -> None:
        self.urandom = rng.randbytes

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def _forbid(what: str) -> Callable[..., Any]:
    def forbidden(*args: object, **kwargs: object) -> Any:
        raise AssertionError(
            f"{what} under a virtual clock: the clock does not wait for it, so times would jump. Cure: use memory "
            f"streams and an inline store here, or move this to tests/contract, which runs on the real clock."
        )

    return forbidden


@contextmanager
def sealed_world() -> Iterator[None]:
    """No sockets, no name look-ups and no threads inside this block; each attempt fails with its cure."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("bind", "connect", "connect_ex"):
            # On Python's own socket class. Trio's wake-up pair is made below it and stays as it is.
            patch.setattr(socket.socket, name, _forbid(f"socket.{name}"), raising=False)
        patch.setattr(socket, "getaddrinfo", _forbid("a name look-up"))
        patch.setattr(trio._threads, "start_thread_soon", _forbid("a worker thread"))
        patch.setattr(threading.Thread, "start", _forbid("a thread"))
        yield


class _NoSockets(trio.abc.SocketFactory):
    socket = staticmethod(_forbid("a socket"))


def run_seeded(seed: int, async_fn: Callable[..., Awaitable[T]], *args: object) -> T:
    """Run `async_fn(*args)` on a virtual clock; the same seed gives the same run, in any process.

    The virtual clock jumps whenever every task waits. Sockets, threads and name look-ups fail. Everything
    replaced is put back, whatever happens inside.
    """
    check_private_names()
    # One generator each, so that one more ping does not change the order of tasks. Text seeds do not depend
    # on the process's hash seed.
    scheduler_state = random.Random(f"{seed}/scheduler").getstate()
    masks = _SeededOs(random.Random(f"{seed}/masks"))
    keys = _SeededOs(random.Random(f"{seed}/keys"))
    pings = random.Random(f"{seed}/pings")
    own_state = trio._core._run._r.getstate()

    async def sealed() -> T:
        trio.socket.set_custom_socket_factory(_NoSockets())
        return await async_fn(*args)

    with pytest.MonkeyPatch.context() as patch, sealed_world():
        patch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        patch.setattr(wsproto.frame_protocol, "os", masks)
        patch.setattr(wsproto.utilities, "os", keys)
        patch.setattr(trio_websocket._impl, "random", pings)
        trio._core._run._r.setstate(scheduler_state)
        try:
            return trio.run(sealed, clock=trio.testing.MockClock(autojump_threshold=0))
        finally:
            trio._core._run._r.setstate(own_state)


def scheduler_seeds() -> range:
    """The scheduler seeds each scenario runs under; MMTRIO_SCHEDULER_SEEDS says how many (5)."""
    count = int(os.environ.get(SEEDS_VARIABLE) or 5)
    if count < 1:
        raise ValueError(f"{SEEDS_VARIABLE} must be at least 1, not {count}")
    return range(count)


def scenario(
    async_test: Callable[..., Awaitable[None]] | None = None, *, limit_s: float = SCENARIO_LIMIT_S
) -> Any:
    """Make `async def test_…` a scenario: run on a virtual clock, sealed, once per scheduler seed.

    Ordinary (not async) fixtures may be asked for by name, and `scheduler_seed` is the seed of this run. After
    `limit_s` virtual seconds it fails, so a hang is an instant failure. Use as `@scenario` or
    `@scenario(limit_s=60)`.
    """
    if async_test is None:
        return functools.partial(scenario, limit_s=limit_s)
    assert inspect.iscoroutinefunction(async_test), f"a scenario is an async function: {async_test!r}"
    parameters = list(inspect.signature(async_test).parameters.values())
    wants_seed = any(parameter.name == "scheduler_seed" for parameter in parameters)

    @functools.wraps(async_test)
    def run_scenario(*args: object, scheduler_seed: int, **fixtures: object) -> None:
        if wants_seed:
            fixtures["scheduler_seed"] = scheduler_seed

        async def bounded() -> None:
            with trio.fail_after(limit_s):
                await async_test(*args, **fixtures)

        try:
            run_seeded(scheduler_seed, bounded)
        except BaseException as error:
            error.add_note(f"scheduler seed {scheduler_seed}; {repeat_command(async_test, scheduler_seed)}")
            raise

    if not wants_seed:
        parameters.append(inspect.Parameter("scheduler_seed", inspect.Parameter.KEYWORD_ONLY))
    run_scenario.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    seeds = scheduler_seeds()
    with_seeds = pytest.mark.parametrize("scheduler_seed", seeds, ids=[f"seed{seed}" for seed in seeds])
    return pytest.mark.scenario(with_seeds(run_scenario))


def repeat_command(test: Callable[..., object], seed: int) -> str:
    """The command that runs one scenario again under the seed it failed with."""
    path = os.path.relpath(inspect.getfile(test))
    several = f"{SEEDS_VARIABLE}={seed + 1} " if seed >= 5 else ""
    return f"repeat with: {several}scripts/test {path} -k '{test.__name__} and seed{seed}'"
