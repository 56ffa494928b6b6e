"""Every way a run can fail, as one paragraph and an exit code. Nothing secret, no traceback."""

from __future__ import annotations

import logging

from mmtrio.cli.logs import one_line, redactor, write_stderr
from mmtrio.client.connect import VenueAddressError
from mmtrio.client.errors import cause_text
from mmtrio.client.keys import KeyRefused
from mmtrio.live.errors import ConfigurationError, VenueUnreachable

log = logging.getLogger("mmtrio.cli")

EXIT_FINE = 0
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_VENUE = 3

_TOLD: tuple[tuple[type[Exception], int], ...] = (
    (ConfigurationError, EXIT_CONFIGURATION),
    (KeyRefused, EXIT_CONFIGURATION),
    (VenueAddressError, EXIT_CONFIGURATION),
    (VenueUnreachable, EXIT_VENUE),
)
"""Errors whose text is meant for the user, and their exit codes."""


def report_failure(error: BaseException) -> int:
    """Say on stderr what went wrong, in one paragraph without traceback or secret. Returns the exit code."""
    log.debug("the traceback of what follows", exc_info=error)
    text, code = explain(error)
    write_stderr(f"trio-mm: {text}\n")
    return code


def explain(error: BaseException) -> tuple[str, int]:
    """(paragraph, exit code) of an error, or of the first of a group that is meant for the user."""
    leaves = list(_leaves(error))
    for leaf in leaves:
        for kind, code in _TOLD:
            if isinstance(leaf, kind):
                return redactor.redact(str(leaf)), code
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return "interrupted before anything was traded.", EXIT_FAILED
    first = leaves[0]
    words = redactor.redact(one_line(cause_text(first)))[:500]
    return (
        f"this should not have happened: {type(first).__name__}: {words}. "
        f"Run with --log-level debug for the traceback.",
        EXIT_FAILED,
    )


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for member in error.exceptions for leaf in _leaves(member)]
