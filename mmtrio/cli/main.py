"""The entry point: parse, run a verb, and turn every way it can fail into one paragraph and an exit code."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from mmtrio.cli.arguments import help_text, parse_arguments
from mmtrio.cli.logs import one_line, redactor, write_stderr, write_stdout
from mmtrio.client.connect import VenueAddressError
from mmtrio.client.errors import cause_text
from mmtrio.client.keys import KeyRefused
from mmtrio.live.errors import ConfigurationError, VenueUnreachable

if TYPE_CHECKING:
    import argparse

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


def main(argv: list[str] | None = None) -> int:
    """Run `trio-mm` with these arguments (those of the process by default). Returns the exit code."""
    try:
        try:
            arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
            return _run_verb(arguments)
        finally:
            write_stdout("")  # A reader that has gone is noticed here, not in the interpreter's last flush.
    except SystemExit as leaving:  # --help and --version, already printed.
        return int(leaving.code or 0)
    except BaseException as error:
        return report_failure(error)


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


def _run_verb(arguments: argparse.Namespace) -> int:
    # Imported late: --help and a mistyped flag answer at once.
    if arguments.verb == "run":
        from mmtrio.cli.run import run

        return run(arguments)
    if arguments.verb == "exchange":
        from mmtrio.cli.exchange import exchange

        return exchange(arguments)
    write_stdout(help_text())
    return EXIT_FINE


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for member in error.exceptions for leaf in _leaves(member)]
