"""What holds for every test: an ERROR nobody expected fails the test that logged it.

`autojump_clock`, `mock_clock` and `nursery` come from pytest-trio; seeded scenarios from
`tests.support.determinism`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator

import pytest

pytest_plugins = ["pytester"]
pytest.register_assert_rewrite("tests.support")


class ExpectedErrors:
    """The ERROR records a test accepts. Patterns are searched in the formatted message."""

    def __init__(self) -> None:
        self._allowed: list[str] = []
        self._required: list[str] = []

    def allow(self, pattern: str) -> None:
        """Records matching this may appear."""
        self._allowed.append(pattern)

    def expect(self, pattern: str) -> None:
        """Records matching this may appear, and at least one must."""
        self._required.append(pattern)

    def complaints(self, messages: list[str]) -> list[str]:
        patterns = self._allowed + self._required
        unexpected = [text for text in messages if not any(re.search(p, text) for p in patterns)]
        absent = [p for p in self._required if not any(re.search(p, text) for text in messages)]
        return [f"unexpected ERROR log: {text}" for text in unexpected] + [
            f"no ERROR log matched {pattern!r}" for pattern in absent
        ]


class ErrorCollector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(level=logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def expected_errors() -> ExpectedErrors:
    """Say which ERROR logs this test means to cause: `expected_errors.expect("may still rest")`."""
    return ExpectedErrors()


@pytest.fixture(autouse=True)
def _root_logger_as_before() -> Generator[None, None, None]:
    """A test may set the process's logging up; the next one finds it as it was."""
    root, ours = logging.getLogger(), logging.getLogger("mmtrio")
    handlers, filters = root.handlers[:], root.filters[:]
    levels = root.level, ours.level
    yield
    root.handlers[:], root.filters[:] = handlers, filters
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that logged an ERROR it did not expect. (A fixture could only report it beside the test.)"""
    collector = ErrorCollector()
    root = logging.getLogger()
    root.addHandler(collector)
    try:
        result = yield
    finally:
        root.removeHandler(collector)
    expected = getattr(item, "funcargs", {}).get("expected_errors") or ExpectedErrors()
    complaints = expected.complaints(collector.messages)
    if complaints:
        pytest.fail(
            "\n".join(complaints)
            + "\nCure: fix what it reports, or, where the test causes it on purpose, take the `expected_errors` "
            "fixture and call expected_errors.expect(pattern).",
            pytrace=False,
        )
    return result
