"""Keeping sessions open, and hearing signals without dying of them."""

from __future__ import annotations

import logging
import signal
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random

import attrs
import trio

from mmtrio.client.errors import SessionLost

log = logging.getLogger("mmtrio.live.supervision")


@attrs.define
class Backoff:
    """Full-jitter exponential delays. Pure: the caller sleeps."""

    rng: Random
    base_s: float = 0.25
    cap_s: float = 30.0
    stable_after_s: float = 60.0
    _failures: int = attrs.field(default=0, init=False)

    def next_delay_s(self, *, lived_s: float) -> float:
        """How long to wait before the next attempt, after a session that lived so long."""
        self._failures = 1 if lived_s >= self.stable_after_s else self._failures + 1
        ceiling_s = min(self.cap_s, self.base_s * 2 ** min(self._failures - 1, 16))
        return self.rng.uniform(0.0, ceiling_s)


@attrs.define
class ConnectBudget:
    """The venue admits 30 new WebSocket connections a minute per IP; ours share a smaller number."""

    per_minute: int = 24
    _opened_s: deque[float] = attrs.field(factory=deque, init=False)

    async def wait_turn(self) -> None:
        """Sleep until one more connection is within the budget, and take it."""
        while True:
            now_s = trio.current_time()
            while self._opened_s and now_s >= self._opened_s[0] + 60.0:  # The very sum that was slept until.
                self._opened_s.popleft()
            if len(self._opened_s) < self.per_minute:
                self._opened_s.append(now_s)
                return
            await trio.sleep_until(self._opened_s[0] + 60.0)


async def keep_session(
    run_session: Callable[[], Awaitable[None]],
    *,
    on_lost: Callable[[SessionLost], None],
    backoff: Backoff,
    budget: ConnectBudget,
) -> None:
    """Run one session after another until cancelled. Each is a nursery of its own; the pause is outside of it."""
    while True:
        await budget.wait_turn()
        opened_at_s = trio.current_time()
        try:
            await run_session()
        except* SessionLost as lost:
            on_lost(_first(lost))
        await trio.sleep(backoff.next_delay_s(lived_s=trio.current_time() - opened_at_s))


def _first(group: BaseExceptionGroup[SessionLost]) -> SessionLost:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, SessionLost), error
    return error


async def serve_signals(
    on_signal: Callable[[str], None], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Call `on_signal` for the first SIGINT, SIGTERM or SIGHUP; swallow those after it, so that clean-up is not
    interrupted. (SIGHUP is a closed terminal: its orders must not outlive it either.)

    Run it outside the scope that the signal ends, and until clean-up is over.
    """
    seen = 0
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            seen += 1
            name = signal.Signals(number).name
            if seen == 1:
                on_signal(name)
            else:
                log.warning("%s again: cleaning up, which ends by itself; not interrupted", name)


