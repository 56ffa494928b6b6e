"""The rule of tests/conftest.py, shown to bite."""

from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent.parent / "conftest.py"

TESTS = """
import logging
import trio

log = logging.getLogger("mmtrio.somewhere")

def test_quiet():
    log.warning("only a warning")

def test_loud():
    log.error("orders may still rest: %s", ["0x1"])

async def test_loud_task(nursery):
    async def complain():
        log.error("from a task")
    nursery.start_soon(complain)
    await trio.testing.wait_all_tasks_blocked()

def test_loud_on_purpose(expected_errors):
    expected_errors.expect("may still rest")
    log.error("orders may still rest: %s", ["0x1"])

def test_allowed_but_absent(expected_errors):
    expected_errors.allow("perhaps")

def test_expected_but_absent(expected_errors):
    expected_errors.expect("never logged")

def test_expects_one_and_logs_another(expected_errors):
    expected_errors.expect("may still rest")
    log.error("orders may still rest")
    log.error("disk full")
"""


def test_an_error_nobody_expected_fails_the_test_that_logged_it(
    pytester: pytest.Pytester, expected_errors
) -> None:
    expected_errors.allow("mmtrio.somewhere")  # The inner tests log through this process's root logger.
    lines = CONFTEST.read_text().splitlines()
    pytester.makeconftest("\n".join(line for line in lines if not line.startswith("pytest")))
    pytester.makeini("[pytest]\ntrio_mode = true\n")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-rf")
    result.assert_outcomes(passed=3, failed=4)
    result.stdout.fnmatch_lines(
        [
            "*unexpected ERROR log: mmtrio.somewhere: orders may still rest: *0x1*",
            "*unexpected ERROR log: mmtrio.somewhere: from a task",
            "*no ERROR log matched 'never logged'",
            "*unexpected ERROR log: mmtrio.somewhere: disk full",
        ]
    )
